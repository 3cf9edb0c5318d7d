"""How far codes and factors belong to each other: shares of variance, and DCI, MIG and SAP.

The simulated sets have factors that are known for every clip, and a factor network reads them from generated ones. So
what the appendix shows by eye, that z_a is appearance and z_m is motion, has a number here.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import mutual_info_score

from g3an.errors import G3ANError

BINS = 20
"""Of equal counts, into which numbers are sorted for mutual information."""


@dataclass(frozen=True)
class Shares:
    """Shares of the variance of each factor, ``(factors,)`` each, with the ends of a 95 % bootstrap interval.

    Attributes
    ----------
    names
        Of the terms: each axis by itself, then what only pairs of axes explain together, and so on; they add up to 1.
    value, low, high
        ``(terms, factors)``.
    """

    names: tuple[str, ...]
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def variance_shares(
    values: np.ndarray, axes: Sequence[str] = ("z_a", "z_m", "c"), draws: int = 200, seed: int = 0,
    vectors: Sequence[int] | None = None,
) -> Shares:  # fmt: skip
    """Decompose the variance of factors over crossed codes.

    Every z_a was combined with every z_m and every c, so the total sum of squares falls apart without remainder into
    those of the means over all other axes, of what pairs of axes add to that, and so on (the analysis of variance of a
    full factorial design). A share counts what was seen of these codes: of noise alone, an axis of n values would
    explain about n - 1 parts in all.

    Parameters
    ----------
    values
        Factors read from the clips, ``(n_1, ..., n_k, factors)``, an axis for each name.
    draws
        Bootstrap draws, of codes of every axis but c (whose values are all there are).
    vectors
        A number for each factor; those of one number are parts of one vector, whose variances are added up.

    Raises
    ------
    G3ANError
        The axes do not fit the values, or an axis has one value only.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != len(axes) + 1 or min(values.shape[:-1]) < 2:
        wanted = f"an axis of 2 or more for each of {', '.join(axes)} and one of factors"
        raise G3ANError(f"Values to decompose have {wanted}, not {values.shape}.")
    names = [term for size in range(1, len(axes) + 1) for term in combinations(range(len(axes)), size)]
    value = _shares(values, names, vectors)
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        some = values
        for axis, name in enumerate(axes):
            if name != "c":
                some = some.take(random.integers(values.shape[axis], size=values.shape[axis]), axis)
        drawn.append(_shares(some, names, vectors))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a factor that never varies has no shares
        low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    words = tuple(" × ".join(axes[axis] for axis in term) for term in names)
    return Shares(words, value, np.minimum(low, value), np.maximum(high, value))


def _shares(values: np.ndarray, terms: Sequence[tuple[int, ...]], vectors: Sequence[int] | None) -> np.ndarray:
    everyone = tuple(range(values.ndim - 1))
    effects: dict[tuple[int, ...], np.ndarray] = {(): values.mean(everyone, keepdims=True)}
    for term in terms:
        mean = values.mean(tuple(axis for axis in everyone if axis not in term), keepdims=True)
        inner = [effects[part] for size in range(len(term)) for part in combinations(term, size)]
        effects[term] = mean - sum(inner)
    total = ((values - effects[()]) ** 2).sum(everyone)
    squares = [
        (effects[term] ** 2).sum(everyone) * np.prod([values.shape[axis] for axis in everyone if axis not in term])
        for term in terms
    ]
    found = np.stack(squares)
    if vectors is not None:
        parts = [np.flatnonzero(np.asarray(vectors) == number) for number in dict.fromkeys(vectors)]
        found = np.stack([found[:, part].sum(1) for part in parts], 1)
        total = np.stack([total[part].sum() for part in parts])
    with np.errstate(invalid="ignore", divide="ignore"):
        return found / total


@dataclass(frozen=True)
class DCI:
    """Disentanglement, completeness and informativeness, each from 0 to 1; 1 is best."""

    disentanglement: float
    completeness: float
    informativeness: float


def dci(codes: np.ndarray, factors: np.ndarray, groups: Sequence[int] | None = None, seed: int = 0) -> DCI:
    """Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled Representations", ICLR 2018.

    Random forests predict each factor from all codes; R_ij is the importance of code i for factor j. A code is
    disentangled when it serves one factor (the entropy of its row of R), a factor is complete when one code serves it
    (of its column); informative is how much of the factors' variance the forests explain on the half that they did not
    learn from.

    Parameters
    ----------
    codes, factors
        ``(n, codes)`` and ``(n, factors)``.
    groups
        A number for each code; codes of one number count as one, their importances added. For (z_a, z_m, c) that is
        0 for the 128 dimensions of z_a, 1 for those of z_m, 2 for those of c.

    Raises
    ------
    G3ANError
        Codes and factors that do not fit, are fewer than 10 or are not finite, or factors none of which varies; one
        that does not is left out.
    """
    codes, factors = _checked(codes, factors)
    half = len(codes) // 2
    importance, explained = [], []
    for column in factors.T:
        forest = RandomForestRegressor(60, min_samples_leaf=5, random_state=seed, n_jobs=1)
        forest.fit(codes[:half], column[:half])
        importance.append(forest.feature_importances_)
        explained.append(max(0.0, forest.score(codes[half:], column[half:])))
    r = np.stack(importance, 1)
    if groups is not None:
        numbers = np.asarray(groups)
        r = np.stack([r[numbers == number].sum(0) for number in np.unique(numbers)])
    weights = r.sum(1) / r.sum()
    return DCI(
        float((weights * (1 - _entropy(r, axis=1))).sum()),
        float((1 - _entropy(r, axis=0)).mean()),
        float(np.mean(explained)),
    )


def _entropy(r: np.ndarray, axis: int) -> np.ndarray:
    """Entropy of the shares along an axis, over its largest value; 0 where there is nothing to choose from."""
    count = r.shape[axis]
    if count < 2:
        return np.zeros(r.shape[1 - axis])
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.nan_to_num(r / r.sum(axis, keepdims=True))
        return -(p * np.nan_to_num(np.log(p), neginf=0)).sum(axis) / np.log(count)


def mig(codes: np.ndarray, factors: np.ndarray, bins: int = BINS) -> float:
    """Mutual information gap (Chen et al., "Isolating Sources of Disentanglement", NeurIPS 2018).

    For each factor the difference between the two codes that tell most about it, over the factor's entropy; the mean
    over factors, from 0 to 1.

    Parameters
    ----------
    codes, factors
        ``(n, codes)`` and ``(n, factors)``.
    bins
        Of equal counts, into which both are sorted.

    Raises
    ------
    G3ANError
        As :func:`dci`.
    """
    codes, factors = _checked(codes, factors)
    sorted_codes = [_binned(column, bins) for column in codes.T]
    gaps = []
    for column in factors.T:
        factor = _binned(column, bins)
        told = sorted(mutual_info_score(code, factor) for code in sorted_codes)
        entropy = mutual_info_score(factor, factor)
        gaps.append((told[-1] - (told[-2] if len(told) > 1 else 0)) / entropy if entropy > 0 else 0.0)
    return float(np.mean(gaps))


def sap(codes: np.ndarray, factors: np.ndarray) -> float:
    """Separated attribute predictability (Kumar et al., ICLR 2018), with the squared correlation as the score.

    For each factor the difference between the two codes that predict it best, each by itself, by a straight line.

    Parameters
    ----------
    codes, factors
        ``(n, codes)`` and ``(n, factors)``.

    Returns
    -------
    float
        The mean over factors, from 0 to 1.

    Raises
    ------
    G3ANError
        As :func:`dci`.
    """
    codes, factors = _checked(codes, factors)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = (codes - codes.mean(0)) / codes.std(0)
        right = (factors - factors.mean(0)) / factors.std(0)
        score = np.sort(np.nan_to_num(left.T @ right / len(codes)) ** 2, axis=0)
    return float((score[-1] - (score[-2] if len(score) > 1 else 0)).mean())


def _binned(column: np.ndarray, bins: int) -> np.ndarray:
    """Numbers sorted into bins of equal counts; few different values stay as they are."""
    distinct, place = np.unique(column, return_inverse=True)
    if len(distinct) <= bins:
        return place
    return np.searchsorted(np.quantile(column, np.linspace(0, 1, bins + 1)[1:-1]), column, side="right")


def varying(factors: np.ndarray) -> np.ndarray:
    """Which factors take more than one value, in either half of the clips: booleans ``(factors,)``.

    Of the others nothing can be said: a forest that learns a constant needs no code for it, and is always right.

    Parameters
    ----------
    factors
        ``(n, factors)``.
    """
    half = len(factors) // 2
    return np.all([np.ptp(part, axis=0) > 0 for part in (factors[:half], factors[half:])], axis=0)


def _checked(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    codes, factors = np.asarray(codes, np.float64), np.asarray(factors, np.float64)
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or len(codes) < 10:
        shapes = f"{codes.shape} and {factors.shape}"
        raise G3ANError(f"Codes and factors are (n, codes) and (n, factors) with n from 10 up, not {shapes}.")
    if not (np.isfinite(codes).all() and np.isfinite(factors).all()):
        raise G3ANError("Codes or factors hold values that are not finite.")
    varies = varying(factors)
    if not varies.any():
        raise G3ANError("No factor varies over the clips, so no code can be held against any; are they all the same?")
    return codes, factors[:, varies]

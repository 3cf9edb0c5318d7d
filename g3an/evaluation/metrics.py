"""FID, KID and IS of features, through torchmetrics.

torchmetrics is handed features instead of pictures: its metrics take a network as a module, and here that module passes
on what it is given. So any extractor serves, features are computed once, and the numbers are the library's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from g3an.errors import G3ANError

SUBSETS, SUBSET_SIZE = 100, 100
"""Of KID."""

SPLITS = 10
"""Of IS."""


class _Given(nn.Module):
    """Passes features on; ``num_features`` is what torchmetrics asks of a network."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


def check_features(features: Tensor, whose: str) -> Tensor:
    """Features as float64, or a clear refusal.

    Raises
    ------
    G3ANError
        They are no ``(n, d)`` of two or more clips, hold something that is not finite, or are the same for all clips.
    """
    if features.ndim != 2 or len(features) < 2:
        raise G3ANError(f"The features of {whose} clips are {tuple(features.shape)}; give (n, d) with n from 2 up.")
    if not bool(torch.isfinite(features).all()):
        raise G3ANError(f"The features of {whose} clips hold values that are not finite; look at those clips.")
    if bool((features == features[0]).all()):
        raise G3ANError(f"All {whose} clips have the same features: they are one constant clip, or were read wrongly.")
    return features.double()


def fid(real: Tensor, generated: Tensor) -> float:
    """Fréchet distance of two Gaussians fitted to features (Heusel et al., NeurIPS 2017)::

        FID = ||μ_r - μ_g||² + tr(Σ_r + Σ_g - 2 (Σ_r Σ_g)^½)

    Parameters
    ----------
    real, generated
        ``(n, d)``, the numbers of clips may differ.

    Raises
    ------
    G3ANError
        Features that :func:`check_features` refuses, or of two widths.
    """
    real, generated = _same_width(real, generated)
    metric = FrechetInceptionDistance(feature=_Given(real.shape[1])).set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return float(metric.compute())


def kid(real: Tensor, generated: Tensor, seed: int, subsets: int = SUBSETS, size: int = SUBSET_SIZE) -> float:
    """Squared maximum mean discrepancy with the kernel (⟨x, y⟩/d + 1)³ (Bińkowski et al., ICLR 2018).

    It is unbiased, so it can be a little below 0; it is the mean over ``subsets`` random subsets of ``size`` clips,
    drawn from ``seed``.

    Parameters
    ----------
    real, generated
        ``(n, d)``, the numbers of clips may differ; where there are fewer than ``size``, subsets are of all.

    Raises
    ------
    G3ANError
        Features that :func:`check_features` refuses, or of two widths.
    """
    real, generated = _same_width(real, generated)
    size = min(size, len(real), len(generated))
    with _quiet():
        metric = KernelInceptionDistance(feature=_Given(real.shape[1]), subsets=subsets, subset_size=size)
    metric.set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    with _seeded(seed):
        return float(metric.compute()[0])


def inception_score(logits: Tensor, seed: int, splits: int = SPLITS) -> float:
    """exp of the mean KL divergence of p(y|x) from p(y) (Salimans et al., NeurIPS 2016), mean over random splits.

    Parameters
    ----------
    logits
        Of generated clips, ``(n, classes)``.
    seed
        Of the splits.

    Returns
    -------
    float
        From 1 to the number of classes.

    Raises
    ------
    G3ANError
        Logits that :func:`check_features` refuses.
    """
    logits = check_features(logits, "generated")
    with _quiet():
        metric = InceptionScore(feature=_Given(logits.shape[1]), splits=splits)
    metric.set_dtype(torch.float64)
    metric.update(logits)
    with _quiet(), _seeded(seed):
        return float(metric.compute()[0])


def interval(
    measure: Callable[[Tensor, Tensor], float], real: Tensor, generated: Tensor, seed: int, draws: int = 50
) -> tuple[float, float]:
    """95 % bootstrap interval: clips are drawn anew with replacement, on both sides, ``draws`` times.

    FID of a resample is larger than that of all different clips, for it has fewer of them; the interval is centred on
    the metric's own value by taking the quantiles' distance from their median.

    Parameters
    ----------
    measure
        Of features of real and of generated clips.
    real, generated
        ``(n, d)`` and ``(m, d)``.
    draws
        Resamples, 1 or more.

    Returns
    -------
    tuple of float
        The lower and the upper end.

    Raises
    ------
    G3ANError
        So few clips that a resample held one of them over and over, or features that ``measure`` refuses.
    """
    random = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        first, second = (x[torch.from_numpy(random.integers(len(x), size=len(x)))] for x in (real, generated))
        for some, x, whose in ((first, real, "real"), (second, generated, "generated")):
            if bool((some == some[0]).all()) and not bool((x == x[0]).all()):
                raise G3ANError(
                    f"{len(x)} {whose} clips are too few for a bootstrap interval: a resample held the same one over "
                    "and over; measure more clips."
                )
        found.append(measure(first, second))
    low, middle, high = np.quantile(found, [0.025, 0.5, 0.975])
    value = measure(real, generated)
    return value - float(middle - low), value + float(high - middle)


def halves(people: Sequence[str], seed: int) -> tuple[Tensor, Tensor]:
    """Numbers of the clips in two halves that share no person, as even as whole people allow.

    Raises
    ------
    G3ANError
        There are fewer than two people.
    """
    everyone = sorted(set(people))
    if len(everyone) < 2:
        raise G3ANError("A real/real distance needs clips of two people or more.")
    order = np.random.default_rng(seed).permutation(len(everyone))
    first = {everyone[number] for number in order[::2]}
    side = torch.tensor([who in first for who in people])
    return side.nonzero()[:, 0], (~side).nonzero()[:, 0]


def rank_warning(features: Tensor, whose: str) -> list[str]:
    """A sentence where there are too few clips for a covariance of full rank, on which FID then rests."""
    count, width = features.shape
    if count > width:
        return []
    return [
        f"{count:,} {whose} clips span at most {count - 1:,} of {width:,} dimensions, so their covariance has less "
        "than full rank: FID is then too large, and not comparable with FID of more clips."
    ]


def split_warning(logits: Tensor, splits: int = SPLITS) -> list[str]:
    """A sentence where the parts that IS is a mean over hold too few clips to say how varied they are.

    Parameters
    ----------
    logits
        ``(n, classes)``.
    """
    count, classes = logits.shape
    each = count // splits
    if each >= 10 * classes:
        return []
    return [
        f"IS is a mean over {splits} parts, here of {each:,} clips for {classes:,} classes: with fewer than ten clips "
        "a class it is too small, and not comparable with IS of more clips."
    ]


def _same_width(real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    real, generated = check_features(real, "real"), check_features(generated, "generated")
    if real.shape[1] != generated.shape[1]:
        raise G3ANError(f"Real features have {real.shape[1]} numbers a clip, generated ones {generated.shape[1]}.")
    return real, generated


@contextmanager
def _quiet() -> Iterator[None]:
    """torchmetrics warns that features are kept, which is the point, and of a deviation that is not asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """torchmetrics draws its subsets from torch's global generator; give it one of its own for a while."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield

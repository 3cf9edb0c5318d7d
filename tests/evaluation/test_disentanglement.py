"""Shares of variance, DCI, MIG and SAP on toy codes whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from g3an.errors import G3ANError
from g3an.evaluation.disentanglement import dci, mig, sap, variance_shares, varying


def crossed(a: float, m: float, c: float, both: float = 0.0, shape: tuple[int, int, int] = (30, 20, 6)) -> np.ndarray:
    """One factor over crossed codes: deviations of what z_a, z_m, c and z_a with z_m do."""
    random = np.random.default_rng(0)

    def effect(*size: int) -> np.ndarray:
        x = random.standard_normal(size)
        for axis, count in enumerate(size):
            if count > 1:
                x = x - x.mean(axis, keepdims=True)
        return x / x.std()

    n, k, j = shape
    parts = a * effect(n, 1, 1) + m * effect(1, k, 1) + c * effect(1, 1, j) + both * effect(n, k, 1)
    return (5 + parts)[..., None]


def test_shares_are_those_that_were_put_in():
    found = variance_shares(crossed(2.0, 1.0, 1.0, 1.5), draws=20)
    total = 4 + 1 + 1 + 2.25
    shares = dict(zip(found.names, found.value[:, 0], strict=True))
    assert shares["z_a"] == pytest.approx(4 / total) and shares["z_m"] == pytest.approx(1 / total)
    assert shares["c"] == pytest.approx(1 / total) and shares["z_a × z_m"] == pytest.approx(2.25 / total)
    assert sum(shares.values()) == pytest.approx(1) and shares["z_m × c"] == pytest.approx(0, abs=1e-12)
    assert np.all(found.low <= found.value) and np.all(found.value <= found.high)


def test_one_cause_explains_everything_and_noise_belongs_to_the_last_term():
    for name, values in (("z_a", crossed(1, 0, 0)), ("z_m", crossed(0, 1, 0)), ("c", crossed(0, 0, 1))):
        found = variance_shares(values, draws=10)
        assert found.value[found.names.index(name), 0] == pytest.approx(1)
    noise = np.random.default_rng(1).standard_normal((30, 20, 6, 1))
    found = variance_shares(noise, draws=10)
    assert found.value[found.names.index("z_a × z_m × c"), 0] > 0.7 and found.value[:3].max() < 0.03


def test_intervals_narrow_with_more_codes_and_c_is_not_drawn():
    few, many = (variance_shares(crossed(1, 1, 0.5, shape=(n, n, 4)), draws=100) for n in (6, 60))
    width = [float((found.high - found.low)[0, 0]) for found in (few, many)]
    assert width[1] < 0.6 * width[0]
    only_c = variance_shares(crossed(0, 0, 1), draws=20)
    assert only_c.low[only_c.names.index("c"), 0] == pytest.approx(1)


def toy(mixing: np.ndarray, count: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    codes = np.random.default_rng(0).uniform(-1, 1, (count, mixing.shape[0]))
    return codes, codes @ mixing


def test_a_code_for_each_factor_is_perfect_and_a_rotation_is_not():
    straight = toy(np.eye(4))
    turned = toy(np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))[0])
    good, bad = dci(*straight), dci(*turned)
    assert min(good.disentanglement, good.completeness) > 0.95 and good.informativeness > 0.95
    assert bad.disentanglement < 0.6 and bad.completeness < 0.6 and bad.informativeness > 0.7
    assert mig(*straight) > 0.9 > 0.3 > mig(*turned)
    assert sap(*straight) > 0.95 > 0.5 > sap(*turned)


def test_two_codes_for_one_factor_are_disentangled_but_not_complete():
    codes, factors = toy(np.array([[1.0, 0], [1.0, 0], [0, 1.0], [0, 1.0]]))
    found = dci(codes, factors)
    assert found.disentanglement > 0.9 and found.completeness < 0.6
    assert mig(codes, factors) < 0.1 and sap(codes, factors) < 0.1


def test_groups_count_as_one_code():
    """Within z_a the dimensions may be mixed as they like: what counts is that motion does not come from them."""
    turned = np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))[0]
    mixing = np.zeros((6, 6))
    mixing[:4, :4], mixing[4:, 4:] = turned, np.eye(2)
    codes, factors = toy(mixing, 2500)
    groups = [0, 0, 0, 0, 1, 1]
    apart, one_by_one = dci(codes, factors, groups), dci(codes, factors)
    assert apart.completeness > 0.9 > 0.8 > one_by_one.completeness
    # Leaking half of a motion factor from appearance shows.
    mixing[0, 4] = 1.0
    assert dci(*toy(mixing, 2500), groups).completeness < apart.completeness - 0.1


def test_a_factor_that_no_code_moves_scores_nothing():
    codes, factors = toy(np.eye(3))
    noise = np.random.default_rng(5).standard_normal((len(codes), 1))
    assert dci(codes, noise).informativeness < 0.05 and mig(codes, noise) < 0.05 and sap(codes, noise) < 0.02
    assert factors.shape == (1500, 3)


def test_a_factor_that_never_varies_is_left_out():
    codes, factors = toy(np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0], 400)
    late = np.r_[np.zeros(200), np.ones(200)]  # constant in the half that forests learn from
    more = np.column_stack([np.ones(400), factors, late])
    assert varying(more).tolist() == [False, True, True, True, False]
    for measure in (dci, mig, sap):
        assert measure(codes, more) == measure(codes, factors)
        with pytest.raises(G3ANError, match="No factor varies over the clips"):
            measure(codes, np.ones((400, 2)))


def test_what_does_not_fit_is_refused():
    with pytest.raises(G3ANError, match="an axis of 2 or more"):
        variance_shares(np.zeros((3, 1, 2, 4)))
    with pytest.raises(G3ANError, match="n from 10 up"):
        mig(np.zeros((20, 3)), np.zeros((19, 2)))
    with pytest.raises(G3ANError, match="not finite"):
        sap(np.full((20, 3), np.nan), np.zeros((20, 2)))

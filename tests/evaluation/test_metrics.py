"""FID, KID and IS against independent computations, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg

from g3an.errors import G3ANError
from g3an.evaluation import metrics
from g3an.evaluation.metrics import (
    check_features,
    fid,
    halves,
    inception_score,
    interval,
    kid,
    rank_warning,
    split_warning,
)


def cloud(seed: int, count: int = 200, width: int = 24, shift: float = 0.0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((width, width)) / width**0.5
    return torch.from_numpy(random.standard_normal((count, width)) @ mixing + shift)


@pytest.mark.parametrize(("width", "count"), [(8, 100), (24, 300), (384, 900)])
def test_fid_is_the_formula_s(width, count):
    real, generated = cloud(0, count, width), cloud(1, count + 7, width, 0.1) * 1.2
    a, b = real.numpy(), generated.numpy()
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(cov_a @ cov_b)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * np.real(root))
    assert fid(real, generated) == pytest.approx(expected, rel=1e-6)
    # Features come as float32 from a network; the metric computes in float64.
    single = fid(real.float(), generated.float())
    assert single == pytest.approx(fid(real.float().double(), generated.float().double()), rel=1e-9)


def test_fid_of_the_same_clips_is_nothing_and_grows_with_what_differs():
    real = cloud(0)
    assert abs(fid(real, real)) < 1e-6
    distances = [fid(real, cloud(1, shift=shift)) for shift in (0, 0.2, 0.5, 1)]
    assert distances == sorted(distances)


def test_kid_is_the_unbiased_estimate_on_the_same_subsets():
    real, generated = cloud(0, 150, 6), cloud(1, 130, 6, 0.3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        picks = [(torch.randperm(150)[:40], torch.randperm(130)[:40]) for _ in range(7)]

    def estimate(x: torch.Tensor, y: torch.Tensor) -> float:
        m = len(x)
        kxx, kyy, kxy = ((a @ b.T / 6 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
        off = (kxx.sum() - kxx.trace() + kyy.sum() - kyy.trace()) / (m * (m - 1))
        return float(off - 2 * kxy.mean())

    expected = np.mean([estimate(real[i], generated[j]) for i, j in picks])
    assert kid(real, generated, seed=5, subsets=7, size=40) == pytest.approx(expected, rel=1e-9)
    assert kid(real, generated, seed=5) == kid(real, generated, seed=5) != kid(real, generated, seed=6)


def test_inception_score_is_the_formula_s():
    logits = torch.randn(60, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    p = logits.softmax(1)
    expected = float((p * (p.log() - p.mean(0).log())).sum(1).mean().exp())
    assert inception_score(logits, seed=0, splits=1) == pytest.approx(expected, rel=1e-9)
    certain = torch.eye(6, dtype=torch.float64).repeat(10, 1) * 50
    assert inception_score(certain, seed=0, splits=1) == pytest.approx(6, rel=1e-6)
    assert inception_score(logits, seed=0) == inception_score(logits, seed=0)


def test_drawing_subsets_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    kid(cloud(0), cloud(1), seed=9)
    inception_score(cloud(0, 50, 6), seed=9)
    assert torch.equal(torch.rand(2), expected)


def test_the_interval_holds_the_value_and_narrows_with_more_clips():
    few = interval(fid, cloud(0, 60, 6), cloud(1, 60, 6, 0.5), seed=0)
    many = interval(fid, cloud(0, 2000, 6), cloud(1, 2000, 6, 0.5), seed=0)
    for (low, high), count in ((few, 60), (many, 2000)):
        assert low < fid(cloud(0, count, 6), cloud(1, count, 6, 0.5)) < high
    assert many[1] - many[0] < 0.5 * (few[1] - few[0])


def test_halves_share_no_person():
    people = ["a", "b", "c", "d"] * 5 + ["e"]
    one, two = halves(people, seed=1)
    assert sorted([*one.tolist(), *two.tolist()]) == list(range(21))
    assert not {people[i] for i in one} & {people[i] for i in two}
    assert min(len(one), len(two)) >= 5
    with pytest.raises(G3ANError, match="two people or more"):
        halves(["a", "a"], 0)


def test_too_few_clips_for_the_covariance_are_warned_of():
    assert rank_warning(cloud(0, 30, 24), "real") == []
    [warning] = rank_warning(cloud(0, 24, 24), "real")
    assert "24 real clips span at most 23 of 24 dimensions" in warning


def test_few_clips_for_the_inception_score_are_warned_of():
    assert split_warning(torch.zeros(600, 6)) == []
    [warning] = split_warning(torch.zeros(599, 6))
    assert "a mean over 10 parts, here of 59 clips for 6 classes" in warning


def test_a_resample_of_one_clip_is_no_fault_of_the_clips():
    with pytest.raises(G3ANError, match="3 real clips are too few for a bootstrap interval"):
        interval(fid, cloud(0, 3), cloud(1, 50), seed=0)
    alike = cloud(1, 4)
    alike[1:] = alike[1]
    with pytest.raises(G3ANError, match="4 generated clips are too few for a bootstrap interval"):
        interval(fid, cloud(0, 50), alike, seed=0)
    with pytest.raises(G3ANError, match="All generated clips have the same features"):
        interval(fid, cloud(0, 50), torch.ones(4, 24), seed=0)


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (torch.zeros(1, 4), r"are \(1, 4\)"),
        (torch.zeros(4), r"are \(4,\)"),
        (torch.full((5, 4), 2.0), "the same features"),
        (torch.tensor([[1.0, 2.0], [float("nan"), 0.0]]), "not finite"),
    ],
)
def test_unusable_features_are_refused(features, said):
    with pytest.raises(G3ANError, match=said):
        check_features(features, "generated")
    with pytest.raises(G3ANError, match=said):
        metrics.fid(torch.randn(5, 4), features)


def test_features_of_two_extractors_are_not_compared():
    with pytest.raises(G3ANError, match="24 numbers a clip, generated ones 8"):
        fid(cloud(0), cloud(1, width=8))

"""Probes: pooling, information and intervals against torch's, scikit-learn's and SciPy's; cases that are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics
from torch.nn import functional

from vqkit.errors import ConfigError, DataError
from vqkit.evaluation import CodeLabels, LinearProbe
from vqkit.evaluation.probing import (
    bootstrap_interval,
    chance_information_bits,
    describe_features,
    frequent_codes,
    index_shares,
    pooled,
    pooling_matrix,
    signal_features,
    wilson_interval,
)
from vqkit.signals import signal_kind

RNG = np.random.default_rng(0)


def some_indices(*shapes: tuple[int, ...], codes: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(codes, shape, generator=generator) for shape in shapes]


# ---- pooling


@pytest.mark.parametrize(("grid", "parts"), [((10,), 3), ((2,), 4), ((5, 7), 4), ((2, 3, 4), 2), ((1, 1), 4)])
def test_pooling_is_torchs_adaptive_pooling(grid: tuple[int, ...], parts: int) -> None:
    latents = torch.randn(2, 3, *grid, generator=torch.Generator().manual_seed(0))
    pool = (functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d, functional.adaptive_avg_pool3d)
    expected = pool[len(grid) - 1](latents, [parts] * len(grid))  # type: ignore[arg-type]
    found = pooled(latents, parts)
    torch.testing.assert_close(found.view(2, -1, 3), expected.flatten(2).transpose(1, 2))
    by_matrix = pooling_matrix(grid, parts) @ latents.flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, by_matrix.flatten(1))
    assert pooled(latents[..., 0] if len(grid) == 1 else latents.flatten(1), parts).ndim == 2


@pytest.mark.parametrize("parts", [1, 3])
def test_shares_of_codes_are_averages_of_one_hot_vectors(parts: int) -> None:
    indices = some_indices((5, 4, 2), (2, 2, 2))
    codes = [torch.tensor([0, 3, 5]), torch.tensor([1])]
    found = index_shares(indices, parts, codes)
    for row, each in zip(found, indices, strict=True):
        one_hot = functional.one_hot(each, 6).float()  # [*grid, codebooks, K]
        columns = []
        for book, kept in enumerate(codes):
            others = [code for code in range(6) if code not in kept.tolist()]
            columns += [one_hot[..., book, kept], one_hot[..., book, others].sum(dim=-1, keepdim=True)]
        expected = pooled(torch.cat(columns, dim=-1).movedim(-1, 0).unsqueeze(0), parts)[0]
        torch.testing.assert_close(row, expected)
    torch.testing.assert_close(found.sum(dim=1), torch.full((2,), 2.0 * parts**2))


def test_the_most_frequent_codes_have_a_share_of_their_own() -> None:
    indices = [torch.tensor([7, 7, 7, 2, 2, 9]).unsqueeze(1)]
    assert [each.tolist() for each in frequent_codes(indices, 2)] == [[2, 7]]
    assert [each.tolist() for each in frequent_codes(indices, 10)] == [[2, 7, 9]]
    unseen = index_shares([torch.tensor([[400]])], 1, [torch.tensor([2, 7])])
    assert unseen.tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(
    ("name", "shape", "numbers"),
    [("sound@8000", (1, 900), 160), ("sound", (2, 50), 160), ("image", (1, 28, 28), 784), ("image", (3, 300, 200), 972),
     ("vector", (7,), 7), ("video", (1, 4, 64, 64), 1000)],
)  # fmt: skip
def test_features_of_signals_are_few_and_of_one_number(name: str, shape: tuple[int, ...], numbers: int) -> None:
    kind = signal_kind(name)
    for size in (shape, shape if len(shape) < 2 else (shape[0], *(each - 1 for each in shape[1:]))):
        found = signal_features(torch.rand(2, *size), kind, 4, max(shape[1:], default=1))
        assert found.shape == (2, numbers)
        assert found.isfinite().all()
    assert describe_features(kind)


def test_features_of_a_small_image_are_its_pixels() -> None:
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(signal_features(x, signal_kind("image"), 4, 8), x.flatten(2).transpose(1, 2).flatten(1))


def test_log_mel_means_tell_a_low_tone_from_a_high_one() -> None:
    time = torch.arange(8000) / 8000
    low, high = (torch.sin(2 * math.pi * hertz * time).view(1, 1, -1) for hertz in (200, 3000))
    found = [signal_features(each, signal_kind("sound@8000"), 1, 8000)[0].argmax() for each in (low, high)]
    assert found[0] < found[1]


# ---- codes and labels


def test_codes_that_equal_the_label_tell_it_all() -> None:
    labels = np.arange(40) % 4
    indices = [torch.full((5,), int(label)) for label in labels]
    table = CodeLabels.count(indices, labels, 8, 4)
    assert table.mapping.tolist() == [0, 1, 2, 3, 0, 0, 0, 0]
    assert table.predict(indices).tolist() == labels.tolist()
    assert table.mutual_information_bits == pytest.approx(2)
    assert table.label_entropy_bits == table.code_entropy_bits == 2
    right, positions = table.right_positions(indices, labels)
    assert right.tolist() == positions.tolist() == [5] * 40
    assert table.order().tolist() == [0, 1, 2, 3]
    assert table.conditional[1].tolist() == [0, 1, 0, 0]
    assert table.conditional[7].sum() == 0


def test_codes_that_are_independent_of_the_label_tell_nothing() -> None:
    labels = RNG.integers(0, 3, 400)
    indices = some_indices(*[(8,)] * 400)
    counted = CodeLabels.count(indices, labels, 6, 3).mutual_information_bits
    bias = chance_information_bits(indices, labels, 6, 3)
    assert counted == pytest.approx(10 / (2 * 3200 * math.log(2)), rel=1)
    assert abs(counted - bias) < 0.005
    held_out = some_indices(*[(8,)] * 900)[400:]
    table = CodeLabels.count(indices, labels, 6, 3)
    assert (table.predict(held_out) == RNG.integers(0, 3, 500)).mean() == pytest.approx(1 / 3, abs=0.08)


def test_information_is_scikit_learns() -> None:
    labels = RNG.integers(0, 3, 30)
    indices = [torch.from_numpy(RNG.integers(0, 2, 4) + int(label)) for label in labels]
    table = CodeLabels.count(indices, labels, 5, 3)
    flat = torch.cat(indices).numpy(), np.repeat(labels, 4)
    assert table.mutual_information_bits == pytest.approx(metrics.mutual_info_score(*flat) / math.log(2))


def test_the_positions_of_an_item_share_its_label_in_the_bias_too() -> None:
    """100 items of one code each: as few as 100 independent observations, however many positions."""
    labels = RNG.integers(0, 5, 100)
    codes = RNG.integers(0, 10, 100)
    few, many = ([torch.full((length,), int(code)) for code in codes] for length in (1, 50))
    bias = [chance_information_bits(each, labels, 10, 5) for each in (few, many)]
    assert bias[0] == pytest.approx(bias[1])
    assert bias[0] > 0.1
    assert chance_information_bits(few, labels, 10, 5, permutations=0) == 0


def test_items_without_label_are_left_out_of_the_table() -> None:
    indices = [torch.tensor([0, 0]), torch.tensor([1, 1]), torch.tensor([1, 1])]
    table = CodeLabels.count(indices, [0, 1, -1], 3, 2)
    assert table.counts.tolist() == [[2, 0], [0, 2], [0, 0]]
    assert chance_information_bits(indices, [0, 1, -1], 3, 2) == pytest.approx(1)
    with pytest.raises(DataError, match="below 2"):
        CodeLabels.count(indices, [0, 1, 2], 3, 2)
    with pytest.raises(DataError, match="3 items"):
        CodeLabels.count(indices, [0, 1], 3, 2)


# ---- intervals


@pytest.mark.parametrize(("hits", "count"), [(0, 5), (5, 5), (3, 10), (250, 270), (1, 1)])
def test_the_interval_is_wilsons(hits: int, count: int) -> None:
    expected = stats.binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson_interval(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_bootstrap_of_a_mean_is_its_standard_error() -> None:
    values = RNG.normal(size=400)
    low, high = bootstrap_interval(400, lambda drawn: values[drawn].mean(axis=1), resamples=4000)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)
    again = bootstrap_interval(400, lambda drawn: values[drawn].mean(axis=1), resamples=4000)
    assert again == (low, high)
    assert bootstrap_interval(400, lambda drawn: values[drawn].mean(axis=1), resamples=4000, seed=1) != (low, high)
    assert all(map(math.isnan, bootstrap_interval(3, lambda drawn: np.full(len(drawn), np.nan))))


def test_intervals_of_nothing_are_refused() -> None:
    for hits, count in ((0, 0), (2, 1), (-1, 3)):
        with pytest.raises(ConfigError, match="trial"):
            wilson_interval(hits, count)
    with pytest.raises(ConfigError, match="count=0"):
        bootstrap_interval(0, lambda drawn: drawn.mean(axis=1))


# ---- the penalty of the linear probe


def test_the_penalty_is_chosen_on_items_of_its_own() -> None:
    """Many numbers of noise beside one that tells: a large penalty is better, and of no noise a small one."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(200) % 2
    noisy = torch.randn(200, 300, generator=generator)
    noisy[:, 0] += 2 * y
    clear = (y * 2.0 - 1).unsqueeze(1)
    chosen = [LinearProbe.fit(each, y, penalty=(1.0, 100.0)).penalty for each in (noisy, clear)]
    assert chosen == [100.0, 1.0]
    again = LinearProbe.fit(noisy, y, penalty=(1.0, 100.0))
    assert torch.equal(again.weights, LinearProbe.fit(noisy, y, penalty=100).weights)
    assert again.classes.tolist() == [0, 1]


@pytest.mark.parametrize("penalty", [0, -1.0, (), (1.0, math.nan), math.inf])
def test_penalties_that_are_none(penalty: Any) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        LinearProbe.fit(torch.randn(6, 2), torch.arange(6) % 2, penalty=penalty)

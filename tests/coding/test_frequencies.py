"""Integer frequencies: the same as unbounded integers give, at every size and bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import range_coding as reference
from vqkit.coding import frequencies, ideal_bits, uniform_frequencies
from vqkit.errors import ConfigError

WEIGHTS = st.lists(st.one_of(st.just(0), st.integers(0, 9), st.integers(0, 2**39)), min_size=1, max_size=40)


@given(WEIGHTS)
def test_frequencies_are_those_of_unbounded_integers(weights: list[int]) -> None:
    assert frequencies(np.array(weights, dtype=np.int64)).tolist() == reference.frequencies(weights)


@given(st.lists(WEIGHTS, min_size=1, max_size=5), st.sampled_from([np.int64, np.uint64, np.int32, np.uint8]))
def test_rows_do_not_know_of_each_other(rows: list[list[int]], dtype: type) -> None:
    codes = min(map(len, rows))
    weights = np.array([row[:codes] for row in rows]) % min(int(np.iinfo(dtype).max) + 1, 2**39 + 1)
    found = frequencies(weights.astype(dtype).reshape(1, len(rows), codes))
    assert found.dtype == np.int64
    assert found.shape == (1, len(rows), codes)
    for row, given_ in zip(found[0], weights.tolist(), strict=True):
        assert row.tolist() == reference.frequencies(given_)


@pytest.mark.parametrize("codes", [1, 2, 3, 4096, 2**15 - 1, 2**15, 2**15 + 1, 2**20])
def test_every_row_sums_to_the_total(codes: int) -> None:
    weights = np.zeros((3, codes), dtype=np.int64)
    weights[1] = 2**39
    weights[2, codes // 2] = 2**39
    found = frequencies(weights)
    assert found.min() >= 1
    assert (found.sum(axis=-1) == 2**24).all()
    assert (found[0] == uniform_frequencies(codes)).all()
    assert found[2, codes // 2] == 2**24 - codes + 1
    assert found[0].max() - found[0].min() < codes  # the rest of the divisions


def test_more_weight_is_never_a_smaller_frequency() -> None:
    weights = np.sort(np.random.default_rng(0).integers(0, 1000, size=(50, 300)), axis=-1)
    assert (np.diff(frequencies(weights), axis=-1)[np.diff(weights, axis=-1) > 0] >= 0).all()


def test_many_rows_at_once_are_the_rows_one_by_one() -> None:
    weights = np.random.default_rng(1).integers(0, 2**39, size=(300, 700))
    whole = frequencies(weights)
    assert (whole == np.stack([frequencies(row) for row in weights])).all()
    assert (whole == frequencies(weights[:, ::-1])[:, ::-1]).mean() > 0.99  # nothing but the rest depends on order
    assert frequencies(weights[:0]).shape == (0, 700)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.array([0.5, 0.5]), "float64"),
        (np.array(3), r"shape \(\)"),
        (np.array([-1, 2]), "from -1 to 2"),
        (np.array([0, 2**39 + 1]), r"2\*\*39"),
        (np.array([0, 2**64 - 1], dtype=np.uint64), r"2\*\*39"),
        (np.zeros(0, dtype=np.int64), "0 symbols"),
        (np.zeros(2**20 + 1, dtype=np.int8), "1048577 symbols"),
        (np.array([True, False]), "bool"),
    ],
)
def test_weights_that_are_refused(weights: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        frequencies(weights)


@settings(max_examples=30)
@given(WEIGHTS, st.randoms(use_true_random=False))
def test_ideal_bits(weights: list[int], random: object) -> None:
    table = frequencies(np.array(weights))
    symbols = np.arange(len(weights))[::-1]
    bits = -sum(math.log2(table[symbol] / 2**24) for symbol in symbols)
    assert ideal_bits(symbols, table) == pytest.approx(bits)
    assert ideal_bits(symbols, np.broadcast_to(table, (len(symbols), len(table)))) == pytest.approx(bits)


@pytest.mark.parametrize("codes", [1, 2, 7, 512, 65_536])
def test_the_network_and_the_coder_make_the_same_frequencies(codes: int) -> None:
    """One formula on two floors: torch where the network is, NumPy where files are."""
    import torch

    from vqkit.exact import frequencies as of_network

    rng = np.random.default_rng(codes)
    weights = rng.integers(0, 1 << 20, size=(5, codes))
    weights[1] = 0
    weights[2, 0] = 1 << 20
    weights[3] = 3
    wanted = frequencies(weights)
    if codes > 1:
        assert np.array_equal(of_network(torch.from_numpy(weights[[0, 2, 3, 4]])).numpy(), wanted[[0, 2, 3, 4]])
    assert (wanted.sum(axis=1) == 1 << 24).all()

"""The range coder: its tables are exactly ours, its bytes are those of an implementation with unbounded integers."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.reference import range_coding as reference
from vqkit.coding import Decoder, Encoder, frequencies, ideal_bits, uniform_frequencies
from vqkit.errors import BitstreamError, ConfigError


@st.composite
def messages(draw: st.DrawFn) -> list[tuple[np.ndarray, np.ndarray]]:
    """Parts of symbols and frequencies, shared or one a symbol; a few seeds, from which numpy draws the rest."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    parts = []
    for _ in range(draw(st.integers(0, 3))):
        codes, count = draw(st.integers(1, 12)), draw(st.integers(0, 25))
        shape = (codes,) if draw(st.booleans()) else (count, codes)
        weights = rng.integers(0, 10 ** draw(st.integers(0, 11)) + 1, size=shape)
        weights *= rng.random(shape) < draw(st.sampled_from([0.1, 0.5, 1.0]))
        table = frequencies(weights)
        kind = draw(st.sampled_from(["any", "likely", "first", "last"]))
        symbols = {
            "any": rng.integers(0, codes, size=count),
            "likely": np.broadcast_to(table.argmax(axis=-1), (count,)),
            "first": np.zeros(count, dtype=np.int64),
            "last": np.full(count, codes - 1),
        }[kind]
        parts.append((symbols.astype(np.int32), table))
    return parts


def encoded(parts: list[tuple[np.ndarray, np.ndarray]]) -> bytes:
    encoder = Encoder()
    for symbols, table in parts:
        encoder.encode(symbols, table)
    return encoder.bytes()


def decoded(data: bytes, parts: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    decoder = Decoder(data)
    found = [decoder.decode(table, len(symbols) if table.ndim == 1 else None) for symbols, table in parts]
    decoder.finish()
    return found


def rows(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[list[int], list[list[int]]]:
    """Parts as the reference takes them."""
    symbols = [int(symbol) for part, _ in parts for symbol in part]
    tables = [row.tolist() for part, table in parts for row in np.broadcast_to(table, (len(part), table.shape[-1]))]
    return symbols, tables


@settings(max_examples=400)
@given(messages())
def test_round_trip_within_the_ideal_length_as_the_reference(parts: list[tuple[np.ndarray, np.ndarray]]) -> None:
    data = encoded(parts)
    symbols, tables = rows(parts)
    assert data == reference.encode(symbols, tables)
    assert reference.decode(data, tables) == symbols
    for (part, _), found in zip(parts, decoded(data, parts), strict=True):
        assert found.dtype == np.int32
        assert (found == part).all()
    ideal = sum(ideal_bits(part, table) for part, table in parts)
    assert 8 * len(data) <= ideal + 8 + len(symbols) / 177  # log2(1 / (1 - 2**-8)): the range has 8 spare bits or more


@settings(max_examples=300)
@given(messages(), st.binary(max_size=24))
def test_any_bytes_decode_as_the_reference_or_are_refused(
    parts: list[tuple[np.ndarray, np.ndarray]], data: bytes
) -> None:
    _, tables = rows(parts)
    expected = reference.decode(data, tables)
    try:
        found = decoded(data, parts)
    except BitstreamError:
        assert expected is None or reference.encode(expected, tables) != data
    else:
        assert [int(symbol) for part in found for symbol in part] == expected
        assert encoded([(part, table) for part, (_, table) in zip(found, parts, strict=True)]) == data


@pytest.mark.parametrize("codes", [2, 3, 256, 4096, 100_000])
@pytest.mark.parametrize("shared", [True, False])
def test_the_librarys_table_is_exactly_the_frequencies(codes: int, shared: bool) -> None:
    """The first symbol's interval, as the coder states it, is scale x (sum before, frequency)."""
    rng = np.random.default_rng(codes)
    table = frequencies((rng.pareto(0.5, size=codes) * 100).clip(0, 2**39).astype(np.int64))
    before, scale = np.concatenate([[0], np.cumsum(table)]), 2**40 - 1
    for symbol in {0, 1, codes // 2, codes - 2, codes - 1, *rng.integers(0, codes, size=200 if codes < 9999 else 5)}:
        encoder = Encoder()
        encoder.encode(np.array([symbol]), table if shared else table[None])
        _, (lower, width) = encoder._coder.pos()
        assert (lower, width) == (scale * int(before[symbol]), scale * int(table[symbol]))


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 3, 4, 5, 8, 9, 12, 13]), st.integers(1, 120))
def test_the_shortest_bytes_even_when_a_carry_runs_through_held_back_words(seed: int, length: int, count: int) -> None:
    """Symbols whose interval contains a short fraction all along: the coder holds its words back to the end."""
    rng = np.random.default_rng(seed)
    short = bytes([*rng.integers(0, 128, size=length - 1).tolist(), 128])
    table = frequencies(rng.integers(0, 3, size=(count, 3)) ** 12)
    symbols = reference.decode(short, table.tolist())
    assume(symbols is not None)  # not in the sliver that rounding leaves outside all intervals
    parts = [(np.array(symbols), table)]
    data = encoded(parts)
    assert data == reference.encode(symbols, table.tolist())
    assert len(data) <= length
    assert (decoded(data, parts)[0] == symbols).all()


def test_an_interval_that_begins_just_below_a_word_boundary() -> None:
    """There the library itself has already carried into the words it held back."""
    low, width, middle, carried = 0, 2**64 - 1, 2**63, 0
    symbols, tables = [], []
    for _ in range(40):
        scale = width >> 24
        before = (middle - low) // scale
        table = [before, 2**24 - before] if before else [2, 2**24 - 2]
        symbols.append(int(before > 0))
        tables.append(table)
        low, width = low + scale * before, scale * (table[1] if before else 2)
        if width < 2**32:
            low, width, middle = low << 32, width << 32, middle << 32
        carried += low % 2**64 + 2**32 - 1 >= 2**64
        assert encoded([(np.array(symbols), np.array(tables))]) == reference.encode(symbols, tables) == b"\x80"
    assert carried > 5


def test_one_symbol_costs_nothing() -> None:
    table = np.full((5, 1), 2**24)
    assert encoded([(np.zeros(5, dtype=np.int32), table), (np.zeros(9, dtype=np.int32), table[0])]) == b""
    assert Decoder(b"").decode(table).tolist() == [0] * 5
    assert Decoder(b"").decode(table[0], 3).tolist() == [0] * 3


def test_rows_in_one_call_are_rows_in_many() -> None:
    """Large enough for several passes of the conversion."""
    rng = np.random.default_rng(3)
    table = frequencies(rng.integers(0, 1000, size=(500, 300)))
    symbols = rng.integers(0, 300, size=500)
    data = encoded([(symbols, table)])
    assert data == encoded([(symbols[k : k + 1], table[k : k + 1]) for k in range(500)])
    decoder = Decoder(data)
    found = [decoder.decode(table[:1]), decoder.decode(table[1:499]), decoder.decode(table[499], 1)]
    decoder.finish()
    assert (np.concatenate(found) == symbols).all()


def test_more_may_follow_after_bytes() -> None:
    table, encoder = uniform_frequencies(100), Encoder()
    encoder.encode(np.arange(50), table)
    first = encoder.bytes()
    assert encoder.bytes() == first
    encoder.encode(np.arange(50), table)
    assert encoder.bytes() == encoded([(np.tile(np.arange(50), 2), table)])


def test_bytes_left_over_are_refused() -> None:
    table, symbols = uniform_frequencies(256), np.arange(20)
    data = encoded([(symbols, table)])
    for wrong in (data + b"\0", data + b"\1", data + data):
        decoder = Decoder(wrong)
        decoder.decode(table, 20)
        with pytest.raises(BitstreamError, match="bytes"):
            decoder.finish()
    decoder = Decoder(data)
    decoder.decode(table, 19)
    with pytest.raises(BitstreamError, match="written in"):
        decoder.finish()


def test_bytes_outside_all_intervals_are_refused() -> None:
    with pytest.raises(BitstreamError, match="outside all intervals"):
        Decoder(b"\xff" * 8).decode(uniform_frequencies(7), 3)


@pytest.mark.parametrize(
    ("symbols", "table", "message"),
    [
        ([0, 7], [2**24 - 6, 1, 1, 1, 1, 1, 1], "from 0 to 7"),
        ([-1], [2**23, 2**23], "from -1"),
        ([2**32], [2**23, 2**23], "to 4294967296"),
        ([0.0], [2**23, 2**23], "float64"),
        ([0], [2**24, 0], "at least 0"),
        ([0], [2**24 + 1, -1], "at least -1"),
        ([0], [2**23, 2**23 - 1], "sums from 16777215"),
        ([0], [0.5, 0.5], "float64"),
        ([[0]], [2**23, 2**23], r"shape \(1, 1\)"),
        ([0, 0], [[2**23, 2**23]], "belong together"),
        ([0], [[[2**24]]], r"\[K\] or \[N, K\]"),
        ([0], [2**62, 2**62, 2**62, 2**62 + 2**24], "sums"),
    ],
)
def test_what_no_encoder_takes(symbols: list, table: list, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Encoder().encode(np.array(symbols), np.array(table))


def test_counts_belong_to_shared_frequencies() -> None:
    table = uniform_frequencies(4)
    for count in (None, -1):
        with pytest.raises(ConfigError, match="count"):
            Decoder(b"").decode(table, count)
    with pytest.raises(ConfigError, match="count=3"):
        Decoder(b"").decode(table[None], 3)


def test_tables_are_converted_a_few_rows_at_once() -> None:
    table = np.broadcast_to(uniform_frequencies(4096), (2000, 4096))
    encoded([(np.zeros(2, dtype=np.int32), table[:2])])
    tracemalloc.start()
    encoded([(np.zeros(2000, dtype=np.int32), table)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000  # the whole as float32 has 32 MB

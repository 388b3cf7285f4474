"""Fields within a bound: every value, every type, gaps; damaged files; the lattice, the pyramid and the coder."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vqkit
from tests.codec.bounded_fields import random_field, violations
from vqkit.codec import Codec, Compressor, Decompressor, Signal
from vqkit.codec.bounded.blocks import decode_values, encode_values
from vqkit.codec.bounded.bound import MaxError
from vqkit.codec.bounded.lattice import outside
from vqkit.codec.bounded.pyramid import passes
from vqkit.codec.bounded.symbols import StepCoder
from vqkit.codec.inspect import inspect_file
from vqkit.errors import BitstreamError, ConfigError, DataError


@given(st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_no_value_is_outside_its_bound(seed: int) -> None:
    assert violations(*random_field(np.random.default_rng(seed))) == 0


@given(st.lists(st.integers(1, 19), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_pass_reads_what_earlier_ones_decoded(grid: list[int]) -> None:
    seen = np.zeros(math.prod(grid), bool)
    for each in passes(tuple(grid)):
        assert seen[each.around].all()
        assert not seen[each.places].any()
        assert not len(each.fixed) or each.fixed.sum() == 256
        seen[each.places] = True
    assert seen.all()


@given(st.lists(st.integers(-(2**44), 2**44), max_size=60), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_steps_of_any_size_come_back(steps: list[int], low: int) -> None:
    own, context = np.array(steps, np.int64), np.arange(len(steps)) % 5
    lows = np.full(len(steps), low)
    coder = StepCoder()
    coder.code(own, context, lows)
    again = StepCoder(coder.finish())
    assert np.array_equal(again.code(None, context, lows), own)
    again.finish()


def test_an_error_that_rounding_hides_is_seen() -> None:
    value, bound = np.array([1.0]), 2.0**-53
    assert outside(np.array([1.0 + 2.0**-52]), value, bound).all()
    assert outside(np.array([2.0**53]), np.array([-0.5]), 2.0**53).all()  # fl(2^53 + 0.5) = 2^53
    assert not outside(np.array([1.5]), value, 0.5).any()


def test_smooth_fields_cost_little() -> None:
    y, x = np.mgrid[:128, :128] / 20
    field = np.stack([np.sin(x) * np.cos(y), np.cos(x + y)])[None]
    data, decoded = encode_values(field, [1e-3, 1e-3], np.dtype("float32"))
    assert np.abs(decoded - field).max() <= 1e-3
    assert 8 * len(data) / field.size < 1.5
    assert np.array_equal(decode_values(data, np.isnan(field), np.dtype("float32")), decoded)


def _model(values: np.ndarray) -> vqkit.VQVAE:
    source = vqkit.load_source(values, kind="field@NCHW")
    return vqkit.VQVAE.for_source(source, codebook_size=16, hidden_channels=8).eval()


def _winds() -> np.ndarray:
    winds = np.random.default_rng(0).normal(size=(3, 2, 40, 36)).cumsum(2).cumsum(3).astype(np.float32)
    winds[0, 0, 3:6, 7:20] = np.nan
    return winds


def test_files_keep_the_bound_and_the_gaps() -> None:
    winds = _winds()
    codec = Codec(_model(winds), max_error="0.1,1%")
    found = codec.decompress(codec.compress(torch.from_numpy(winds))).numpy()
    assert np.array_equal(np.isnan(found), np.isnan(winds))
    error = np.nan_to_num(np.abs(found.astype(np.float64) - winds))
    assert error[:, 0].max() <= 0.1
    assert error[:, 1].max() <= 0.01 * np.ptp(winds[:, 1])


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "int32"])
def test_a_bound_of_0_is_lossless(kind: str) -> None:
    about = np.iinfo(kind)
    counts = np.random.default_rng(1).integers(about.min, about.max, (2, 1, 24, 24), endpoint=True).astype(kind)
    source = vqkit.load_source(counts, kind="field@NCHW")
    codec = Codec(_model(counts), max_error=0)
    found = codec.decompress(codec.compress(source)).numpy()
    assert np.array_equal(found, counts.astype(found.dtype))


def test_groups_say_what_they_promise() -> None:
    winds, file = _winds(), io.BytesIO()
    model = _model(winds)
    Compressor(model, max_error=0.25).write(file, [Signal(each, f"{n}.npy") for n, each in enumerate(winds)])
    about = inspect_file(io.BytesIO(file.getvalue()), shown=5)
    assert about.groups[0].header.bounds == (0.25, 0.25)
    assert any("float32 to within 0.25" in line for line in about.lines(5))
    found = list(Decompressor(model).read(io.BytesIO(file.getvalue())))
    assert [each.name for each in found] == ["0.npy", "1.npy", "2.npy"]
    coarse = list(Decompressor(model, codebooks=1).read(io.BytesIO(file.getvalue())))
    assert coarse[0].values.shape == (2, 40, 36)


def test_damage_is_an_error() -> None:
    winds = _winds()[1:]
    codec = Codec(_model(winds), max_error=0.5)
    blob = codec.compress(torch.from_numpy(winds))
    for place in range(12, len(blob), 97):
        damaged = bytearray(blob)
        damaged[place] ^= 0x10
        with pytest.raises(BitstreamError):
            codec.decompress(bytes(damaged))
    data, decoded = encode_values(winds.astype(np.float64), [0.5, 0.5], np.dtype("float32"))
    for cut in range(0, len(data), 61):
        try:
            found = decode_values(data[:cut], np.isnan(winds), np.dtype("float32"))
        except BitstreamError:
            continue
        assert not np.array_equal(found, decoded)  # which the checksum of the block says


@pytest.mark.parametrize("text", ["-1", "nan", "a", "1%%", "", "0.1,", "inf"])
def test_bounds_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"0\.1%"):
        MaxError.read(text)


def test_what_bounds_are_not_for() -> None:
    with pytest.raises(ConfigError, match="for fields"):
        Codec(vqkit.VQVAE(16, hidden_channels=8), max_error=0.1)
    with pytest.raises(ConfigError, match="3 bounds for 2 channels"):
        Codec(_model(_winds()), max_error=[1, 2, 3])


def test_a_number_that_the_type_does_not_hold() -> None:
    winds = _winds()
    codec = Codec(_model(winds.astype(np.float16)), max_error=0)
    with pytest.raises(DataError, match="float16"):
        codec.compress(torch.from_numpy(winds))

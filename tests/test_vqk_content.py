"""What goes into files, and what they say of it: numbers that are refused, models as they are now, many groups."""

from __future__ import annotations

import io
import math

import pytest
import torch

from tests.test_vqk import tokenizer
from vqkit.codec import Codec, Compressor, Signal
from vqkit.errors import DataError


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.uint16, torch.int8, torch.bool])
def test_integers_of_unknown_range_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(DataError, match=f"has numbers of {str(dtype)[6:]}: give uint8"):
        Codec(tokenizer()).compress(torch.ones(1, 8, 8).to(dtype))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    model, x = tokenizer(1), torch.zeros(2, 20)
    assert Codec(model).compress(x.double())
    x[1, 7] = value
    with pytest.raises(DataError, match="a signal holds NaN or infinity"):
        Codec(model).compress(x)
    with pytest.raises(DataError, match=r"b\.wav holds NaN or infinity"):
        Compressor(model).write(io.BytesIO(), [Signal(x.numpy(), "b.wav")])

"""Modes: what encodes, decodes, compresses and measures leaves a model in the mode it is in, and each of its parts."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vqkit
from vqkit.codec import Compressor, Decompressor, Signal, entropy_model
from vqkit.tokens import detokenize

IMAGE = np.zeros((1, 8, 8), np.uint8)


def _compress(model: vqkit.VQVAE, **named: Any) -> bytes:
    file = io.BytesIO()
    Compressor(model, **named).write(file, [Signal(IMAGE)])
    return file.getvalue()


USES: dict[str, Callable[[vqkit.VQVAE, Any, Path], object]] = {
    "tokenize": lambda model, data, path: vqkit.tokenize(model, data, path / "t"),
    "tokenize with rates": lambda model, data, path: vqkit.tokenize(model, data, path / "t", rate_weights=[0.0, 0.1]),
    "detokenize": lambda model, data, path: detokenize(model, vqkit.tokenize(model, data, path / "t"), path / "d"),
    "codec": lambda model, data, path: vqkit.Codec(model).decompress(vqkit.Codec(model).compress(IMAGE)),
    "compressor": lambda model, data, path: _compress(model),
    "rates": lambda model, data, path: _compress(model, rate_weight=0.1),
    "optimized": lambda model, data, path: _compress(
        model, entropy=entropy_model(vqkit.HistogramPrior(8, (2, 2)), 8), rate_weight=0.1, optimize=True
    ),
    "decompressor": lambda model, data, path: list(Decompressor(model).read(io.BytesIO(_compress(model)))),
    "fast": lambda model, data, path: list(Decompressor(model, fast=True).read(io.BytesIO(_compress(model)))),
    "evaluate": lambda model, data, path: vqkit.evaluate(model, data),
}


@pytest.mark.parametrize("use", USES)
def test_a_model_stays_in_its_mode_and_gives_what_it_gives_in_evaluation(use: str, tmp_path: Path) -> None:
    data = vqkit.load_source("builtin:digits").subset(range(12))
    model = vqkit.VQVAE.for_source(data, 8, hidden_channels=8, residual_blocks=0, seed=0).train()
    model(data[:])
    model.decoder.eval()
    before = [part.training for part in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    USES[use](model, data, tmp_path)
    assert [part.training for part in model.modules()] == before
    assert all(bool((value == state[name]).all()) for name, value in model.state_dict().items())


def test_files_and_tokens_are_the_same_in_both_modes(tmp_path: Path) -> None:
    data = vqkit.load_source("builtin:digits").subset(range(12))
    options = {"num_codebooks": 3, "stacking": "residual", "quantizer_options": {"quantizer_dropout": 0.9}}
    model = vqkit.VQVAE.for_source(data, 8, hidden_channels=8, residual_blocks=0, seed=0, **options).train()
    model(data[:])
    training = vqkit.Codec(model).compress(data[:]), vqkit.tokenize(model, data, tmp_path / "a")[:]
    model.eval()
    assert vqkit.Codec(model).compress(data[:]) == training[0]
    np.testing.assert_array_equal(vqkit.tokenize(model, data, tmp_path / "b")[:], training[1])

"""Settings that a kind of signal suggests: taken where nothing stands in their place, never beside what is given."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import vqkit
from vqkit.data import Source
from vqkit.models.rates.suited import suited_options
from vqkit.networks import ConvNeXtDecoder
from vqkit.signals import signal_kind

OBJECTIVE = "compressed(phase=0.1) + 2*envelope"


def speech(rate: str = "@8k") -> Source:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (6, 1, 3200)).astype(np.float32)
    return vqkit.load_source(noise, kind=f"sound{rate}")


def said(run: Any) -> Any:
    return json.loads((run.path / "run.json").read_text())["training"]["objective"]


def test_a_bare_model_of_sounds_has_networks_frames_and_rates() -> None:
    model = vqkit.VQVAE.for_source(speech())
    assert isinstance(model.decoder, ConvNeXtDecoder)
    assert (model.downsampling, model.num_codebooks, model.codebook_size) == (160, 12, 1024)
    assert not model.encoder.causal
    assert not model.decoder.causal
    assert model.default_settings()["objective"] == OBJECTIVE
    assert model.default_settings()["optimizer"] == "muon"


def voices() -> Source:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (6, 1, 3200)).astype(np.float32)
    return vqkit.data.ArraySource(noise, kind="sound@8k", labels=np.arange(6) % 2, class_names=["anna", "ben"])


def test_a_conditional_model_of_sounds_has_few_bits() -> None:
    model = vqkit.VQVAE.for_source(voices(), conditional=True, hidden_channels=16)
    assert isinstance(model.decoder, ConvNeXtDecoder)
    assert (model.downsampling, model.num_codebooks, model.codebook_size) == (320, 1, 512)
    given = vqkit.VQVAE.for_source(voices(), conditional=True, hidden_channels=16, kbps=3)
    assert (given.downsampling, given.num_codebooks, given.codebook_size) == (160, 6, 1024)
    own = vqkit.VQVAE.for_source(voices(), 16, conditional=True, hidden_channels=16)
    assert (own.downsampling, own.codebook_size) == (160, 16)
    own = vqkit.VQVAE.for_source(voices(), conditional=True, encoder="seanet", decoder="seanet", hidden_channels=8)
    assert (own.num_codebooks, own.codebook_size) == (1, 512)
    image = vqkit.load_source("builtin:digits").subset(range(8))
    assert vqkit.VQVAE.for_source(image, conditional=True, hidden_channels=8).codebook_size == 512


@pytest.mark.parametrize(
    ("given", "networks", "codebooks"),
    [
        ({"codebook_size": 64}, "convnext", 1),
        ({"num_codebooks": 2, "stacking": "residual"}, "convnext", 2),
        ({"kbps": 0.5}, "convnext", 1),
        ({"encoder": "seanet", "decoder": "seanet", "downsampling": 160}, "seanet", 12),
        ({"residual_channels": 8, "num_codebooks": 1}, "conv", 1),
        ({"downsampling": 320}, "convnext", 24),
    ],
)
def test_what_is_given_stands(given: dict[str, Any], networks: str, codebooks: int) -> None:
    model = vqkit.VQVAE.for_source(speech(), **{"hidden_channels": 16, **given})
    encoder = model.config.get("encoder", "conv")
    assert (encoder if isinstance(encoder, str) else encoder["type"]) == networks
    assert model.num_codebooks == codebooks
    assert model.config["hidden_channels"] == 16
    assert model.downsampling == given.get("downsampling", 160 if networks == "convnext" else 4)


def test_other_signals_are_as_they_were() -> None:
    assert suited_options(signal_kind("image"), {"code_dim": 8}, None, False) == ({"code_dim": 8}, None)
    plain = vqkit.VQVAE.for_source(speech(""), 16, hidden_channels=8)
    assert "encoder" not in plain.config
    assert plain.default_settings() == {}


def test_settings_of_the_decoder_hold_in_both_doors(tmp_path: Any) -> None:
    model = vqkit.VQVAE.for_source(speech(), 16, hidden_channels=8)
    run = vqkit.train(model, speech(), out=tmp_path / "run", steps=2, quiet=True, tensorboard=False)
    assert said(run) == OBJECTIVE
    plain = vqkit.VQVAE.for_source(speech(), 16, hidden_channels=8)
    again = vqkit.train(plain, speech(), out=tmp_path / "own", steps=2, objective="l1", quiet=True, tensorboard=False)
    assert said(again) == "l1"

"""Runs of ``vqkit quantize``: what they may replace, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from tests.cli.cases import refused
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.models.conversion.quantization import describe_divergence
from vqkit.training import resume
from vqkit.training.recipes.quantization import quantize_run
from vqkit.training.record.run import read_config


@pytest.fixture
def made(tmp_path: Path) -> tuple[vqkit.VAE, dict[str, Any]]:
    """A VAE's run of two steps, in ``vae/``, and how ``quantize_run`` is called for it."""
    data = vqkit.load_source(torch.rand(12, 1, 8, 8))
    vae = vqkit.VAE.for_source(data, 4, latent="grid", hidden_channels=8, group_bits=5.0)
    vqkit.train(vae, data, steps=2, batch_size=4, out=tmp_path / "vae", quiet=True)
    return vae.eval(), {"settings": read_config(tmp_path / "vae"), "held_out": data}


def test_a_trained_run_is_not_written_over(tmp_path: Path, made: tuple[vqkit.VAE, dict[str, Any]]) -> None:
    vae, how = made
    before = {each: each.read_bytes() for each in sorted((tmp_path / "vae").rglob("*")) if each.is_file()}
    for settings in (how["settings"], {}):
        with pytest.raises(ConfigError, match="already holds something"):
            quantize_run(vae, tmp_path / "vae", **{**how, "settings": settings})
    assert before == {each: each.read_bytes() for each in sorted((tmp_path / "vae").rglob("*")) if each.is_file()}


def test_a_quantized_run_is_made_anew_and_has_nothing_to_go_on_from(
    tmp_path: Path, made: tuple[vqkit.VAE, dict[str, Any]]
) -> None:
    vae, how = made
    for codes in (16, 64):
        quantize_run(vae, tmp_path / "vq", codebook_size=codes, **how)
        assert vqkit.load_model(tmp_path / "vq").codebook_size == codes
    with pytest.raises(ModelFolderError, match=r"no checkpoints to go on from.*start="):
        resume(tmp_path / "vq", data=how["held_out"], steps=3, quiet=True)


def test_a_vae_is_not_told_to_be_trained_for_what_it_was_trained_for() -> None:
    told = describe_divergence(torch.tensor([5.9]), 64, 4)
    assert told is not None
    assert "group_bits=6" in told
    told = describe_divergence(torch.tensor([5.9]), 64, 4, 6.0)
    assert told is not None
    assert "group_bits" not in told
    assert "codebook_size=" in told


def test_eval_refuses_a_prior_of_other_indices(tmp_path: Path, vq: Any, made: tuple[vqkit.VAE, dict[str, Any]]) -> None:
    vae, how = made
    quantize_run(vae, tmp_path / "vq", codebook_size=16, **how)
    vqkit.TransformerPrior(32, (2, 2), hidden_channels=8, layers=1, heads=1).eval().save_pretrained(tmp_path / "prior")
    np.save(tmp_path / "data.npy", np.zeros((3, 8, 8), np.uint8))
    refused(
        vq("eval", tmp_path / "vq", tmp_path / "data.npy", "--prior", tmp_path / "prior"), "prior is of another model"
    )

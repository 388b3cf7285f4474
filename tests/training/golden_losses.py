"""Golden trainings: 20 optimizer steps of every rung, quantizer, likelihood and prior, and the losses that they give.

Each case is trained by ``vqkit.train`` itself, so that batches, schedule, clipping, average of the weights, settling
and seeds are in the numbers too; in float64, which gives the same digits on processors of different vector widths, and
in float32, as users train. Public names only: the script runs before and after files have moved. To compare two
commits on one machine to the last bit::

    python -m tests.training.golden_losses --write old.json      # at the old commit
    VQKIT_EXACT_GOLDENS=old.json pytest tests/training/test_golden_losses.py    # at the new one
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vqkit
from vqkit.data import ArraySource
from vqkit.likelihoods import LIKELIHOODS
from vqkit.priors import PRIORS
from vqkit.quantizers import QUANTIZERS

STEPS = 20
DTYPES = {"float64": torch.float64, "float32": torch.float32}
SETTINGS: dict[str, Any] = {
    "batch_size": 16,
    "validation": "last:16",
    "learning_rate": 5e-3,
    "seed": 5,
    "device": "cpu",
}
LOOP: dict[str, Any] = {"steps": STEPS, "log_every": 1, "evaluations": 0, "checkpoint_seconds": 1e6}
NETWORK: dict[str, Any] = {
    "hidden_channels": 8,
    "residual_channels": 4,
    "residual_blocks": 1,
    "downsampling": 2,
}
VQ: dict[str, Any] = {**NETWORK, "code_dim": 4}
CLOSED_FORM = (vqkit.PCA, vqkit.HistogramPrior)
NUMBERS = ("mse", "ssim", "usage", "perplexity", "bits_per_dim", "bits_per_item", "residual_bits_per_dim")
"""Measures of the last evaluation that are kept; of the averaged weights, after codebook and scale are settled."""

Case = Callable[[], tuple[Any, Any, dict[str, Any]]]
"""Makes a model, its data and settings that differ from ``SETTINGS`` and ``LOOP``."""


def own(registry: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a registry that are this package's, whatever else a test or a plug-in has added."""
    return {name: kind for name, kind in registry.items() if kind.__module__.partition(".")[0] == "vqkit"}


@cache
def images(channels: int = 1) -> ArraySource:
    """80 smooth 8-bit images ``[channels, 8, 8]`` with 3 classes."""
    random = np.random.default_rng(11)
    classes = random.integers(0, 3, 80)
    y, x = np.mgrid[0:8, 0:8] / 8.0
    phase = random.random((80, channels, 1, 1)) * 2 * np.pi
    waves = np.sin(2 * np.pi * (classes[:, None, None, None] + 1) * (x + 0.5 * y) + phase)
    noisy = 128 + 90 * waves + random.normal(0, 12, waves.shape)
    return ArraySource(np.clip(noisy, 0, 255).astype(np.uint8), labels=classes)


@cache
def grids() -> ArraySource:
    """80 grids ``[4, 4]`` over 6 indices: twice the class of the item, or one more."""
    random = np.random.default_rng(12)
    classes = random.integers(0, 3, 80)
    return ArraySource(
        (2 * classes[:, None, None, None] + random.integers(0, 2, (80, 1, 4, 4))).astype(np.int32), labels=classes
    )


def vqvae(
    codebook_size: int = 16, *, settings: Mapping[str, Any] | None = None, channels: int = 1, **options: Any
) -> Case:
    def make() -> tuple[Any, Any, dict[str, Any]]:
        source = images(channels)
        return (
            vqkit.VQVAE.for_source(source, codebook_size, seed=3, **{**VQ, **options}),
            source,
            dict(settings or {}),
        )

    return make


def rung(kind: Any, *arguments: Any, **options: Any) -> Case:
    return lambda: (kind.for_source(images(), *arguments, seed=3, **options), images(), {})


def prior(kind: Any) -> Case:
    """A prior with whatever conditions its class takes."""

    def make() -> tuple[Any, Any, dict[str, Any]]:
        torch.manual_seed(3)
        if kind in CLOSED_FORM:
            return kind(6, [4, 4], per_position=True), grids(), {}
        return kind(6, [4, 4], hidden_channels=8, layers=2, classes=3, condition_dropout=0.3), grids(), {}

    return make


def pixels() -> tuple[Any, Any, dict[str, Any]]:
    """A pixel prior of colour images, on the indices of an untrained tokenizer."""
    source = images(3)
    tokenizer = vqkit.VQVAE.for_source(source, 16, seed=3, quantizer="fsq", **VQ)
    sizes = {"hidden_channels": 8, "layers": 1, "neighbours": 6, "features": 3, "components": 2}
    made = vqkit.PixelPrior.for_model(tokenizer, seed=3, token_channels=8, token_layers=1, **sizes)
    return made, source, {"flip": False}


COMPOSED: dict[str, Case] = {
    "product": vqvae(8, num_codebooks=2),
    "residual": vqvae(8, num_codebooks=2, stacking="residual", quantizer_options={"quantizer_dropout": 0.5}),
    "projected": vqvae(quantizer="gradient", quantizer_options={"projection_dim": 2}),
    "on the sphere": vqvae(quantizer_options={"cosine": True, "gradient": "rotation"}),
    "product of binary": vqvae(4, num_codebooks=2, quantizer="lfq"),
    **{name: vqvae(quantizer=name) for name in ("hierarchical", "multiscale", "wavelet")},
}
LOOPS: dict[str, Case] = {
    "crops in parts": vqvae(
        settings={"crop": 6, "flip": True, "accumulate": 2, "weight_decay": 0.1, "warmup_steps": 2, "clip_norm": 0.1}
    ),
    "frozen encoder": vqvae(settings={"freeze": ["encoder"], "average_decay": 0.0}),
}
CASES: dict[str, Case] = {
    "rung/pca": rung(vqkit.PCA, 6),
    "rung/autoencoder": rung(vqkit.Autoencoder, 4, **NETWORK),
    "rung/vae": rung(vqkit.VAE, 4, latent="grid", beta_warmup=10, free_bits=0.05, **NETWORK),
    "rung/vqvae": vqvae(channels=3, upsampling="resize", residual_blocks=2),
    "rung/vqvae with a linear path": vqvae(linear_path=True),
    **{f"quantizer/{name}": vqvae(quantizer=name) for name in own(QUANTIZERS)},
    **{f"quantizer/{name}": case for name, case in COMPOSED.items()},
    **{f"likelihood/{name}": vqvae(channels=3, likelihood=name, likelihood_warmup=10) for name in own(LIKELIHOODS)},
    **{f"prior/{name}": prior(kind) for name, kind in own(PRIORS).items()},
    "prior/pixels": pixels,
    **{f"loop/{name}": case for name, case in LOOPS.items()},
}


@contextmanager
def numerics(dtype: torch.dtype) -> Iterator[None]:
    """One thread and a default dtype, for a while; the global random generator is put back too."""
    threads, before, state = torch.get_num_threads(), torch.get_default_dtype(), torch.get_rng_state()
    torch.set_num_threads(1)
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(before)
        torch.set_rng_state(state)


def train(case: str, dtype: str) -> dict[str, Any]:
    """Losses and gradient norms of each step, measures of the last evaluation, and a digest of the saved weights."""
    with numerics(DTYPES[dtype]), tempfile.TemporaryDirectory() as folder:
        model, source, settings = CASES[case]()
        closed_form = isinstance(model, CLOSED_FORM)
        given = {**SETTINGS, **LOOP, **settings}
        if closed_form:
            given = {name: given[name] for name in ("validation", "seed", "device")}
        run = vqkit.train(model, source, out=Path(folder) / "run", quiet=True, tensorboard=False, **given)
        lines = [line for line in run.log() if line["kind"] == "train"]
        weights = (run.path / "model" / "model.safetensors").read_bytes()
    evaluation = {name: run.evaluation[name] for name in NUMBERS if run.evaluation.get(name) is not None}
    if isinstance(evaluation.get("bits_per_dim"), dict):
        evaluation["bits_per_dim"] = evaluation["bits_per_dim"]["total"]
    found = {"loss": [line["loss"] for line in lines], "gradient_norm": [line["gradient_norm"] for line in lines]}
    if closed_form:
        found = {name: tensor.double().flatten().tolist() for name, tensor in solved(model).items()}
    return {**found, "evaluation": evaluation, "weights": hashlib.sha256(weights).hexdigest()}


def solved(model: Any) -> dict[str, torch.Tensor]:
    """What a closed form has found, a few numbers of it."""
    names = ("mean", "variances", "total_variance", "count", "counts")
    return {name: tensor for name, tensor in model.state_dict().items() if name in names}


def main() -> None:
    """Write the numbers of all cases into a file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", type=Path, required=True, metavar="FILE")
    written = {dtype: {case: train(case, dtype) for case in CASES} for dtype in DTYPES}
    parser.parse_args().write.write_text(json.dumps(written, indent=0) + "\n")


if __name__ == "__main__":
    main()

"""Quantizers that are given as instances, and those of other people: recorded, saved, loaded, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import vqkit
from vqkit import VQVAE, EMAVectorQuantizer
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.quantizers import QUANTIZERS, Projected, Quantization, Quantizer, ResidualQuantizer, VectorQuantizer

SMALL: dict[str, Any] = {"channels": 1, "downsampling": 2, "hidden_channels": 8, "residual_channels": 4}
IMAGES = np.random.default_rng(0).integers(0, 256, (32, 1, 8, 8), dtype=np.uint8)


class Steps(Quantizer):
    """The first channel, rounded to whole numbers of a range."""

    def __init__(self, codebook_size: int = 8, *, code_dim: int = 2, levels: tuple[int, ...] = (1, 2)) -> None:
        super().__init__()
        self.codebook_size, self.code_dim, self.levels = codebook_size, code_dim, levels
        self.scale = torch.nn.Parameter(torch.ones(()))

    def encode(self, latents: Tensor) -> Tensor:
        self.check_latents(latents)
        return latents[:, 0].round().clamp(0, self.codebook_size - 1).long()

    def lookup(self, indices: Tensor) -> Tensor:
        values = self.check_indices(indices).to(self.scale.dtype) * self.scale
        return torch.stack([values, torch.zeros_like(values)], dim=1)

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        latents = self.enter(latents, mask)
        indices = self.encode(latents)
        return Quantization(latents + (self.lookup(indices) - latents).detach(), indices, {})


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUANTIZERS._parts, "steps", Steps)


@pytest.mark.parametrize(
    "make",
    [
        lambda: EMAVectorQuantizer(16, 4, decay=0.9, seed=3),
        lambda: ResidualQuantizer([VectorQuantizer(8, 4), EMAVectorQuantizer(8, 4, decay=0.8)], dropout=0.5),
        lambda: Projected(EMAVectorQuantizer(16, 2), 4),
        Steps,
    ],
    ids=["ema", "residual", "projected", "own"],
)
@pytest.mark.usefixtures("registered")
def test_an_instance_trains_resumes_saves_and_loads(make: Any, tmp_path: Path) -> None:
    quantizer = make()
    model = VQVAE(quantizer=quantizer, **SMALL)
    assert model.quantizer is quantizer
    assert (model.codebook_size, model.num_codebooks) == (quantizer.codebook_size, quantizer.num_codebooks)
    run = vqkit.train(model, IMAGES, out=tmp_path / "run", steps=4, batch_size=8, quiet=True, tensorboard=False)
    vqkit.resume(tmp_path / "run", data=IMAGES, steps=6, quiet=True, tensorboard=False)
    again = vqkit.load_model(run.path)
    assert type(again.quantizer) is type(quantizer)
    assert again.config == model.config
    model.save_pretrained(tmp_path / "saved")
    loaded = vqkit.load_model(tmp_path / "saved")
    images = torch.from_numpy(IMAGES)
    assert torch.equal(loaded.encode(images), model.eval().encode(images))


def test_a_setting_that_was_changed_since_is_saved_as_it_is(tmp_path: Path) -> None:
    model = VQVAE(quantizer=EMAVectorQuantizer(16, 4), **SMALL)
    model.quantizer.rate_weight = 0.25
    model.save_pretrained(tmp_path)
    assert vqkit.load_model(tmp_path).quantizer.rate_weight == 0.25


def test_a_part_that_is_not_registered_is_named_with_its_package(tmp_path: Path) -> None:
    model = VQVAE(quantizer=Steps(), **SMALL)
    with pytest.raises(ConfigError, match=r"Steps' is not known here: install the package 'tests'"):
        vqkit.train(model, IMAGES, out=tmp_path / "run", steps=1, quiet=True)
    model.save_pretrained(tmp_path / "saved")
    with pytest.raises((ConfigError, ModelFolderError), match=r"test_own_quantizers:Steps.*not known here"):
        vqkit.load_model(tmp_path / "saved")
    file = tmp_path / "saved" / "config.json"
    config = json.loads(file.read_text())
    for quantizer, message in [
        ({"type": "os:system", "config": {"command": "touch x"}, "package": "os"}, "not known here"),
        ({"type": "ema", "config": {"codebook_size": 16, "code_dim": 2, "zap": 1}}, "takes no 'zap'"),
        ({"type": "ema", "config": {"codebook_size": "many", "code_dim": 2}}, "codebook_size='many'"),
        ({"type": 3}, "give a name, or an object with type and config"),
    ]:
        file.write_text(json.dumps({**config, "quantizer": quantizer}))
        with pytest.raises((ConfigError, ModelFolderError), match=message):
            vqkit.load_model(tmp_path / "saved")


def test_what_does_not_belong_beside_an_instance_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        VQVAE(32, quantizer=EMAVectorQuantizer(16, 4), **SMALL)
    with pytest.raises(ConfigError, match="give them to the instance"):
        VQVAE(quantizer=EMAVectorQuantizer(16, 4), quantizer_options={"decay": 0.9}, **SMALL)
    with pytest.raises(ConfigError, match="quantizer is a Linear"):
        VQVAE(quantizer=torch.nn.Linear(2, 2), **SMALL)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="did you mean 'ema'"):
        VQVAE(quantizer="emma", **SMALL)


def test_an_argument_that_json_cannot_hold_is_refused_by_name() -> None:
    class Odd(Steps):
        def __init__(self, tensor: Tensor) -> None:
            super().__init__()
            self.tensor = tensor

    with pytest.raises(ConfigError, match=r"Odd\(tensor=.*Tensor cannot be saved"):
        VQVAE(quantizer=Odd(torch.ones(2)), **SMALL)

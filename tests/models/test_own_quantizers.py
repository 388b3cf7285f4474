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
        latents = self.validate(latents, mask)
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


class Loose(Quantizer):
    """A quantizer of four codes, of which a test breaks one promise."""

    def __init__(self, broken: str = "") -> None:
        super().__init__()
        self.codebook_size, self.code_dim, self.broken = (3 if broken == "range" else 4), 4, broken

    def encode(self, latents: Tensor) -> Tensor:
        if self.broken == "raises":
            return latents.view(7, -1)
        indices = latents.argmax(dim=1)
        return indices.float() if self.broken == "floats" else indices.flatten(1) if self.broken == "flat" else indices

    def lookup(self, indices: Tensor) -> Tensor:
        indices = indices.long()
        if self.broken == "flat":
            indices = indices.unflatten(1, (4, 4))
        codes = torch.nn.functional.one_hot(indices, 4).movedim(-1, 1).float()
        return codes[:, :2] if self.broken == "lookup" else codes

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Any:
        indices = self.encode(latents)
        codes = torch.nn.functional.one_hot(latents.argmax(dim=1), 4).movedim(-1, 1).float()
        if self.broken == "other codes":
            codes = 2 * codes
        if self.broken == "other indices":
            indices = (indices + 1) % 4
        error = (latents - codes).square()
        name = {"objective's": "reconstruction_loss", "log's": "mse"}.get(self.broken, "commitment_loss")
        losses: Any = {name: error.mean((1, 2, 3)) if self.broken == "per item" else error.mean()}
        losses = {"number": {name: 0.5}, "no table": error.mean(), "none": None}.get(self.broken, losses)
        quantized = latents + (codes - latents).detach()
        return (quantized, indices, losses) if self.broken == "tuple" else Quantization(quantized, indices, losses)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("other indices", r"quantizer Loose: forward and encode give different indices"),
        ("other codes", r"quantizer Loose: lookup of the indices of forward is not its quantized"),
        ("range", r"Loose.encode gives indices from 0 to 3; codebook_size=3.*\[0, 2\]"),
        ("floats", r"Loose.encode gives indices torch.float32 \[2, 4, 4\]; they have to be int64 \[2, 4, 4\]"),
        ("flat", r"Loose.encode gives indices torch.int64 \[2, 16\]; they have to be int64 \[2, 4, 4\]"),
        ("lookup", r"Loose.lookup gives torch.float32 \[2, 2, 4, 4\]; it has to give codewords"),
        ("tuple", r"Loose.forward gives a tuple; it has to give Quantization"),
        ("per item", r"gives the loss 'commitment_loss' as torch.float32 \[2\]; it has to be a float scalar"),
        ("number", r"gives the loss 'commitment_loss' as a float"),
        ("no table", r"gives losses as torch.float32 \[\]; give a dict"),
        ("none", r"gives losses as a NoneType; give a dict"),
        ("raises", r"Loose.encode fails on a batch.*RuntimeError.*\(test_own_quantizers.py, line \d+\)"),
    ],
)
def test_a_broken_contract_is_named_before_anything_is_written(
    broken: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(QUANTIZERS._parts, "loose", Loose)
    model = VQVAE(quantizer=Loose(broken), **SMALL)
    state = torch.get_rng_state()
    with pytest.raises(ConfigError, match=message) as refusal:
        vqkit.train(model, IMAGES, out=tmp_path / "run", steps=1, batch_size=8, quiet=True, tensorboard=False)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run").exists()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("broken", "name"), [("objective's", "reconstruction_loss"), ("log's", "mse")])
def test_no_loss_term_replaces_another(broken: str, name: str) -> None:
    model = VQVAE(quantizer=Loose(broken), **SMALL)
    with pytest.raises(ConfigError, match=rf"loss terms named {name}: .*a name of its own"):
        model(torch.from_numpy(IMAGES))


@pytest.mark.parametrize("given", [10**6, -1])
def test_indices_beyond_the_codebook_are_refused_whatever_lookup_does(given: int) -> None:
    model = VQVAE(quantizer=Steps(), **SMALL)
    model.quantizer.lookup = lambda indices: torch.zeros(len(indices), 2, *indices.shape[1:])  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"must lie in \[0, 7\]"):
        model.decode(torch.full((1, 4, 4), given))


def test_a_residual_stack_still_reads_fewer_stages() -> None:
    stack = ResidualQuantizer([VectorQuantizer(8, 4), VectorQuantizer(8, 4)])
    model = VQVAE(quantizer=stack, **SMALL).eval()
    indices = model.encode(torch.from_numpy(IMAGES[:2]))
    indices[..., 1] = -1
    assert torch.isfinite(model.decode(indices)).all()
    with pytest.raises(ValueError, match=r"indices reach from -2"):
        model.decode(indices - 1)


@pytest.mark.parametrize("setting", [{"code_dim": 8}, {"num_codebooks": 2}])
def test_sizes_beside_an_instance_are_its_own_or_refused(setting: dict[str, int]) -> None:
    (name,) = setting
    with pytest.raises(ConfigError, match=rf"{name}=\d, and the quantizer, a Steps, has \d: leave it out"):
        VQVAE(quantizer=Steps(), **setting, **SMALL)


def test_a_quantizer_without_its_sizes_is_refused() -> None:
    class Nameless(Steps):
        def __init__(self) -> None:
            super().__init__()
            del self.codebook_size

    with pytest.raises(ConfigError, match=r"Nameless.codebook_size is None; a quantizer says its codebook_size"):
        VQVAE(quantizer=Nameless(), **SMALL)


@pytest.mark.parametrize("name", ["place", "validate", "lookup"])
def test_a_tensor_with_the_name_of_a_method_is_refused_by_name(name: str) -> None:
    quantizer = Steps()
    with pytest.raises(ConfigError, match=rf"Steps: a tensor named '{name}' would hide the method of that name"):
        quantizer.register_buffer(name, torch.zeros(2))
    with pytest.raises(ConfigError, match=rf"a tensor named '{name}' would hide"):
        setattr(quantizer, name, torch.nn.Parameter(torch.zeros(2)))

"""Encoders and decoders from outside: any downsampling, saved if registered, refused if they do not fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.codec import limits
from vqkit.errors import ConfigError, VqkitError
from vqkit.networks import DECODERS, ENCODERS, Network
from vqkit.networks.linear_path import LinearPath

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class Patches(Network):
    def __init__(
        self, in_channels: int = 1, out_channels: int = 6, patch: Any = 3, axes: int = 2, halo: Any = 0
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.halo = in_channels, out_channels, halo
        self.downsampling = tuple(patch) if isinstance(patch, list) else patch
        self.layer = CONV[axes](in_channels, out_channels, self.downsampling, stride=self.downsampling)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Unpatches(Network):
    def __init__(
        self, in_channels: int = 6, out_channels: int = 1, patch: Any = 3, axes: int = 2, halo: Any = 0
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.halo = in_channels, out_channels, halo
        self.downsampling = tuple(patch) if isinstance(patch, list) else patch
        self.layer = TRANSPOSED[axes](in_channels, out_channels, self.downsampling, stride=self.downsampling)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


@pytest.fixture
def registered() -> Iterator[None]:
    ENCODERS.register("patches")(Patches)
    DECODERS.register("patches")(Unpatches)
    yield
    del ENCODERS._parts["patches"], DECODERS._parts["patches"]


def pair(patch: Any, axes: int = 2, halo: Any = 0) -> dict[str, Any]:
    return {
        "encoder": Patches(patch=patch, axes=axes, halo=halo),
        "decoder": Unpatches(patch=patch, axes=axes, halo=halo),
        "axes": axes,
    }


@pytest.mark.parametrize(
    ("patch", "axes", "size"),
    [(14, 2, (30, 15)), (3, 2, (7, 8)), (320, 1, (700,)), ((2, 5), 2, (5, 11)), ((1, 3, 2), 3, (2, 4, 5))],
)
def test_any_downsampling(patch: Any, axes: int, size: tuple[int, ...]) -> None:
    model = vqkit.VQVAE(16, **pair(patch, axes), linear_path=True)
    factors = patch if isinstance(patch, tuple) else (patch,) * axes
    grid = tuple(math.ceil(length / factor) for length, factor in zip(size, factors, strict=True))
    assert (model.channels, model.code_dim, model.downsampling, model.grid(size)) == (1, 6, patch, grid)
    x = torch.rand(3, 1, *size)
    model.prepare([x])
    model.train()
    mask = torch.ones(3, *size, dtype=torch.bool)
    mask[(0, *[slice(1, None)] * axes)] = False
    out = model(x, mask)
    out.loss.backward()
    assert out.counted is not None
    expected = torch.nn.functional.max_pool1d if axes == 1 else torch.nn.functional.max_pool2d
    if axes < 3:  # an oracle of the mask: a position counts where the largest value of its patch is True
        pooled = expected(mask[:, None].float(), factors, ceil_mode=True)[:, 0] > 0
        assert torch.equal(out.counted, pooled)
    model.eval()
    indices = model.encode(x)
    assert indices.shape == (3, *grid)
    assert model.decode(indices, size).shape == x.shape
    assert model.decode(indices).shape == (
        3,
        1,
        *(length * factor for length, factor in zip(grid, factors, strict=True)),
    )
    assert torch.equal(model.encode(x[1:2]), indices[1:2])


@pytest.mark.parametrize(("patch", "axes"), [((2, 5), 2), (3, 1), ((1, 2, 3), 3)])
def test_a_linear_path_of_orthonormal_rows_is_a_projection(patch: Any, axes: int) -> None:
    path = LinearPath(axes, 2, 4, patch)
    size = [2 * step for step in (patch if isinstance(patch, tuple) else (patch,) * axes)]
    x = torch.randn(3, 2, *size)
    blocks = path.blocks(x)
    rows = torch.linalg.qr(torch.randn(blocks.shape[1], 4))[0].T
    path.set_rows(rows)
    assert torch.allclose(path.blocks(path.decode(path.encode(x))), blocks @ rows.T @ rows, atol=1e-5)


def test_files_of_another_downsampling_and_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    model = vqkit.VQVAE(16, **pair((2, 5))).eval()
    x = (torch.rand(2, 1, 23, 31) * 255).byte()
    codec = vqkit.Codec(model)
    whole = codec.decompress(codec.compress(x))
    assert torch.equal(whole, (model.reconstruct(x) * 255).round().byte())
    monkeypatch.setitem(limits._TILE_PIXELS, 2, 10)
    assert limits.tile_shape(model, model.grid((23, 31))) == (5, 2)
    tiled = codec.compress(x)
    assert torch.equal(codec.decompress(tiled), whole)


def test_a_network_that_may_see_all_is_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    model = vqkit.VQVAE(16, **pair(3, halo=None)).eval()
    assert model.halo is None
    monkeypatch.setitem(limits._TILE_PIXELS, 2, 6)
    x = torch.rand(1, 1, 40, 40)
    seen: list[tuple[int, ...]] = []
    model.encoder.register_forward_hook(lambda _module, inputs, _output: seen.append(tuple(inputs[0].shape[2:])))
    codec = vqkit.Codec(model)
    assert codec.decompress(codec.compress(x)).shape == x.shape
    assert seen == [(42, 42)]
    monkeypatch.setattr(limits, "MAX_BLOCK_INDICES", 100)
    with pytest.raises(ConfigError, match=r"grid of 14x14.*halo"):
        codec.compress(x)


def test_a_registered_pair_is_saved_by_name(registered: None, tmp_path: Path) -> None:
    model = vqkit.VQVAE(16, **pair((2, 5))).eval()
    model.save_pretrained(tmp_path / "model")
    loaded = vqkit.load_model(tmp_path / "model")
    x = torch.rand(2, 1, 9, 9)
    assert torch.equal(loaded.reconstruct(x), model.reconstruct(x))
    assert loaded.config == model.config
    assert model.config["encoder"]["config"]["patch"] == [2, 5]
    named = vqkit.VQVAE(
        16, encoder={"type": "patches", "config": {"patch": 5}}, decoder=Unpatches(patch=5), code_dim=6, channels=1
    )
    assert named.downsampling == 5


def test_a_saved_network_that_is_not_there_is_named(tmp_path: Path) -> None:
    ENCODERS.register("patches")(Patches)
    DECODERS.register("patches")(Unpatches)
    vqkit.VQVAE(16, **pair(3)).save_pretrained(tmp_path / "model")
    del ENCODERS._parts["patches"], DECODERS._parts["patches"]
    with pytest.raises(VqkitError, match=r"encoder 'patches'.*not known here.*ENCODERS.register"):
        vqkit.load_model(tmp_path / "model")


def test_what_could_not_be_made_again_is_not_saved_and_not_trained(tmp_path: Path) -> None:
    model = vqkit.VQVAE(16, **pair(3))
    with pytest.raises(ConfigError, match=r"Patches.*not registered.*vqkit.networks.Network.*ENCODERS.register"):
        model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    with pytest.raises(ConfigError, match=r"Patches.*register"):
        vqkit.train(model, torch.rand(8, 1, 9, 9), out=tmp_path / "run", steps=1, quiet=True, tensorboard=False)
    assert not (tmp_path / "run").exists()


SMALL = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 6}


def test_the_default_networks_stand_in_no_config() -> None:
    model = vqkit.VQVAE(16, **SMALL)
    assert "encoder" not in model.config
    assert vqkit.VQVAE(16, **SMALL, encoder="conv", decoder="conv").config == model.config


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"encoder": nn.Conv2d(1, 6, 3)}, r"downsampling is None; say a whole number"),
        ({"encoder": nn.Identity()}, r"in_channels is None"),
        ({"encoder": Patches(patch=True)}, r"downsampling is True"),
        ({"encoder": Patches(patch=[3, 3]), "axes": 3}, r"downsampling is \(3, 3\).*each of 3 axes"),
        ({"encoder": Patches(halo=-1)}, r"halo is -1"),
        ({"encoder": Patches()}, r"downsampling=3: each layer halves"),
        ({"encoder": Patches(), "decoder": Unpatches(patch=4)}, r"encoder has downsampling 3, the decoder 4"),
        ({"encoder": Patches(), "decoder": Unpatches(in_channels=5)}, r"decoder reads 5 channels; it has to be 6"),
        ({"encoder": Patches(), "decoder": Unpatches(out_channels=3)}, r"decoder emits 3 channels; it has to be 1"),
        ({"encoder": Patches(), "decoder": Unpatches(), "code_dim": 9}, r"code_dim=9, and the encoder.*has 6"),
        ({"encoder": Patches(), "decoder": Unpatches(), "downsampling": 8}, r"downsampling=8, and the encoder.*has 3"),
        ({"encoder": "convv"}, r"encoder 'convv' is unknown \(did you mean 'conv'"),
        ({"encoder": 3}, r"encoder.*name"),
        ({"decoder": {"type": "conv", "config": {"depth": 3}}}, r"takes no 'depth'; it takes"),
    ],
)
def test_networks_that_do_not_fit_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        vqkit.VQVAE(16, **given)


@pytest.mark.parametrize("latent", ["vector", "grid"])
@pytest.mark.parametrize("kind", [vqkit.Autoencoder, vqkit.VAE])
def test_other_models_take_networks_too(kind: Any, latent: str) -> None:
    emitted = 2 * 6 if kind is vqkit.VAE else 6
    networks = {"encoder": Patches(out_channels=emitted), "decoder": Unpatches()}
    model = kind(6, latent=latent, size=(8, 7), channels=1, linear_path=True, **networks)
    x = torch.rand(2, 1, 8, 7)
    model.prepare([x])
    model(x).loss.backward()
    assert model.eval().reconstruct(x).shape == x.shape
    assert model.encode(x).shape == ((2, 6) if latent == "vector" else (2, 6, 3, 3))


def test_a_source_of_other_channels_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"encoder reads 1 channels.*has 3.*channels=1"):
        vqkit.VQVAE.for_source(vqkit.load_source(torch.rand(4, 3, 9, 9)), 16, **pair(3))


def test_the_command_line_names_networks(registered: None, tmp_path: Path) -> None:
    line = ["train", "digits", "-o", str(tmp_path / "run"), "--steps", "2", "--no-tensorboard", "--code-dim", "4"]
    named = ["--set", 'encoder={"type": "patches", "config": {"patch": 3}}', "--set", "decoder=patches"]
    result = CliRunner().invoke(app, [*line, *named])
    assert result.exit_code == 0, result.output
    model = vqkit.load_model(tmp_path / "run")
    assert (model.downsampling, model.grid((8, 8))) == (3, (3, 3))


@pytest.mark.parametrize("name", list(ENCODERS))
def test_every_registered_pair_says_its_shape_and_keeps_it(name: str) -> None:
    for axes in sorted({1, 2, 3}.intersection(ENCODERS.get_part(name).supported_axes)):
        model = vqkit.VQVAE(16, **SMALL, channels=2, axes=axes, encoder=name, decoder=name).eval()
        x = torch.rand(2, 2, *[9] * axes)
        assert model.reconstruct(x).shape == x.shape
        assert model.latents(x).shape == (2, model.encoder.out_channels, *model.grid(x.shape[2:]))


class ShortUnpatches(Unpatches):
    """A decoder that emits one row and one column less than it says."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., 1:, 1:]


class WidePatches(Patches):
    """An encoder that emits twice the channels that it says."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).repeat(1, 2, 1, 1)


@pytest.mark.parametrize("side", [8, 9])
def test_a_network_that_emits_another_shape_than_it_says_is_refused(side: int) -> None:
    x = torch.rand(2, 1, side, side)
    model = vqkit.VQVAE(16, encoder=Patches(), decoder=ShortUnpatches())
    with pytest.raises(ConfigError, match=r"decoder, a ShortUnpatches, emits \[2, 1, 8, 8\].*emit \[2, 1, 9, 9\]"):
        model(x)
    with pytest.raises(ConfigError, match=r"encoder, a WidePatches, emits \[2, 12, 3, 3\].*emit \[2, 6, 3, 3\]"):
        vqkit.VQVAE(16, encoder=WidePatches(), decoder=Unpatches()).encode(x)

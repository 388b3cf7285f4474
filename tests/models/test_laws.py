"""What every rung of the ladder keeps: decode(encode(x)) = forward(x), invariances, folders, samples, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models.cases import NETWORKS, RUNGS, SIZES, SMALL, equal, new, ready, signals, state
from vqkit import VQVAE, load_model
from vqkit.data import ArraySource, Source, default_crop
from vqkit.data.arrays.items import ragged
from vqkit.errors import ConfigError, DataError, ModelFolderError
from vqkit.likelihoods import Gaussian
from vqkit.models import MODELS, PCA, VAE, Autoencoder, Model
from vqkit.models.registry import model_class
from vqkit.signals import signal_kind

CASES = [
    *((rung, axes, "gaussian") for rung in RUNGS for axes in range(4)),
    *((rung, axes, name) for rung in NETWORKS for axes, name in [(2, "logistic"), (2, "logistic_mixture")]),
    ("ae grid", 3, "logistic_mixture"),
    ("vqvae of 3", 3, "logistic"),
]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def model(request: pytest.FixtureRequest) -> Model:
    """Every rung in every kind of signal and likelihood, ready, in evaluation mode."""
    rung, axes, likelihood = request.param
    return ready(rung, axes, **({} if likelihood == "gaussian" else {"likelihood": likelihood}))


def some(model: Model, count: int = 3, seed: int = 0) -> Tensor:
    return signals(count, model.channels, model.axes, seed=seed)


# ---- laws


def test_decode_of_encode_is_forward(model: Model) -> None:
    x = some(model)
    out = model(x)
    codes = model.encode(x)
    assert codes.dtype == (torch.int64 if model.discrete else torch.float32)
    assert (out.indices is not None) == model.discrete
    assert not model.discrete or torch.equal(codes, out.indices)
    back = model.decode(codes, x.shape[2:])
    assert back.shape == x.shape
    assert back.dtype == torch.float32
    assert torch.equal(back, out.reconstruction)
    assert torch.equal(model.reconstruct(x), back)
    assert not back.requires_grad
    assert not codes.requires_grad
    if model.signal_range is not None:
        assert model.signal_range[0] <= float(back.min()) <= float(back.max()) <= model.signal_range[1]


def test_the_loss_is_the_sum_of_its_parts_whatever_the_batch(model: Model) -> None:
    x = some(model)
    once, twice = model(x), model(torch.cat([x, x]))
    parts = [value for name, value in once.metrics.items() if name.endswith("_loss")]
    assert torch.allclose(once.loss, torch.stack(parts).sum())
    assert float(once.metrics["mse"]) == pytest.approx(float((once.reconstruction - x).square().mean()), rel=1e-5)
    assert torch.allclose(once.loss, twice.loss, rtol=1e-5)
    for name, value in once.metrics.items():
        assert torch.allclose(value, twice.metrics[name], rtol=1e-5), name
        assert not value.requires_grad


def test_evaluation_changes_no_state(model: Model) -> None:
    before, x = state(model), some(model)
    out = model(x)
    if out.loss.requires_grad:
        out.loss.backward()
    codes = model.encode(x)
    model.decode(codes, x.shape[2:])
    model.log_likelihood(x, codes)
    model.latent_cost(x)
    model.sample(2)
    assert equal(before, state(model))
    model.train().encode(x)
    assert equal(before, state(model))


def test_bytes_are_floats_over_255(model: Model) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (3, model.channels, *SIZES[model.axes]), dtype=torch.uint8, generator=generator)
    as_floats = (
        x.float() / 255 if model.axes else x.float()
    )  # integers of vectors are numbers, as load_source reads them
    codes = model.encode(x)
    assert torch.equal(codes, model.encode(as_floats))
    assert torch.equal(model(x).loss, model(as_floats).loss)
    assert torch.equal(model(x).metrics["mse"], model(as_floats).metrics["mse"])
    assert torch.equal(model.log_likelihood(x, codes), model.log_likelihood(as_floats, codes))


def test_a_saved_model_is_the_same_model(model: Model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "m")
    x = some(model)
    codes = model.encode(x)
    for loaded in (type(model).from_pretrained(tmp_path / "m"), load_model(tmp_path / "m")):
        assert type(loaded) is type(model)
        assert not loaded.training
        assert loaded.config == model.config
        assert equal(state(loaded), state(model))
        assert torch.equal(loaded.encode(x), codes)
        assert torch.equal(loaded.decode(codes, x.shape[2:]), model.decode(codes, x.shape[2:]))
        assert torch.equal(loaded(x).loss, model(x).loss)
        assert torch.equal(loaded.log_likelihood(x, codes), model.log_likelihood(x, codes))
        a, b = (each.sample(2, generator=torch.Generator().manual_seed(3)) for each in (loaded, model))
        assert torch.equal(a, b)
    other = VAE if model.model_type != "vae" else PCA
    with pytest.raises(ModelFolderError, match=f"'{model.model_type}', not a '{other.model_type}'"):
        other.from_pretrained(tmp_path / "m")


def test_samples_have_the_shape_and_range_and_are_repeatable(model: Model) -> None:
    def draw(seed: int) -> Tensor:
        return model.sample(5, generator=torch.Generator().manual_seed(seed))

    drawn = draw(0)
    assert drawn.shape == (5, model.channels, *SIZES[model.axes])
    assert drawn.dtype == torch.float32
    assert torch.isfinite(drawn).all()
    assert torch.equal(drawn, draw(0))
    assert not torch.equal(drawn, draw(1))
    if model.signal_range is not None:
        assert model.signal_range[0] <= float(drawn.min()) <= float(drawn.max()) <= model.signal_range[1]
    assert torch.equal(model.sample(5, size=SIZES[model.axes], generator=torch.Generator().manual_seed(0)), drawn)
    with pytest.raises(ConfigError, match="count=0: give 1 or more"):
        model.sample(0)


def test_log_likelihood_is_of_each_signal_with_its_own_codes(model: Model) -> None:
    x = some(model)
    codes = model.encode(x)
    found = model.log_likelihood(x, codes)
    assert found.shape == (3,)
    assert found.dtype == torch.float64
    assert torch.allclose(found[1:2], model.log_likelihood(x[1:2], codes[1:2]))
    assert torch.isfinite(found).all()
    if model.axes >= 2:
        assert float(found.max()) < 0
    cost = model.latent_cost(x)
    if model.model_type in ("pca", "autoencoder"):
        assert cost is None
    else:
        assert cost is not None
        assert cost.rate_nats.shape == (3,)
        assert cost.codes.shape == codes.shape
        assert float(cost.rate_nats.min()) > 0


def test_finish_fits_the_gaussians_scale_to_the_squared_error_of_each_channel(model: Model) -> None:
    likelihood = model.likelihood
    x = some(model, 30, seed=8)
    before = state(model)
    x = x * torch.tensor([0.1, 1.0]).view(1, 2, *[1] * model.axes)
    model.finish([x[:10], x[10:]])
    if not isinstance(likelihood, Gaussian) or isinstance(likelihood.log_scale, torch.nn.Parameter):
        assert model.model_type == "autoencoder" or equal(before, state(model))
        return
    raw = model.decode_parameters(model.encode(x), x.shape[2:])
    error = (raw * model.signal_std + model.signal_mean - x).double().square().transpose(0, 1).flatten(1).mean(1).sqrt()
    floor = 1e-5 * float(model.signal_std)  # of a reconstruction without any error
    assert torch.allclose((likelihood.log_scale.exp() * model.signal_std).double(), error.clamp_min(floor), rtol=1e-4)


def test_padding_reaches_neither_codes_nor_likelihood(model: Model) -> None:
    if model.axes == 0 or model.model_type == "pca":
        pytest.skip("no grid")
    x = some(model)
    pad = [amount for side in reversed(SIZES[model.axes]) for amount in (0, side % 2)]
    padded = torch.nn.functional.pad(x, pad, mode="replicate")
    assert padded.shape != x.shape
    codes = model.encode(x)
    assert torch.equal(model.encode(padded), codes)
    inside = tuple(slice(0, side) for side in SIZES[model.axes])
    whole = model.decode(codes, padded.shape[2:])
    assert torch.allclose(whole[(..., *inside)], model.decode(codes, x.shape[2:]), atol=1e-6)


# ---- errors


def test_signals_of_another_kind_are_named(model: Model) -> None:
    channels, size = model.channels, SIZES[model.axes]
    wrong = [(2, channels + 1, *size), (2, channels, *size, 4), (0, channels, *size), (channels, *size)]
    wrong += [(2, channels, 0, *size[1:])] if size else []
    for shape in wrong:
        for call in (model.encode, model, model.reconstruct, model.latent_cost):
            if call == model.latent_cost and model.model_type in ("pca", "autoencoder"):
                continue
            with pytest.raises(DataError, match=f"channels={channels}") as caught:
                call(torch.zeros(shape))
            assert str(shape) in str(caught.value)
    with pytest.raises(DataError, match=f"channels={channels}"):
        model.log_likelihood(torch.zeros(3, 1, *size), model.encode(some(model)))


def test_codes_of_another_model_are_named(model: Model) -> None:
    codes = model.encode(some(model))
    for wrong in (
        codes[0],
        codes.unsqueeze(-1),
        torch.cat([codes, codes], 1) if not model.discrete else codes[..., :0],
    ):
        if model.discrete and model.axes == 0 and wrong.ndim == codes.ndim == 1:
            continue
        with pytest.raises(ValueError, match=r"have shape|grid of") as caught:
            model.decode(wrong, SIZES[model.axes])
        assert "expected" in str(caught.value) or "not (" in str(caught.value)
    if model.axes:
        for size in ((64,) * model.axes, (64,) * (model.axes + 1)):
            with pytest.raises(ValueError, match=r"size \(64") as caught:
                model.decode(codes, size)


@pytest.mark.parametrize("rung", ["pca", "ae vector", "vae vector"])
def test_a_vector_belongs_to_one_size(rung: str) -> None:
    model = ready(rung)
    with pytest.raises(DataError, match=r"size \(12, 10\).*\(6, 5\)|a grid of \(6, 5\).*\(3, 3\)"):
        model.encode(torch.zeros(2, 2, 12, 10))
    with pytest.raises(ValueError, match=r"size \(12, 10\)"):
        model.sample(2, size=(12, 10))
    assert model.decode(model.encode(some(model))).shape == (3, 2, 6, 5)
    assert new(rung).training_size() == (6, 5)  # from the config


@pytest.mark.parametrize("rung", ["ae grid", "vae grid", "vqvae", "vqvae of 3"])
def test_a_grid_takes_any_size(rung: str) -> None:
    model = ready(rung)
    x = signals(2, 2, 2, size=(9, 4))
    assert torch.equal(model.reconstruct(x), model(x).reconstruction)
    assert model.sample(2, size=(9, 4)).shape == (2, 2, 9, 4)
    fresh = new(rung, **({} if "vqvae" in rung else {"size": None}))
    with pytest.raises(ConfigError, match="give size="):
        fresh.sample(2)
    with pytest.raises(DataError, match="no training signals"):
        fresh.prepare([])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("rung", RUNGS)
def test_one_channel_and_three(rung: str, channels: int) -> None:
    options = {} if "pca" in rung else {"likelihood": "logistic_mixture"}
    model = ready(rung, 2, channels, **options)
    x = some(model)
    assert torch.equal(model.reconstruct(x), model(x).reconstruction)
    assert torch.isfinite(model.log_likelihood(x, model.encode(x))).all()


@pytest.mark.parametrize("rung", RUNGS)
def test_an_unknown_key_lists_the_valid_ones(rung: str) -> None:
    model = new(rung)
    assert type(model).from_config(model.config).config == model.config
    with pytest.raises(ConfigError, match=f"{type(model).__name__} takes no zap, zip; it takes: .*axes"):
        type(model).from_config({**model.config, "zip": 1, "zap": 1})


IMAGES: dict[str, Any] = {"size": [6, 5], **SMALL}


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (PCA, {"components": 0, "size": [4, 4]}, "components=0: give 1 to 48"),
        (PCA, {"components": 49, "size": [4, 4]}, "components=49: give 1 to 48.*3 channels"),
        (PCA, {"components": 2.0, "size": [4, 4]}, "components=2.0: give a whole number"),
        (PCA, {}, "size=None: PCA reads signals of one size, so give 2 lengths"),
        (PCA, {"size": [4]}, r"size=\[4\].*give 2 lengths"),
        (PCA, {"size": [4, 0]}, r"size=\[4, 0\]"),
        (PCA, {"components": 2, "size": [4], "axes": 0}, r"size=\[4\].*leave size out"),
        (PCA, {"size": [4, 4], "components": 1, "method": "magic"}, "magic.*auto, exact, randomised"),
        (PCA, {"size": [4, 4], "components": 1, "passes": 0}, "passes=0"),
        (PCA, {"size": [4, 4], "components": 1, "axes": 5}, "axes=5"),
        (Autoencoder, {"latent_dim": 0, **IMAGES}, "latent_dim=0: give 1 or more"),
        (Autoencoder, {"latent_dim": True, **IMAGES}, "latent_dim=True: give a whole number"),
        (Autoencoder, {**SMALL}, "size=None: a vector of latents.*latent='grid'"),
        (Autoencoder, {"size": [8], **SMALL}, r"size=\[8\]"),
        (Autoencoder, {"size": "88", **SMALL}, "size='88': give null or a list"),
        (Autoencoder, {"latent": "cube", **IMAGES}, "latent='cube': choose 'vector'.*'grid'"),
        (Autoencoder, {"noise": -0.1, **IMAGES}, "noise=-0.1.*0 or more"),
        (Autoencoder, {"noise": float("nan"), **IMAGES}, "noise=nan"),
        (Autoencoder, {"noise": float("inf"), **IMAGES}, "noise=inf"),
        (Autoencoder, {"density_components": 0, **IMAGES}, "density_components=0: give 1"),
        (Autoencoder, {"likelihood": "poisson", **IMAGES}, "likelihood 'poisson' is unknown"),
        (Autoencoder, {"likelihood": "logistic", **SMALL, "axes": 1, "latent": "grid"}, "take likelihood='gaussian'"),
        (Autoencoder, {"likelihood_warmup": -1, **IMAGES}, "likelihood_warmup=-1: give 0 or more"),
        (VAE, {"latent_dim": 0, **IMAGES}, "latent_dim=0: give 1 or more"),
        (VAE, {**SMALL}, "size=None: a vector of latents"),
        (VAE, {"beta": float("nan"), **IMAGES}, "beta=nan: give 0 or more"),
        (VAE, {"beta": float("inf"), **IMAGES}, "beta=inf: give 0 or more"),
        (VAE, {"beta": -1, **IMAGES}, "beta=-1: give 0 or more"),
        (VAE, {"beta": "1", **IMAGES}, "beta='1': give a number"),
        (VAE, {"beta_warmup": -1, **IMAGES}, "beta_warmup=-1: give 0 or more"),
        (VAE, {"free_bits": -0.5, **IMAGES}, "free_bits=-0.5: give 0 or more"),
        (VAE, {"axes": 0, "downsampling": 4, **SMALL}, "downsampling=4.*give downsampling=1"),
        (VAE, {"downsampling": 3, **IMAGES}, "downsampling=3.*power of two"),
        (VQVAE, {"num_codebooks": 0}, "num_codebooks=0.*1 or more"),
        (VQVAE, {"num_codebooks": 3, "code_dim": 64}, "num_codebooks=3.*code_dim=64 must be a multiple"),
        (VQVAE, {"num_codebooks": 2.0}, "num_codebooks=2.0: give a whole number"),
        (VQVAE, {"linear_path": 1}, "linear_path=1: give true or false"),
    ],
)
def test_arguments_out_of_range(build: type[Model], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**options)


# ---- sources and names


def of_sizes(kind: str, *sizes: tuple[int, ...]) -> Source:
    items = [np.zeros((1, *size), np.float32) for size in sizes]
    return ragged(items, signal_kind(kind), name="photos")


PICTURES = ArraySource(np.zeros((3, 1, 6, 5), np.uint8), name="photos")
MIXED = of_sizes("image", (40, 50), (35, 60), (80, 33))
TABLE = ArraySource(np.arange(21, dtype=np.float32).reshape(3, 7) % 5, name="table")


@pytest.mark.parametrize("build", [PCA, Autoencoder, VAE, VQVAE])
def test_for_source_takes_channels_axes_and_size(build: type[Any]) -> None:
    options = {} if build is PCA else SMALL
    model = build.for_source(PICTURES, 4, **options)
    assert (model.channels, model.axes) == (1, 2)
    assert model.config.get("size", [6, 5]) == [6, 5]
    given = build.for_source(PICTURES, 4, channels=3, **options, **({} if build is VQVAE else {"size": (4, 4)}))
    assert given.channels == 3
    assert given.config.get("size", [4, 4]) == [4, 4]
    table = build.for_source(TABLE, 4, **options, **({} if build is PCA else {"downsampling": 1}))
    assert (table.channels, table.axes) == (7, 0)
    if build is not VQVAE:
        assert build.for_source(MIXED, 4, **options).config["size"] == [32, 32]  # of the crops of a training
        sounds = of_sizes("sound", (40,), (200,))
        size = build.for_source(sounds, 4, **options).config["size"]
        assert size == [default_crop(sounds)] == [64]
        assert build.for_source(MIXED, 4, size=[8, 8], **options).config["size"] == [8, 8]
    if build in (Autoencoder, VAE):
        assert build.for_source(MIXED, 4, latent="grid", **SMALL).config["size"] is None


def test_the_rungs_by_name() -> None:
    assert list(MODELS) == ["pca", "autoencoder", "vae", "vqvae", "pq", "opq", "rq"]
    assert model_class("ae") is Autoencoder
    assert all(model_class(name) is MODELS[name] for name in MODELS)
    with pytest.raises(ConfigError, match="'gan' is unknown; known: pca, autoencoder, vae, vqvae, pq, opq, rq"):
        model_class("gan")
    with pytest.raises(ConfigError, match="trained by gradient steps"):
        new("vae grid").fit(None)

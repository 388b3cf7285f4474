"""Half precision, the meta device, other default dtypes: a model, a quantizer or a prior is right in each."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import vqkit
from vqkit.models import PCA, VAE, VQVAE, Autoencoder, Model
from vqkit.pixels import PixelPrior
from vqkit.pretrained.folder import content_hash
from vqkit.priors import ContextPrior, GatedPixelCNN, HistogramPrior, MaskedPrior, Prior, TransformerPrior, load_prior
from vqkit.quantizers import QUANTIZERS

TINY: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "channels": 1}
X = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
INDICES = torch.randint(0, 16, (3, 2, 2), generator=torch.Generator().manual_seed(0))


def build(name: str) -> Model | Prior:
    torch.manual_seed(0)
    data = torch.rand(32, 1, 8, 8)
    found: Model
    if name in QUANTIZERS:
        found = VQVAE(16, quantizer=name, code_dim=QUANTIZERS[name].own_dim(16, {}) or 8, **TINY)
    elif name.startswith("residual "):
        found = VQVAE(16, quantizer=name.split()[1], code_dim=12, num_codebooks=2, stacking="residual", **TINY)
    elif name == "pca":
        pca = PCA(4, channels=1, size=[8, 8])
        pca.fit(lambda: iter([data]))
        return pca.eval()
    elif name in PRIORS:
        options = {} if name == "histogram" else {"hidden_channels": 16}
        return PRIORS[name](16, [2, 2], **options).eval()
    else:
        kind = Autoencoder if name.startswith("autoencoder") else VAE
        options = (
            {"linear_path": True} if "linear" in name else {"likelihood": "logistic"} if "logistic" in name else {}
        )
        found = kind(4, size=[8, 8], **TINY, **options)
    found.prepare([data])
    found.finish([data])
    return found.eval()


PRIORS: dict[str, Any] = {
    "transformer": TransformerPrior,
    "pixelcnn": GatedPixelCNN,
    "masked": MaskedPrior,
    "histogram": HistogramPrior,
    "context": ContextPrior,
}
CONTINUOUS = ["pca", "autoencoder", "autoencoder linear", "vae linear", "vae logistic"]
MODELS = [*QUANTIZERS, "residual fsq", "residual bsq", "residual ema", *CONTINUOUS]


def answers(model: Model | Prior) -> list[Tensor]:
    if isinstance(model, Model):
        codes = model.encode(X)
        return [codes, model.decode(codes)]
    return [model.log_prob(INDICES)]


def load(path: Path, like: Model | Prior) -> Model | Prior:
    return vqkit.load_model(path) if isinstance(like, Model) else load_prior(path)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_a_cast_model_works_trains_and_keeps_its_law(name: str, dtype: torch.dtype) -> None:
    model = build(name).to(dtype)
    assert isinstance(model, Model)
    output = model(X)
    codes = model.encode(X)
    assert torch.equal(output.reconstruction, model.reconstruct(X))
    assert torch.isfinite(model.log_likelihood(X, codes)).all()
    model.sample(2, size=(8, 8))
    loss = model.train()(X).loss
    if not model.closed_form:
        loss.backward()
    model.eval()


@pytest.mark.parametrize("name", ["ema", "gradient", "residual ema", "fsq", "bsq"])
def test_running_averages_and_constants_stay_float32(name: str) -> None:
    model = build(name)
    assert isinstance(model, VQVAE)
    half = copy.deepcopy(model).bfloat16()
    for key, buffer in half.quantizer.named_buffers():
        assert not buffer.is_floating_point() or buffer.dtype == torch.float32, key
        assert torch.equal(buffer, dict(model.quantizer.named_buffers())[key])
    latents = model.latents(X).detach()
    if name != "gradient" and not any(True for _ in model.quantizer.parameters()):  # no number in it was cast
        assert torch.equal(half.quantizer.encode(latents), model.quantizer.encode(latents))
    for _ in range(3):
        half.train()(X)
    for key, buffer in half.quantizer.named_buffers():
        assert not buffer.is_floating_point() or buffer.dtype == torch.float32, key


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ["ema", "gradient", "bsq", "pca", "vae linear", "masked", "context"])
def test_a_saved_cast_model_is_the_same_model(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = build(name).to(dtype)
    model.save_pretrained(tmp_path)
    back = load(tmp_path, model)
    assert content_hash(back) == content_hash(model)
    assert {key: each.dtype for key, each in back.state_dict().items()} == {
        key: each.dtype for key, each in model.state_dict().items()
    }
    assert all(torch.equal(a, b) for a, b in zip(answers(back), answers(model), strict=True))


def test_files_of_a_half_model_decode_with_the_saved_one(tmp_path: Path) -> None:
    for name in ("ema", "fsq", "simvq"):
        model = build(name).half()
        data = vqkit.Codec(model).compress(X)
        model.save_pretrained(tmp_path / name)
        found = vqkit.Codec(vqkit.load_model(tmp_path / name)).decompress(data)
        assert torch.equal(found, vqkit.Codec(model).decompress(data))


@pytest.mark.parametrize("name", [*MODELS, *PRIORS])
def test_a_model_made_on_the_meta_device_is_the_same_once_loaded(name: str, tmp_path: Path) -> None:
    model = build(name)
    with torch.device("meta"):
        empty = type(model).from_config(model.config)
    junk = [torch.full((size,), 3e38) for size in range(1, 300)]
    del junk
    empty.to_empty(device="cpu")
    empty.load_state_dict(model.state_dict())
    empty.eval()
    buffers = dict(model.named_buffers())
    assert all(torch.equal(buffer, buffers[key]) for key, buffer in empty.named_buffers())
    assert all(torch.equal(a, b) for a, b in zip(answers(empty), answers(model), strict=True))
    model.save_pretrained(tmp_path)
    with torch.device("meta"):
        loaded = load(tmp_path, model)
    assert all(torch.equal(a, b) for a, b in zip(answers(loaded), answers(model), strict=True))


def test_constants_are_there_as_soon_as_there_is_memory() -> None:
    for name in ("fsq", "lfq", "bsq", "masked", "transformer"):
        model = build(name)
        constants = {key: each for key, each in model.named_buffers() if key not in model.state_dict()}
        assert constants
        with torch.device("meta"):
            empty = type(model).from_config(model.config)
        empty.to_empty(device="cpu")
        found = dict(empty.named_buffers())
        assert all(torch.equal(found[key], each) for key, each in constants.items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("name", ["ema", "simvq", "fsq", "bsq", "gumbel", "residual ema", *CONTINUOUS, *PRIORS])
def test_another_default_dtype_changes_no_saved_model_and_new_ones_work(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    model = build(name)
    model.save_pretrained(tmp_path)
    want = answers(model)
    with default_dtype(dtype):
        loaded = load(tmp_path, model)
        assert content_hash(loaded) == content_hash(model)
        assert all(torch.equal(a, b) for a, b in zip(answers(loaded), want, strict=True))
        new = type(model).from_config(model.config)
        if isinstance(new, PCA):
            new.fit(lambda: iter([X]))
        elif isinstance(new, Model):
            new.prepare([X])
            new.train()(X).loss.backward()
            new.eval()
        else:
            new(INDICES)
            new.sample(2)
        assert all(torch.isfinite(each).all() for each in answers(new))


def test_a_pixel_prior_made_on_the_meta_device() -> None:
    tokenizer = build("ema")
    assert isinstance(tokenizer, VQVAE)
    torch.manual_seed(0)
    prior = PixelPrior.for_model(tokenizer, hidden_channels=8)
    with torch.device("meta"):
        empty = type(prior).from_config(prior.config)
    assert isinstance(empty, nn.Module)
    empty.to_empty(device="cpu").load_state_dict(prior.state_dict())
    assert content_hash(empty) == content_hash(prior)

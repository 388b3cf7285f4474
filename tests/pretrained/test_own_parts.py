"""Models that the class and the config do not make: refused before anything is read or written."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.utils.checkpoint import checkpoint

from vqkit import load_model, load_source, resume, train
from vqkit.errors import ConfigError
from vqkit.models import PCA, VAE, VQVAE, Autoencoder
from vqkit.pixels import PixelPrior
from vqkit.priors import ContextPrior, HistogramPrior, TransformerPrior
from vqkit.quantizers import EMAVectorQuantizer
from vqkit.training.record.rebuilding import check_rebuilds

NETWORK: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "channels": 1}
RUN: dict[str, Any] = {"batch_size": 8, "quiet": True, "tensorboard": False}
PIXELS = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def vqvae(**options: Any) -> VQVAE:
    torch.manual_seed(0)
    return VQVAE(16, **{**NETWORK, "code_dim": 8, **options})


class Own(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        raise AssertionError("not one step is made")


class Louder(VQVAE):  # type: ignore[misc]
    pass


class Whiter(PCA):  # type: ignore[misc]
    pass


class Longer(TransformerPrior):  # type: ignore[misc]
    pass


class SameEncoder(nn.Module):
    """The tensors of another module, by the same names, and another computation."""

    def __init__(self, other: nn.Module) -> None:
        super().__init__()
        for name, child in other.named_children():
            self.add_module(name, child)

    def forward(self, x: Tensor) -> Tensor:
        raise AssertionError("not one step is made")


def own_encoder(model: VQVAE) -> None:
    model.encoder = Own(model.encoder)


def same_names(model: VQVAE) -> None:
    model.encoder = SameEncoder(model.encoder)


def other_activation(model: VQVAE) -> None:
    name = next(name for name, part in model.decoder.named_modules() if type(part).__name__ == "ReLU")
    model.decoder.set_submodule(name, nn.GELU())


def other_quantizer(model: VQVAE) -> None:
    model.quantizer = EMAVectorQuantizer(16, 8, decay=0.5, cosine=True)


def other_setting(model: VQVAE) -> None:
    model.quantizer.beta = 3.0  # type: ignore[assignment]


def other_codebook(model: VQVAE) -> None:
    model.quantizer = EMAVectorQuantizer(32, 8, cosine=True)


def other_mean(model: VQVAE) -> None:
    model.signal_mean = torch.zeros(1, 1, 1)


def other_stride(model: VQVAE) -> None:
    next(part for part in model.encoder.modules() if isinstance(part, nn.Conv2d)).padding_mode = "reflect"


def own_parameter(model: VQVAE) -> None:
    model.gain = nn.Parameter(torch.ones(()))


def own_dropout(model: VQVAE) -> None:
    model.decoder.add_module("dropout", nn.Dropout())


def own_loss(model: VQVAE) -> None:
    plain = model.forward
    model.forward = types.MethodType(lambda self, x, mask=None: plain(x, mask), model)  # type: ignore[method-assign]


def own_method_of_a_part(model: VQVAE) -> None:
    model.encoder.forward = lambda x: x


def tied(model: VQVAE) -> None:
    found = [part for part in model.encoder.modules() if isinstance(part, nn.Conv2d)]
    first, second = next(
        (a, b) for number, a in enumerate(found) for b in found[number + 1 :] if a.weight.shape == b.weight.shape
    )
    second.weight = first.weight


def parametrized(model: VQVAE) -> None:
    nn.utils.parametrizations.weight_norm(next(p for p in model.encoder.modules() if isinstance(p, nn.Conv2d)))


def compiled_part(model: VQVAE) -> None:
    model.encoder = torch.compile(model.encoder)  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (own_encoder, "encoder"),
        (same_names, "SameEncoder"),
        (other_activation, "GELU"),
        (other_quantizer, "quantizer.decay is 0.5"),
        (other_setting, "quantizer.beta is 3.0"),
        (other_codebook, "32"),
        (other_mean, "signal_mean"),
        (other_stride, "reflect"),
        (own_parameter, "gain"),
        (own_dropout, "decoder.dropout"),
        (own_loss, "forward"),
        (own_method_of_a_part, "encoder.forward"),
        (tied, "one tensor"),
        (parametrized, "Parametrized"),
        (compiled_part, "encoder"),
    ],
)
def test_what_the_config_does_not_make_is_refused_before_anything(
    change: Callable[[VQVAE], None], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = vqvae()
    change(model)
    with pytest.raises(ConfigError, match=r"config") as error:
        train(model, PIXELS, steps=3, **RUN)
    assert named in str(error.value)
    assert "model(x).loss" in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Louder(16, code_dim=8, **NETWORK),
        lambda: Whiter(4, size=[8, 8], channels=1),
        lambda: Longer(16, [2, 2], hidden_channels=8, layers=1),
    ],
)
def test_a_subclass_is_refused(make: Callable[[], Any], tmp_path: Path) -> None:
    model = make()
    with pytest.raises(ConfigError, match=type(model).__name__):
        train(model, PIXELS, out=tmp_path / "r", **RUN)
    assert not (tmp_path / "r").exists()


def test_what_is_around_a_model_is_refused_with_the_way_without() -> None:
    with pytest.raises(ConfigError, match="compile=True"):
        check_rebuilds(torch.compile(vqvae()))
    with pytest.raises(ConfigError, match="the model itself"):
        check_rebuilds(nn.DataParallel(vqvae()))
    for other in (nn.Linear(2, 2), object(), "vqvae"):
        with pytest.raises(ConfigError, match=type(other).__name__):
            check_rebuilds(other)


def test_a_pixel_prior_with_a_part_of_its_own_is_refused(tmp_path: Path) -> None:
    prior = PixelPrior.for_model(vqvae(), hidden_channels=8, layers=1, token_channels=8, token_layers=1)
    check_rebuilds(prior)
    prior.network.extra = nn.Linear(2, 2)
    with pytest.raises(ConfigError, match=r"network\.extra"):
        train(prior, PIXELS, out=tmp_path / "r", steps=1, **RUN)


KINDS: dict[str, Callable[[], Any]] = {
    "vqvae": vqvae,
    "residual": lambda: vqvae(num_codebooks=2, stacking="residual", quantizer_options={"decay": 0.5}),
    "fsq": lambda: vqvae(quantizer="fsq"),
    "linear path": lambda: vqvae(linear_path=True, likelihood="logistic"),
    "vae": lambda: VAE(4, size=[8, 8], **NETWORK),
    "autoencoder": lambda: Autoencoder(4, size=[8, 8], density_components=2, **NETWORK),
    "pca": lambda: PCA(4, size=[8, 8], channels=1),
    "context": lambda: ContextPrior(16, [2, 2], hidden_channels=8, layers=1),
    "histogram": lambda: HistogramPrior(16, [2, 2]),
}


def half(model: nn.Module) -> None:
    model.half()


def double(model: nn.Module) -> None:
    model.double()


def frozen(model: nn.Module) -> None:
    model.requires_grad_(False)
    model.eval()


def hooked(model: nn.Module) -> None:
    for part in model.modules():
        part.register_forward_hook(lambda *_: None)


def compiled(model: nn.Module) -> None:
    for part in model.children():
        part.compile()


def noted(model: nn.Module) -> None:
    model.note, model.losses, model.more = "mine", [], nn.Identity()  # type: ignore[assignment]


@pytest.mark.parametrize("change", [half, double, frozen, hooked, compiled, noted])
@pytest.mark.parametrize("kind", KINDS)
def test_what_changes_no_model_is_taken(kind: str, change: Callable[[nn.Module], None]) -> None:
    model = KINDS[kind]()
    check_rebuilds(model)
    change(model)
    check_rebuilds(model)


def test_activation_checkpointing_and_compiled_methods_are_taken() -> None:
    model = vqvae()
    model.encoder = checkpoint_wrapper(model.encoder)
    model.decoder.forward = functools.partial(checkpoint, model.decoder.forward, use_reentrant=False)
    check_rebuilds(model)
    model = vqvae()
    model.encoder.forward = torch.compile(model.encoder.forward)
    check_rebuilds(model)


def test_the_random_generator_is_left_as_it_was() -> None:
    model = vqvae()
    before = torch.random.get_rng_state()
    check_rebuilds(model)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_trained_saved_loaded_and_gone_on_with(tmp_path: Path) -> None:
    model = vqvae(quantizer_options={"restart_every": 1, "restart_below": 0.9})
    model.encoder = checkpoint_wrapper(model.encoder)
    source = load_source(PIXELS)
    run = train(model, source, out=tmp_path / "r", steps=3, evaluations=0, **RUN)
    check_rebuilds(model)
    check_rebuilds(load_model(run.path))
    again = resume(run.path, data=source, steps=5, quiet=True, tensorboard=False)
    assert type(again.model()) is VQVAE
    assert again.step == 5
    train(again.model(), source, out=tmp_path / "more", steps=2, evaluations=0, **RUN)


def test_a_rate_weight_that_was_set_is_in_the_config() -> None:
    model = vqvae()
    model.quantizer.rate_weight = 0.5  # type: ignore[assignment]
    check_rebuilds(model)

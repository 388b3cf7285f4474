"""Check that quantizers, priors and objectives of other packages keep their contracts, on one small batch."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vqkit.chance import forked
from vqkit.data import Source
from vqkit.data.views.crops import default_crop, training_size
from vqkit.errors import ConfigError, VqkitError
from vqkit.likelihoods import Unit
from vqkit.objectives import Decoded, Objective, build_objective
from vqkit.ops.buffers import real_device
from vqkit.priors import Prior
from vqkit.quantizers import Quantization, Quantizer

_PACKAGE = __name__.partition(".")[0]
_BATCH, _VECTORS = 2, 256
_SLACK = 1e-3
"""Of the largest codeword, for the rounding of a straight-through sum; and nats per index above 0."""


def check_contracts(model: Any, source: Source, crop: int | None = None) -> None:
    """Raise unless the parts of a model that are not vqkit's own do what their base classes ask.

    A part that breaks its contract would be trained to another model than the one that is saved, or fail hours later.
    What is tried is another model of the same config, as in ``check_rebuilds``: the model itself, its buffers and the
    random state of torch stay as they are. Nothing is tried of a model whose parts are all of vqkit.

    Args:
        model: that is to be trained.
        source: of the training signals.
        crop: side of random crops, or None for the default.

    Raises:
        ConfigError: names the class, what it gave and what it has to give.
    """
    if isinstance(model, Prior):
        if _is_foreign(model) and not model.closed_form:
            with _apart():
                _check_prior(type(model).from_config(model.config).eval())
        return
    quantizer = getattr(model, "quantizer", None)
    size = training_size(source, crop or default_crop(source))
    if not isinstance(quantizer, Quantizer) or size is None:
        return
    foreign = [part for part in quantizer.modules() if isinstance(part, Quantizer) and _is_foreign(part)]
    if foreign:
        with _apart():
            built = type(model).from_config(model.config).quantizer
            _check_quantizer(built, model.grid(size), f"quantizer {type(foreign[0]).__name__}")


def check_terms(model: Any, objective: Objective | str, source: Source, crop: int | None = None) -> None:
    """Raise unless the terms of objectives that are not vqkit's own are scalars, on two random signals.

    Args:
        model: that is to be trained, which reconstructs.
        objective: that a run records (see ``check_objective``).
        source: of the training signals.
        crop: side of random crops, or None for the default.

    Raises:
        ConfigError: names the objective and the term, what it is and what it has to be.
    """
    with _apart():
        built = build_objective(objective if isinstance(objective, str) else str(objective))
        foreign = [part for part in built.parts if _is_foreign(part)]
        if not foreign:
            return
        built.prepare_for(model)
        size = training_size(source, crop or default_crop(source)) or source.read(0).shape[1:]
        likelihood = type(model).from_config(model.config).likelihood
        emitted = torch.randn(_BATCH, likelihood.outputs, *size, requires_grad=True)
        target = torch.randn(_BATCH, model.channels, *size)
        mean, unit = likelihood.mean(emitted), Unit(0.5, 0.25)
        decoded = Decoded(emitted, mean, target, unit.std * target + unit.mean, likelihood, unit)
        for part in foreign:
            _check_losses(f"objective {part.name!r}: losses", partial(part.losses, decoded))
            _check_losses(f"objective {part.name!r}: own_losses", partial(part.own_losses, decoded.detach()))


def _check_losses(name: str, call: Callable[[], Any]) -> None:
    losses = _tried(name, call)
    if not isinstance(losses, Mapping):
        raise ConfigError(f'{name} gives {_said(losses)}; give a dict by name: {{"edge_loss": loss}}')
    _check_scalars(name, "the term", losses)


def _check_scalars(name: str, what: str, losses: Mapping[Any, Any]) -> None:
    for term, loss in losses.items():
        if not isinstance(loss, Tensor) or loss.ndim or not loss.is_floating_point():
            raise ConfigError(f"{name} gives {what} {term!r} as {_said(loss)}; it has to be a float scalar, a mean")


def _check_quantizer(quantizer: Quantizer, grid: tuple[int, ...], name: str) -> None:
    latents = torch.randn(_BATCH, quantizer.code_dim, *grid)
    if not quantizer.initialized:
        vectors = torch.randn(max(quantizer.codebook_size, _VECTORS), quantizer.code_dim)
        _tried(f"{name}.initialize", lambda: quantizer.initialize(vectors))
    quantizer.eval()
    encoded = _tried(f"{name}.encode", lambda: quantizer.encode(latents))
    _check_indices(f"{name}.encode", encoded, quantizer, grid)
    made = _tried(f"{name}.forward", lambda: quantizer(latents, None))
    _check_quantization(f"{name}.forward", made, quantizer, latents)
    if not torch.equal(made.indices.long(), encoded.long()):
        raise ConfigError(
            f"{name}: forward and encode give different indices for the same latents in evaluation mode, so that files "
            "and tokens would not be what was trained; let forward take its indices from encode"
        )
    looked_up = _tried(f"{name}.lookup", lambda: quantizer.lookup(encoded))
    if not isinstance(looked_up, Tensor) or looked_up.shape != latents.shape:
        raise ConfigError(f"{name}.lookup gives {_said(looked_up)}; it has to give codewords {list(latents.shape)}")
    slack = _SLACK * max(float(looked_up.detach().abs().max()), float(latents.abs().max()))
    if not torch.allclose(made.quantized.detach().float(), looked_up.detach().float(), rtol=0.0, atol=slack):
        raise ConfigError(
            f"{name}: lookup of the indices of forward is not its quantized in evaluation mode, so that decoding would "
            "not give what was trained; let forward take its codewords from lookup"
        )
    quantizer.train()
    made = _tried(f"{name}.forward", lambda: quantizer(latents, None))
    _check_quantization(f"{name}.forward", made, quantizer, latents)


def _check_quantization(name: str, made: Any, quantizer: Quantizer, latents: Tensor) -> None:
    if not isinstance(made, Quantization):
        raise ConfigError(f"{name} gives {_said(made)}; it has to give Quantization(quantized, indices, losses)")
    quantized, losses = made.quantized, made.losses
    if not isinstance(quantized, Tensor) or quantized.shape != latents.shape or not quantized.is_floating_point():
        raise ConfigError(f"{name} gives quantized {_said(quantized)}; it has to be floats {list(latents.shape)}")
    _check_indices(name, made.indices, quantizer, tuple(latents.shape[2:]))
    if not isinstance(losses, Mapping):
        raise ConfigError(f'{name} gives losses as {_said(losses)}; give a dict by name: {{"commitment_loss": loss}}')
    _check_scalars(name, "the loss", losses)


def _check_indices(name: str, indices: Any, quantizer: Quantizer, grid: tuple[int, ...]) -> None:
    several = (quantizer.num_codebooks,) if quantizer.num_codebooks > 1 else ()
    shape = (_BATCH, *grid, *several)
    if not isinstance(indices, Tensor) or tuple(indices.shape) != shape or not _is_integer(indices):
        raise ConfigError(f"{name} gives indices {_said(indices)}; they have to be int64 {list(shape)}")
    low, high = int(indices.min()), int(indices.max())
    if low < (-1 if several else 0) or high >= quantizer.codebook_size:
        raise ConfigError(
            f"{name} gives indices from {low} to {high}; codebook_size={quantizer.codebook_size}, so they have to lie "
            f"in [0, {quantizer.codebook_size - 1}]: repair the one or the other"
        )


def _check_prior(prior: Prior) -> None:
    name = f"prior {type(prior).__name__}"
    indices = torch.randint(prior.codebook_size, (_BATCH, *prior.item_shape))
    condition = None
    if prior.conditions.classes is not None:
        condition = torch.zeros(_BATCH, dtype=torch.int64)
    elif prior.conditions.dim is not None:
        condition = torch.randn(_BATCH, prior.conditions.dim)
    nats = _tried(f"{name}._log_prob", lambda: prior.log_prob(indices, condition))
    highest = float(nats.detach().max())
    if highest > _SLACK * prior.indices_per_item:
        raise ConfigError(
            f"{name}._log_prob gives {highest:.4g} nats for a grid; the log of a probability is 0 or less: normalize "
            "it (log_softmax), and give no negative of it"
        )


def _is_foreign(part: nn.Module) -> bool:
    return type(part).__module__.partition(".")[0] != _PACKAGE


def _is_integer(values: Tensor) -> bool:
    return not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)


@contextmanager
def _apart() -> Iterator[None]:
    """Within the block tensors have memory, and random numbers are drawn apart."""
    with real_device(), torch.device("cpu"), forked():
        yield


def _tried(what: str, call: Callable[[], Any]) -> Any:
    """Return what a method of a part gives; an error in it is told with its place."""
    try:
        return call()
    except VqkitError as error:
        raise ConfigError(f"{what}: {error}") from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = Path(__file__).parents[2], Path(torch.__file__).parent
        outside = [frame for frame in frames if not any(Path(frame.filename).is_relative_to(each) for each in own)]
        place = outside[-1] if outside else frames[-1]
        words = " ".join(str(error).split())
        raise ConfigError(
            f"{what} fails on a batch of the right shape: {type(error).__name__}: {words} "
            f"({Path(place.filename).name}, line {place.lineno}); repair it there"
        ) from error


def _said(value: Any) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"

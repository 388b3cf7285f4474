"""Continuous latents: a vector for the whole signal, or one for each position of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from vqkit.errors import ConfigError

if TYPE_CHECKING:
    from vqkit.models.network import NetworkModel


def latent_config(config: Mapping[str, Any]) -> bool:
    """Whether the latents are one vector; raises ``ConfigError`` for a config that does not fit together."""
    latent, size, axes = config["latent"], config["size"], config["axes"]
    if latent not in ("vector", "grid"):
        raise ConfigError(f"latent={latent!r}: choose 'vector' (one for the whole signal) or 'grid' (one a position)")
    if latent == "grid" or axes == 0:
        return False
    if size is None or len(size) != axes or min(size) < 1:
        raise ConfigError(
            f"size={size}: a vector of latents belongs to signals of one size, so give {axes} lengths of 1 or more "
            "(for images [height, width]; for_source(source) fills it in), or take latent='grid'"
        )
    return True


def vector_size(source: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the size of the source's signals, where a vector of latents needs it.

    Raises:
        ConfigError: the signals are of different sizes.
    """
    if options.get("latent", "vector") != "vector" or options.get("size") is not None or source.axes == 0:
        return dict(options)
    if source.size is None:
        raise ConfigError(
            f"{source.name} has signals of different sizes, and a vector of latents belongs to one size: give size= "
            "(with crop= of that size while training), or take latent='grid'"
        )
    return {**options, "size": list(source.size)}


def check_latents(model: NetworkModel, latents: Tensor, size: Sequence[int] | None) -> None:
    """Raise ``ValueError`` unless latents have the shape that the model's encoder gives (for signals of ``size``)."""
    dimension = model.config["latent_dim"]
    if model.vector:
        expected = f"[batch, {dimension}]"
        fits = latents.ndim == 2 and latents.shape[1] == dimension
    else:
        expected = f"[batch, {dimension}, *grid] with {model.axes} grid axes"
        fits = latents.ndim == 2 + model.axes and latents.shape[1] == dimension
    if not fits:
        raise ValueError(f"latents have shape {tuple(latents.shape)}; expected {expected}")
    if size is None:
        return
    grid = model.grid(model.config["size"]) if model.vector else tuple(latents.shape[2:])
    if model.grid(size) != grid:
        raise ValueError(f"size {tuple(size)} has a grid of {model.grid(size)}, not {grid}")

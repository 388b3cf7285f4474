"""Protocol of encoder and decoder networks: what a network says of itself, and the base of registered ones.

Any ``torch.nn.Module`` is an encoder or a decoder if it has three attributes (four, where it sees only a part):

- ``in_channels``, ``out_channels``: of what it reads and emits, as of ``torch.nn.Conv2d``;
- ``downsampling``: values of the signal (pixels, samples, frames) per position of the grid: any whole number, or a
  tuple with one for each axis;
- ``halo``, optional: positions of the grid on each side of one that its result may depend on (the receptive field).
  Only a network that computes the same wherever a part was cut out may say one; with position embeddings, attention
  over the whole, or statistics of the signal, leave it out: the signal is then always read whole, never in tiles.

An encoder maps signals ``[batch, channels, *size]``, normalized to mean 0 and variance 1 and padded to multiples of
``downsampling`` (by repetition of the last values), to latents ``[batch, out_channels, *grid]``. A decoder maps latents
``[batch, in_channels, *grid]`` to ``[batch, out_channels, *(grid * downsampling)]``: the parameters of p(x | z), which
are as many as the signal's channels with the Gaussian likelihood. Tokens depend on the signal alone, so a network
must not mix the items of a batch (no batch statistics in evaluation mode).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vqkit.checking import shown
from vqkit.coding import per_axis
from vqkit.errors import ConfigError
from vqkit.recording import Recorded


class Network(Recorded, nn.Module):
    """Base of registered encoders and decoders: a module that records the arguments it was made with.

    A network of another class works as well (``VQVAE(encoder=net, decoder=net2)``), but a model is saved and resumed
    only where the classes of its networks derive from this one and are registered.

    Example:
        >>> from vqkit.networks import ENCODERS, Network
        >>> @ENCODERS.register("patches")
        ... class Patches(Network):
        ...     def __init__(self, in_channels: int = 3, out_channels: int = 64, patch: int = 14) -> None:
        ...         super().__init__()
        ...         self.in_channels, self.out_channels = in_channels, out_channels
        ...         self.downsampling, self.halo = patch, 0
        ...         self.project = nn.Conv2d(in_channels, out_channels, patch, stride=patch)
        ...
        ...     def forward(self, x):
        ...         return self.project(x)
    """

    supported_axes: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)
    """Axes of the signals that it takes."""
    training_defaults: Mapping[str, Any] = {}
    """Settings of ``TrainConfig`` that suit a VQ-VAE with it as decoder, where they are not those of every model."""
    signal_moments: ClassVar[tuple[float, float] | None] = None
    """Mean and standard deviation that signals are normalized by for this encoder, whatever the data; None: theirs."""
    mirrored: ClassVar[tuple[str, ...]] = ()
    """Arguments that a decoder has from the encoder of its model, where both classes name them and it is given none."""


@dataclass(frozen=True)
class NetworkShape:
    """The channels, downsampling and halo of a network, read and checked by ``shape_of``.

    Attributes:
        in_channels: of its input.
        out_channels: of its output.
        downsampling: of each axis of the signal.
        halo: positions on each side of one that its result may depend on; None: all.

    Example:
        >>> from vqkit.networks import NetworkShape
        >>> NetworkShape(3, 64, (8, 8), halo=4)
        NetworkShape(in_channels=3, out_channels=64, downsampling=(8, 8), halo=4)
    """

    in_channels: int
    out_channels: int
    downsampling: tuple[int, ...]
    halo: int | None


def shape_of(network: nn.Module, role: str, axes: int) -> NetworkShape:
    """Return what a network says of itself.

    Args:
        network: an encoder or a decoder.
        role: ``"encoder"`` or ``"decoder"``, for messages.
        axes: of the signal.

    Raises:
        ConfigError: an attribute that is missing, or no such number.

    Example:
        >>> from torch import nn
        >>> from vqkit.networks import shape_of
        >>> network = nn.Conv2d(3, 16, 4, stride=4)  # a foreign module says its downsampling
        >>> network.downsampling = 4
        >>> shape_of(network, "encoder", axes=2)
        NetworkShape(in_channels=3, out_channels=16, downsampling=(4, 4), halo=None)
    """
    kind = type(network).__name__
    for name in ("in_channels", "out_channels"):
        if not _is_count(getattr(network, name, None)):
            raise ConfigError(
                f"{role}: {kind}.{name} is {shown(getattr(network, name, None))}; a network says its in_channels, "
                "out_channels and downsampling as attributes (vqkit.networks.base), each 1 or more"
            )
    given = getattr(network, "downsampling", None)
    factors: Sequence[int] | None = None
    if _is_count(given):
        factors = per_axis(given, axes)  # type: ignore[arg-type]
    elif isinstance(given, tuple | list) and len(given) == axes and all(map(_is_count, given)):
        factors = tuple(given)
    if factors is None or (not axes and given not in (1, (), [])):
        wanted = "a whole number of 1 or more, or a tuple with one for each of" if axes else "1, since vectors have"
        raise ConfigError(f"{role}: {kind}.downsampling is {shown(given)}; say {wanted} {axes} axes")
    halo = getattr(network, "halo", None)
    if halo is not None and not _is_count(halo, least=0):
        raise ConfigError(f"{role}: {kind}.halo is {shown(halo)}; say positions of the grid, or None for all")
    return NetworkShape(network.in_channels, network.out_channels, tuple(factors), halo)  # type: ignore[arg-type]


def check_emitted(network: nn.Module, role: str, emitted: Tensor, given: Tensor, wanted: tuple[int, ...]) -> None:
    """Raise ``ConfigError`` unless a network emits the shape that its attributes promise.

    Args:
        network: an encoder or a decoder.
        role: ``"encoder"`` or ``"decoder"``, for messages.
        emitted: its output.
        given: its input.
        wanted: the shape that the output has to have.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from vqkit.networks import check_emitted
        >>> network, x = nn.Conv2d(3, 16, 4, stride=4), torch.rand(1, 3, 8, 8)
        >>> check_emitted(network, "encoder", network(x), x, (1, 16, 2, 2))
    """
    if torch.compiler.is_exporting():  # a question would bind the sizes of a graph that is for all
        return
    if not isinstance(emitted, Tensor) or tuple(emitted.shape) != wanted:
        got = list(emitted.shape) if isinstance(emitted, Tensor) else f"a {type(emitted).__name__}"
        raise ConfigError(
            f"the {role}, a {type(network).__name__}, emits {got} for {list(given.shape)}; by its channels and its "
            f"downsampling it has to emit {list(wanted)} (vqkit.networks.base): repair its forward, or what it says"
        )


def _is_count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least

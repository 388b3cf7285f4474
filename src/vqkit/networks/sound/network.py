"""Base of networks over time that may be causal, heed the ends of items, and work on a stream."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.networks.base import Network
from vqkit.networks.padding import frames_of
from vqkit.networks.sound.fixed_point import ONE, on_grid
from vqkit.networks.sound.layers import Sequence as Layers
from vqkit.networks.sound.passes import Pass, StreamState


class SequenceNetwork(Network):
    """Base of encoders and decoders over time.

    A model asks a network for no more than ``vqkit.networks.base`` says; one that derives from this class is also
    told where the items of a batch end, and if it is ``causal`` it encodes and decodes streams with a state.

    Attributes:
        causal: whether nothing that it emits for a frame depends on later frames.
        exact: whether it computes in fixed point in evaluation mode, so that its numbers do not depend on the batch,
            the chunk, the threads or the device (``vqkit.networks.sound.fixed_point``).

    Example:
        >>> import torch
        >>> from vqkit.networks import SEANetEncoder, SequenceNetwork
        >>> encoder = SEANetEncoder(1, 4, strides=[2, 3], hidden_channels=8).eval()
        >>> isinstance(encoder, SequenceNetwork), encoder.causal, encoder.exact
        (True, True, True)
        >>> x, frames = torch.rand(2, 1, 60), torch.arange(10) < torch.tensor([[10], [3]])
        >>> torch.equal(encoder(x, frames=frames)[1:, :, :3], encoder(x[1:, :, :18]))
        True
    """

    supported_axes: ClassVar[tuple[int, ...]] = (1,)
    causal: bool
    exact: bool

    @abstractmethod
    def run(self, x: Tensor, way: Pass) -> Tensor:
        """What the layers give for ``x``, in the way of a pass."""

    @abstractmethod
    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """The same in fixed point without a gradient, ``[batch, time, channels]`` in units of 2^-15."""

    def forward(self, x: Tensor, frames: Tensor | None = None, state: StreamState | None = None) -> Tensor:
        """Latents of a signal, or a signal of latents.

        Args:
            x: what the network reads; of a stream the next whole frames.
            frames: ``[batch, grid]`` bool, False behind the end of an item; None: all count.
            state: of a stream that is read in pieces; it is changed. Only of causal networks.

        Raises:
            ConfigError: another number of axes than 1, or a state for a network that is not causal.
        """
        if x.ndim != 3:
            raise ConfigError(f"a {type(self).__name__} reads [batch, channels, time], not {list(x.shape)}: axes=1")
        if state is not None and not self.causal:
            raise ConfigError(f"a {type(self).__name__} with causal=False has no state: a stream needs causal=True")
        exact = self.exact and not self.training and x.device.type != "mps"  # which has no float64
        if exact and not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            with torch.inference_mode():
                whole = on_grid(x).mul_(ONE).transpose(1, 2).contiguous()
                found = self.evaluate(whole, Pass(exact, frames, state)).mul_(1 / ONE).transpose(1, 2)
            return found.to(x.dtype, memory_format=torch.contiguous_format)
        found = self.run(on_grid(x) if exact else x, Pass(exact, frames, state))
        return found.to(x.dtype)


class LayeredNetwork(SequenceNetwork):
    """Base of networks that are layers, one after the other.

    Attributes:
        layers: first to last.
        downsampling: samples in a frame.
        block_samples: what a causal network computes at a time in fixed point, in samples of all items, so that its
            features fit the cache and a long signal takes no more memory than a short one.
    """

    block_samples: ClassVar[int] = 1 << 13
    layers: Layers
    downsampling: int

    @property
    @abstractmethod
    def read(self) -> int:
        """Values of a frame that it reads: samples of an encoder, 1 of a decoder."""

    def run(self, x: Tensor, way: Pass) -> Tensor:
        """See ``SequenceNetwork.run``."""
        found: Tensor = self.layers(x, way)
        return found

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``SequenceNetwork.evaluate``."""
        count = max(1, self.block_samples // (self.downsampling * max(1, len(x))))
        if not self.causal or x.shape[1] <= count * self.read:
            return self.layers.evaluate(x, way)
        blocks, state = x.split(count * self.read, dim=1), way.state or StreamState()
        frames = [None] * len(blocks) if way.frames is None else way.frames.split(count, dim=1)
        found = [self.layers.evaluate(part, Pass(True, some, state)) for part, some in zip(blocks, frames, strict=True)]
        return torch.cat(found, dim=1)


def run_decoder(
    decoder: nn.Module, latents: Tensor, downsampling: int | Sequence[int], state: StreamState | None, mask: Any
) -> Tensor:
    """What a decoder gives for latents ``[batch, channels, *grid]``; one that looks ahead is told where items end.

    Args:
        decoder: any.
        latents: what it reads.
        downsampling: of each axis.
        state: of a stream, of causal networks.
        mask: ``[batch, *size]`` bool, False behind the end of a signal; None: all are whole.

    Raises:
        ValueError: the mask of another batch or another size.

    Example:
        >>> import torch
        >>> from vqkit.networks import SEANetDecoder, run_decoder
        >>> decoder = SEANetDecoder(4, 1, strides=[2, 3], hidden_channels=8, causal=False).eval()
        >>> x, mask = torch.rand(2, 4, 10), torch.arange(60) < torch.tensor([[60], [18]])
        >>> torch.equal(run_decoder(decoder, x, 6, None, mask)[1:, :, :18], decoder(x[1:, :, :3]))
        True
    """
    told: dict[str, Any] = {} if state is None else {"state": state}
    if mask is not None and isinstance(decoder, SequenceNetwork):
        frames = frames_of(mask, downsampling, (len(latents), *latents.shape[2:]))
        told |= {} if decoder.causal else {"frames": frames.to(latents.device)}
    found: Tensor = decoder(latents, **told)
    return found

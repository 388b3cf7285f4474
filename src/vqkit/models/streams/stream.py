"""Streams: signals of one axis, encoded and decoded chunk by chunk as if they were whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from vqkit.coding import per_axis
from vqkit.errors import ConfigError, DataError
from vqkit.models.network import NetworkModel
from vqkit.models.streams.pieces import piecewise
from vqkit.ops.precision import at_least_float32


@dataclass(frozen=True)
class Halves:
    """The steps of a model, from signals to indices and back.

    Attributes:
        normalize: signals to what the encoder reads, filled up to whole frames.
        encode: what the encoder reads to latents; it takes ``state=``.
        choose: latents to indices.
        look_up: indices to what the decoder reads.
        decode: that to the parameters of p(x | z); it takes ``state=``.
    """

    normalize: Callable[[Tensor], Tensor]
    encode: Callable[..., Tensor]
    choose: Callable[[Tensor], Tensor]
    look_up: Callable[[Any], Tensor]
    decode: Callable[..., Tensor]


@final
class Stream:
    """Encoder and decoder of a stream, with the state that stands for what has passed; ``model.stream()`` makes it.

    The indices, and the samples, are those of the whole signal in one piece: to the last bit with networks that compute
    in fixed point (``"seanet"``), else to the rounding of floats, which decides now and then between two codes. A
    causal network (``SequenceNetwork.causal``) keeps its own state and computes each frame once. Any other with a
    ``halo`` sees each chunk between its neighbors: frames come ``halo`` frames late, and those of a halo on each side
    are computed again with each chunk. Memory is that of a chunk and its halo, however long the stream is.

    Attributes:
        halves: the steps of the model.
        encoding_latency: samples, from the first one of a frame up to the one with which its indices are known.
        decoding_latency: samples that have to follow a frame before the frame is known.
        latency_seconds: both together, from the first sample of a frame up to its sound again, without the time of
            computing; None where the model knows no sample rate.

    Example:
        >>> import torch, vqkit
        >>> net = {"type": "seanet", "config": {"strides": [2, 4], "hidden_channels": 8}}
        >>> sizes = {"axes": 1, "channels": 1, "code_dim": 4, "kind": "sound@16000"}
        >>> model = vqkit.VQVAE(16, encoder=net, decoder=net, **sizes).eval()
        >>> sound, stream = torch.rand(1, 1, 101) - 0.5, model.stream()
        >>> stream.latency_seconds  # a frame of 8 samples
        0.0005
        >>> parts = [stream.encode(chunk) for chunk in sound.split(10, dim=2)]
        >>> parts.append(stream.encode(last=True))  # of the 5 samples that are left, no whole frame
        >>> [part.shape[1] for part in parts]
        [1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 0, 1]
        >>> torch.equal(torch.cat(parts, dim=1), model.encode(sound))
        True
        >>> back = [stream.decode(part) for part in parts[:-1]]
        >>> back.append(stream.decode(parts[-1], last=True, size=101))
        >>> torch.equal(torch.cat(back, dim=2), model.reconstruct(sound))
        True
    """

    def __init__(self, model: NetworkModel, halves: Halves, empty: Sequence[int], condition: Any = None) -> None:
        if model.axes != 1 or model.vector:
            what = "one vector for a whole signal" if model.vector else f"axes={model.axes}"
            raise ConfigError(f"the model has {what}; a stream is of signals of 1 axis, such as sound, with a grid")
        if model.training:
            raise ConfigError("the model is in training mode, where networks do not compute exactly: call model.eval()")
        with model.conditioned_on(condition):  # complain before the first chunk
            self._condition = condition
        self._model, self.halves, self._empty = model, halves, tuple(empty)
        self._step = per_axis(model.downsampling, 1)[0]
        self._encoder = piecewise(model.encoder, "encoder", halves.encode, self._step, 1)
        self._decoder = piecewise(model.decoder, "decoder", halves.decode, 1, self._step)
        self.encoding_latency = (1 + self._encoder.halo) * self._step
        self.decoding_latency = self._decoder.halo * self._step
        rate = model.kind.rate
        self.latency_seconds = None if rate is None else (self.encoding_latency + self.decoding_latency) / rate
        self._rest: Tensor | None = None
        self._emitted = 0

    @torch.no_grad()
    def encode(self, chunk: Any = None, *, last: bool = False) -> Tensor:
        """Return the indices that are known now, of 0 or more frames: ``[batch, frames]``, or ``[..., codebooks]``.

        Args:
            chunk: the next samples, as ``model.encode`` takes them, as many as there are; None: none.
            last: whether the signal ends with them. A frame that is not full is then filled as ``model.encode`` does
                it, and what comes next begins another signal.

        Raises:
            DataError: no such signals, another batch than before, or an end before the first sample.
        """
        if chunk is not None:
            chunk = self._model.read_signals(chunk)
            rest = chunk[:, :, :0] if self._rest is None else self._same(chunk, self._rest)
            self._rest = torch.cat([rest, chunk], dim=2)  # a copy: whoever gave the chunk may fill it anew
        rest = self._rest
        if rest is None:
            raise DataError("the stream has no samples yet: give a chunk, [batch, channels, samples]")
        ready = rest.shape[2] if last else rest.shape[2] // self._step * self._step
        self._rest = None if last else rest[:, :, ready:]
        part = rest[:, :, :ready]
        latents = self._encoder.push(self.halves.normalize(part) if ready else None, last=last)
        if latents is None:
            return torch.empty(len(rest), *self._empty, dtype=torch.int64, device=rest.device)
        return self.halves.choose(latents)

    @staticmethod
    def _same(chunk: Tensor, rest: Tensor) -> Tensor:
        if len(chunk) != len(rest):
            raise DataError(f"the chunk is a batch of {len(chunk)}, the stream is one of {len(rest)}: give the same")
        return rest

    @torch.no_grad()
    def decode(self, indices: Any, *, last: bool = False, size: int | None = None) -> Tensor:
        """Return the samples that are known now, ``[batch, channels, samples]`` with 0 or more of them.

        Args:
            indices: of the next 0 or more frames, as ``encode`` gives them.
            last: whether the signal ends with them; what comes next begins another signal.
            size: with ``last``, samples of the whole signal, at which the last frame is cut; None: whole frames.

        Raises:
            ValueError: indices of another codebook, or a size whose last frame is not among the last indices.
        """
        count = indices.shape[1] if indices.ndim > 1 else 0
        with self._model.conditioned_on(self._condition):
            raw = self._decoder.push(self.halves.look_up(indices) if count else None, last=last)
        samples = 0 if raw is None else raw.shape[2]
        if last:
            whole, self._emitted = self._emitted + samples, 0
            if size is not None and not 0 <= whole - size <= min(samples, self._step - 1):
                raise ValueError(f"size={size}: the stream had {whole // self._step} frames, {whole} samples")
        else:
            self._emitted += samples
        if raw is None:
            return torch.empty(len(indices), self._model.channels, 0, device=self._model.device)
        if last and size is not None:
            raw = raw[:, :, : samples - (whole - size)]
        return self._model.expected_signal(at_least_float32(raw))

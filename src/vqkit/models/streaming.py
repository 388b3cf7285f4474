"""Streams: signals of one axis, encoded and decoded chunk by chunk as if they were whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from vqkit.coding import per_axis
from vqkit.errors import ConfigError, DataError
from vqkit.models.network import NetworkModel
from vqkit.networks import SequenceNetwork, StreamState, shape_of
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
        encoding_latency: samples, from the first one of a frame up to the one with which its indices are known.
        decoding_latency: samples that have to follow a frame before the frame is known.

    Example:
        >>> import torch, vqkit
        >>> net = {"type": "seanet", "config": {"strides": [2, 4], "hidden_channels": 8}}
        >>> model = vqkit.VQVAE(16, axes=1, channels=1, code_dim=4, encoder=net, decoder=net).eval()
        >>> sound = torch.rand(1, 1, 101) - 0.5
        >>> stream = model.stream()
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

    def __init__(self, model: NetworkModel, halves: Halves, empty: Sequence[int]) -> None:
        if model.axes != 1 or model.vector:
            what = "one vector for a whole signal" if model.vector else f"axes={model.axes}"
            raise ConfigError(f"the model has {what}; a stream is of signals of 1 axis, such as sound, with a grid")
        if model.training:
            raise ConfigError("the model is in training mode, where networks do not compute exactly: call model.eval()")
        self._model, self._halves, self._empty = model, halves, tuple(empty)
        self._step = per_axis(model.downsampling, 1)[0]
        self._encoder = _make_pieces(model.encoder, "encoder", halves.encode, self._step, 1)
        self._decoder = _make_pieces(model.decoder, "decoder", halves.decode, 1, self._step)
        self.encoding_latency = (1 + self._encoder.halo) * self._step
        self.decoding_latency = self._decoder.halo * self._step
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
            self._rest = chunk if self._rest is None else torch.cat([self._same(chunk, self._rest), chunk], dim=2)
        rest = self._rest
        if rest is None:
            raise DataError("the stream has no samples yet: give a chunk, [batch, channels, samples]")
        ready = rest.shape[2] if last else rest.shape[2] // self._step * self._step
        self._rest = None if last else rest[:, :, ready:]
        part = rest[:, :, :ready]
        latents = self._encoder.push(self._halves.normalize(part) if ready else None, last=last)
        if latents is None:
            return torch.empty(len(rest), *self._empty, dtype=torch.int64, device=rest.device)
        return self._halves.choose(latents)

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
        raw = self._decoder.push(self._halves.look_up(indices) if count else None, last=last)
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
        return self._model.to_signal(self._model.likelihood.mean(at_least_float32(raw)))


@final
class _Pieces:
    """A causal network that is given frames after frames, with a state."""

    halo = 0

    def __init__(self, run: Callable[..., Tensor]) -> None:
        self._run = run
        self._state = StreamState()

    def push(self, frames: Tensor | None, *, last: bool) -> Tensor | None:
        """What is known now, or None: nothing yet."""
        found = None if frames is None else self._run(frames, state=self._state)
        if last:
            self._state = StreamState()
        return found


@final
class _Windows:
    """A network that sees a halo on each side of a frame, and is given it anew with each push.

    Args:
        run: the network.
        halo: frames.
        read: values of a frame that it reads.
        emitted: values of a frame that it emits.
    """

    def __init__(self, run: Callable[..., Tensor], halo: int, read: int, emitted: int) -> None:
        self._run, self.halo, self._read, self._emit = run, halo, read, emitted
        self._kept: Tensor | None = None
        self._done = 0  # frames of those kept that have been emitted

    def push(self, frames: Tensor | None, *, last: bool) -> Tensor | None:
        """What is known now, or None: nothing yet."""
        if frames is not None:
            self._kept = frames if self._kept is None else torch.cat([self._kept, frames], dim=2)
        if self._kept is None:
            return None
        kept, done = self._kept, self._done
        count = kept.shape[2] // self._read
        ready = count if last else count - self.halo
        found = None
        if ready > done:
            found = self._run(kept)[:, :, done * self._emit : ready * self._emit]
            drop = max(0, ready - self.halo)
            self._kept, self._done = kept[:, :, drop * self._read :], ready - drop
        if last:
            self._kept, self._done = None, 0
        return found


def _make_pieces(
    network: nn.Module, role: str, run: Callable[..., Tensor], read: int, emitted: int
) -> _Pieces | _Windows:
    if isinstance(network, SequenceNetwork) and network.causal:
        return _Pieces(run)
    halo = shape_of(network, role, 1).halo
    if halo is None:
        raise ConfigError(
            f"the {role}, a {type(network).__name__}, says no halo, so it may see the whole signal: a stream needs a "
            "causal network or one with a halo (vqkit.networks.base)"
        )
    return _Windows(run, halo, read, emitted)

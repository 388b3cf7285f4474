"""Sampling of a WaveNet with memory: a new sample costs one step through the layers (arXiv 1611.09482).

Steps are products of small matrices, where the time to call an operation counts: NumPy's are the quickest to call.
All numbers are integers, in units of 2^-15, as ``float64``: the fixed point of ``vqkit.networks.sound.fixed_point``, so
that a step gives to the last bit what the whole network gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.networks.autoregressive import Draw
from vqkit.networks.sound.fixed_point import FRACTION_BITS, RANGE_BITS
from vqkit.networks.sound.layers import Convolution
from vqkit.networks.sound.passes import Pass
from vqkit.networks.sound.wavenet.layers import FEATURES, Gate, Residual, Stack, features

Array = npt.NDArray[np.float64]
_ONE = 2.0**FRACTION_BITS
_LIMIT = 2.0 ** (FRACTION_BITS + RANGE_BITS)
_ROUND = 1.5 * 2.0**52
_MOST_ROWS = 1 << 16


@final
class Sampler:
    """The layers of a WaveNet with their memories: of each layer what it has read for as long as its dilation.

    The part of a gate that reads the past is computed for ``dilation`` samples at once, when all of them are known.

    Args:
        first: from features of a sample to the first layer.
        gates: of each layer.
        residual: of each layer.
        skip: of all layers together.
        head: behind it.
        conditions: of each frame what latents add to the gates, ``[batch, layers * 2 * width, frames]`` float64.
    """

    def __init__(
        self,
        first: Convolution,
        gates: Iterable[object],
        residual: Iterable[object],
        skip: Convolution,
        head: Stack,
        conditions: Tensor,
    ) -> None:
        self._first = _Affine(first)
        gate_list = [cast("Gate", gate) for gate in gates]
        weights = [gate.rounded().detach().cpu().numpy() for gate in gate_list]
        self._past = [np.ascontiguousarray(weight[:, :, 0].T) for weight in weights]
        self._now = [np.ascontiguousarray(weight[:, :, 1].T) for weight in weights]
        self._residual = [_Affine(cast("Residual", layer).convolution) for layer in residual]
        self._after = [_Affine(layer) for layer in (skip, *head.layers) if isinstance(layer, Convolution)]
        count, width = len(weights), len(self._now[0])
        batch = len(conditions)
        ordered = conditions.detach().unflatten(1, (count, 2 * width)).permute(3, 1, 0, 2)
        self._conditions = ordered.contiguous().numpy() * _ONE  # [frames, layers, batch, 2 * width]
        self._dilations = [gate.dilation for gate in gate_list]
        self._memory = [np.zeros((dilation, batch, width)) for dilation in self._dilations]
        self._told = [np.zeros((dilation, batch, 2 * width)) for dilation in self._dilations]
        self._active = np.zeros((count, batch, width))
        self._gated = np.zeros((batch, 2 * width))
        # of the halves of a gate: sigmoid(x) = (1 + tanh(x / 2)) / 2; a large number added and taken off rounds
        self._inward = np.repeat([1 / _ONE, 0.5 / _ONE], width)
        self._outward = np.repeat([_ONE, 0.5], width)
        self._rounding = np.repeat([_ROUND, _ROUND / _ONE + 0.5], width), np.repeat([_ROUND, _ROUND / _ONE], width)
        self._rows: dict[tuple[float, ...], Array] = {}

    def run(self, downsampling: int, draw: Draw, dtype: torch.dtype) -> Tensor:
        """Draw all samples, ``[batch, channels, frames * downsampling]`` in a network's numbers.

        Args:
            downsampling: samples in a frame.
            draw: see ``AutoregressiveNetwork.generate``.
            dtype: of what is emitted, and of the samples.
        """
        frames, _, batch, _ = self._conditions.shape
        length = frames * downsampling
        channels = len(self._first.weight) // FEATURES
        found = torch.zeros(batch, channels, length, dtype=dtype)
        last = torch.zeros(batch, channels, dtype=dtype)
        for time in range(length):
            emitted = self._step(self._features(last), time, downsampling)
            last = draw(torch.from_numpy(emitted / _ONE).to(dtype), time).to(dtype)
            found[:, :, time] = last
        return found

    def _features(self, last: Tensor) -> Array:
        """Features of samples, ``[batch, FEATURES * channels]``: of one that has been before, those of before."""
        keys = list(map(tuple, last.tolist()))
        rows = [self._rows.get(key) for key in keys]
        if any(row is None for row in rows):
            if len(self._rows) > _MOST_ROWS:
                self._rows.clear()
            rows = list(features(last, exact=True).numpy() * _ONE)
            self._rows.update(zip(keys, rows, strict=True))  # type: ignore[arg-type]
        return np.array(rows)

    def _step(self, told: Array, time: int, downsampling: int) -> Array:
        """What is emitted for the sample at a time, ``[batch, out_channels]``, given features of the one before."""
        slots = [time % dilation for dilation in self._dilations]
        for layer, slot in enumerate(slots):
            if not slot:
                self._recall(layer, time, downsampling)
        streams = [memory[slot] for memory, slot in zip(self._memory, slots, strict=True)]
        streams[0][:] = self._first.rounded(told)
        self._layers(streams, slots)
        if max(float(np.abs(stream).max()) for stream in streams) > _LIMIT:
            self._layers(streams, slots, clamp=True)
        emitted = self._active.transpose(1, 0, 2).reshape(len(told), -1)
        for number, affine in enumerate(self._after):
            emitted = affine.rounded(np.maximum(emitted, 0.0) if number else emitted)
        return emitted

    def _layers(self, streams: list[Array], slots: list[int], *, clamp: bool = False) -> None:
        """Compute what each layer reads, from the second on, and its gates, in place."""
        gated, inward, outward, (added, taken) = self._gated, self._inward, self._outward, self._rounding
        width = streams[0].shape[1]
        value, gate = gated[:, :width], gated[:, width:]
        last = len(streams) - 1
        for layer, x in enumerate(streams):
            np.dot(x, self._now[layer], out=gated)
            gated += self._told[layer][slots[layer]]
            np.rint(gated, out=gated)
            gated *= inward
            np.tanh(gated, out=gated)
            gated *= outward
            gated += added
            gated -= taken
            active = self._active[layer]
            np.multiply(value, gate, out=active)
            np.rint(active, out=active)
            if layer == last:
                return
            affine, following = self._residual[layer], streams[layer + 1]
            np.dot(active, affine.weight, out=following)
            following += affine.bias
            following += x
            np.rint(following, out=following)
            if clamp:
                _clamp(following)

    def _recall(self, layer: int, time: int, downsampling: int) -> None:
        """The part of a layer's gates that is known for the next ``dilation`` samples: the past and the latents."""
        memory, told = self._memory[layer], self._told[layer]
        np.dot(memory.reshape(-1, memory.shape[2]), self._past[layer], out=told.reshape(-1, told.shape[2]))
        frames = np.arange(time, time + len(told)) // downsampling
        told += self._conditions[np.minimum(frames, len(self._conditions) - 1), layer]


@final
class _Affine:
    """A convolution of one value as a matrix, in the units of the sampler."""

    def __init__(self, layer: Convolution) -> None:
        weight = layer._weight(Pass(exact=True)).detach().cpu()
        self.weight: Array = np.ascontiguousarray(weight[:, :, 0].numpy().T)
        self.bias: Array = layer.bias.detach().double().cpu().numpy() * _ONE

    def rounded(self, x: Array) -> Array:
        """The product and the bias, rounded."""
        found: Array = np.dot(x, self.weight)
        found += self.bias
        _clamp(found)
        return found


def _clamp(x: Array) -> None:
    """Round to the grid, in place."""
    np.rint(x, out=x)
    np.minimum(x, _LIMIT, out=x)
    np.maximum(x, -_LIMIT, out=x)

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
from vqkit.networks.sound.layers import Convolution, Sequence
from vqkit.networks.sound.passes import Pass
from vqkit.networks.sound.wavenet_layers import FEATURES, Gate, Residual, features

Array = npt.NDArray[np.float64]
_ONE = 2.0**FRACTION_BITS
_LIMIT = 2.0 ** (FRACTION_BITS + RANGE_BITS)


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
        head: Sequence,
        conditions: Tensor,
    ) -> None:
        self._first = _Affine(first)
        self._gates = [cast("Gate", gate) for gate in gates]
        weights = [gate.rounded().detach().cpu().numpy() for gate in self._gates]
        self._past = [np.ascontiguousarray(weight[:, :, 0].T) for weight in weights]
        self._now = [np.ascontiguousarray(weight[:, :, 1].T) for weight in weights]
        self._residual = [_Affine(cast("Residual", layer).convolution) for layer in residual]
        self._after = [_Affine(layer) for layer in (skip, *head.layers) if isinstance(layer, Convolution)]
        count, width = len(weights), len(self._now[0])
        batch = len(conditions)
        ordered = conditions.detach().unflatten(1, (count, 2 * width)).permute(3, 1, 0, 2)
        self._conditions = ordered.contiguous().numpy() * _ONE  # [frames, layers, batch, 2 * width]
        self._dilations = [gate.dilation for gate in self._gates]
        self._memory = [np.zeros((dilation, batch, width)) for dilation in self._dilations]
        self._told = [np.zeros((dilation, batch, 2 * width)) for dilation in self._dilations]
        self._active = np.zeros((count, batch, width))
        self._gated, self._next = np.zeros((batch, 2 * width)), np.zeros((batch, width))
        halves = np.ones(width), np.full(width, 0.5)
        self._inward = np.concatenate(halves) / _ONE  # sigmoid(x) = (1 + tanh(x / 2)) / 2
        self._outward = np.concatenate(halves) * _ONE
        self._offset = np.concatenate([np.zeros(width), np.full(width, 0.5 * _ONE)])

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
            emitted = self._step(features(last, exact=True).numpy() * _ONE, time, downsampling)
            last = draw(torch.from_numpy(emitted / _ONE).to(dtype), time).to(dtype)
            found[:, :, time] = last
        return found

    def _step(self, told: Array, time: int, downsampling: int) -> Array:
        """What is emitted for the sample at a time, ``[batch, out_channels]``, given features of the one before."""
        x = self._first.rounded(told)
        width, gated = x.shape[1], self._gated
        value, gate = gated[:, :width], gated[:, width:]
        for layer, dilation in enumerate(self._dilations):
            slot = time % dilation
            if not slot:
                self._recall(layer, time, downsampling)
            np.dot(x, self._now[layer], out=gated)
            gated += self._told[layer][slot]
            np.rint(gated, out=gated)
            gated *= self._inward
            np.tanh(gated, out=gated)
            gated *= self._outward
            gated += self._offset
            np.rint(gated, out=gated)
            active = self._active[layer]
            np.multiply(value, gate, out=active)
            active *= 1 / _ONE
            np.rint(active, out=active)
            self._memory[layer][slot] = x
            following = self._next
            np.dot(active, self._residual[layer].weight, out=following)
            following += self._residual[layer].bias
            following += x
            _clamp(following)
            self._next, x = x, following
        emitted = self._active.transpose(1, 0, 2).reshape(len(x), -1)
        for number, affine in enumerate(self._after):
            emitted = affine.rounded(np.maximum(emitted, 0.0) if number else emitted)
        return emitted

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
        weight = layer.weight_for(Pass(exact=True)).detach().cpu()
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

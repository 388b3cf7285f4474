"""A WaveNet by loops over samples and layers, in NumPy float64, from the parameters of a ``WaveNetDecoder``."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def emitted(
    weights: Mapping[str, Array], latents: Array, signal: Array, dilations: list[int], downsampling: int
) -> Array:
    """What is emitted for each sample, ``[out_channels, time]``, of latents ``[D, grid]`` and a mono signal."""
    conditions = _conditions(weights, latents)
    layers, width = len(dilations), len(weights["first.bias"])
    streams = np.zeros((layers, len(signal), width))  # what each layer reads
    columns = []
    for time in range(len(signal)):
        x = weights["first.weight"][:, :, 0] @ _features(signal[time - 1] if time else 0.0) + weights["first.bias"]
        condition = conditions[time // downsampling]
        skipped = weights["skip.bias"].copy()
        for layer, dilation in enumerate(dilations):
            streams[layer, time] = x
            past = streams[layer, time - dilation] if time >= dilation else np.zeros(width)
            weight = weights[f"gates.{layer}.weight"]
            z = weight[:, :, 0] @ past + weight[:, :, 1] @ x
            z += condition[2 * width * layer : 2 * width * (layer + 1)]
            active = np.tanh(z[:width]) / (1 + np.exp(-z[width:]))
            skipped += weights["skip.weight"][:, width * layer : width * (layer + 1), 0] @ active
            if layer == layers - 1:
                break
            residual = f"residual.{layer}.convolution"
            x = x + weights[f"{residual}.weight"][:, :, 0] @ active + weights[f"{residual}.bias"]
        hidden = np.maximum(skipped, 0)
        hidden = weights["head.layers.0.weight"][:, :, 0] @ hidden + weights["head.layers.0.bias"]
        hidden = np.maximum(hidden, 0)
        columns.append(weights["head.layers.1.weight"][:, :, 0] @ hidden + weights["head.layers.1.bias"])
    return np.stack(columns, axis=1)


def _features(sample: float) -> Array:
    companded = math.asinh(8 * sample) / 2
    waves = [wave(2**octave * companded) for octave in range(4) for wave in (math.sin, math.cos)]
    return np.array([sample, companded, *waves])


def _conditions(weights: Mapping[str, Array], latents: Array) -> list[Array]:
    """Of each frame, all layers behind one another."""
    frames = [latents[:, frame] for frame in range(latents.shape[1])]
    for layer in (0, 1, 2):
        weight, bias = weights[f"condition.layers.{layer}.weight"], weights[f"condition.layers.{layer}.bias"]
        reach = weight.shape[2] // 2
        found = []
        for frame in range(len(frames)):
            value = bias.copy()
            for place in range(weight.shape[2]):
                other = frame + place - reach
                if 0 <= other < len(frames):
                    value += weight[:, :, place] @ frames[other]
            found.append(np.maximum(value, 0) if layer < 2 else value)
        frames = found
    return frames

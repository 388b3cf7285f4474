"""Objectives and reconstructions that several tests use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from vqkit.likelihoods import Unit, build_likelihood
from vqkit.objectives import OBJECTIVES, AdversarialObjective, Assignment, Decoded, Objective, build_objective
from vqkit.quantizers import EMAVectorQuantizer, Quantizer, ResidualQuantizer

SIZES: dict[int, tuple[int, ...]] = {0: (), 1: (13,), 2: (9, 8), 3: (4, 5, 6)}
CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class Adversary(AdversarialObjective):
    """A discriminator of patches, small; ``whole`` pools them to one logit a signal."""

    supported_axes = (1, 2, 3)

    def __init__(self, *, whole: bool = False, after: int = 0, adaptive: bool = False) -> None:
        super().__init__(after=after, adaptive=adaptive, learning_rate=1e-2)
        self.whole = whole

    def make_discriminator(self, axes: int, channels: int) -> nn.Module:
        """One hidden layer."""
        convolution = CONVOLUTIONS[axes]
        layers = [convolution(channels, 4, 3, 2, 1), nn.LeakyReLU(0.2), convolution(4, 1, 1)]
        if self.whole:
            layers += [nn.Flatten(), Mean()]
        return nn.Sequential(*layers)


class Mean(nn.Module):
    """The mean of each row, as a column."""

    def forward(self, rows: Tensor) -> Tensor:
        """``[batch, n]`` to ``[batch, 1]``."""
        return rows.mean(dim=1, keepdim=True)


if "adversary" not in OBJECTIVES:
    OBJECTIVES.register("adversary")(Adversary)

EVERY = [
    *(name for name, kind in OBJECTIVES.items() if kind.__module__.startswith("vqkit.")),
    "likelihood + 0.5*gradient(scales=2)",
    "adversary",
    "adversary(whole=True)",
    "likelihood + 0.5*adversary(adaptive=True)",
]
"""The objectives of this package, and sums and adversaries."""


def supported(axes: int) -> list[str]:
    """Those of ``EVERY`` that are for signals of so many axes."""
    return [text for text in EVERY if all(axes in part.supported_axes for part in build_objective(text).parts)]


def decoded(
    axes: int = 2, *, likelihood: str = "gaussian", learned: bool = False, perfect: bool = False, masked: bool = False
) -> Decoded:
    """Reconstructions of 4 signals of 2 channels in float64, with gradient; the parameters are latents too."""
    generator = torch.Generator().manual_seed(axes)
    size = SIZES[axes]
    levels = 256 if axes >= 2 else None
    signal = torch.rand(4, 2, *size, generator=generator, dtype=torch.float64)
    if levels is not None:
        signal = (signal * 255).round() / 255
    unit = Unit(0.5, 0.25, levels)
    target = (signal - unit.mean) / unit.std
    kind = build_likelihood(likelihood, 2, axes, learned_scale=learned).double()
    parameters = torch.randn(4, kind.outputs, *size, generator=generator, dtype=torch.float64)
    if perfect:
        parameters = kind.shifted(torch.zeros_like(parameters), target)
    parameters.requires_grad_()
    mask = None
    if masked:
        mask = torch.ones(4, *size, dtype=torch.bool)
        mask[1:, size[0] // 2 :] = False
    return Decoded(
        parameters, kind.mean(parameters), target, signal, kind, unit, mask,
        latents=parameters, latents_mask=mask, classes=torch.tensor([0, 2, 1, 2]),
        decode_as=lambda latents, classes: kind.mean(latents) * (1 + classes.view(-1, *[1] * (axes + 1))),
        encode=lambda signals: signals + signals.square(),
        assignment=assigned(parameters),
    )  # fmt: skip


def quantizer() -> Quantizer:
    """Two residual codebooks of four codes for latents of two channels."""
    made = ResidualQuantizer([EMAVectorQuantizer(4, 2), EMAVectorQuantizer(4, 2)]).double().eval()
    made.initialize(torch.randn(64, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    return made.freeze()


def assigned(latents: Tensor) -> Assignment:
    """The first two channels as what an encoder emitted, with their codes."""
    return Assignment(latents[:, :2], quantizer().encode(latents[:, :2].detach()))


def prepared(text: str, axes: int) -> Objective:
    """An objective for such reconstructions, of a model of three classes whose latents have two channels."""
    torch.manual_seed(0)
    objective = build_objective(text)
    conditions = SimpleNamespace(classes=3)
    model = SimpleNamespace(
        axes=axes, channels=2, vector=axes == 0, decoded_channels=2, conditions=conditions, quantizer=quantizer()
    )
    objective.prepare_for(model)
    with torch.no_grad():
        for parameter in objective.parameters():
            if not parameter.any():  # a head that begins with the same logits for all
                parameter.normal_(std=0.1)
    return objective.double()

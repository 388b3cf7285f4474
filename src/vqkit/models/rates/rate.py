"""Bit rates of a model: of each number of codebooks that it may use, and those that were asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from vqkit.checking import counted
from vqkit.coding import per_axis
from vqkit.errors import ConfigError
from vqkit.quantizers.base import Quantizer
from vqkit.quantizers.composite.residual import ResidualQuantizer
from vqkit.quantizers.levels.stages import LevelStages
from vqkit.signals import Signal
from vqkit.spelling import option

NEAR = 0.01
"""How far, relatively, a rate may lie from the one that was asked for."""


class Coded(Protocol):
    """Protocol of models with a rate: of a kind of signal, a grid and a quantizer."""

    @property
    def kind(self) -> Signal: ...  # noqa: D102

    @property
    def quantizer(self) -> Quantizer: ...  # noqa: D102

    @property
    def axes(self) -> int: ...  # noqa: D102

    @property
    def downsampling(self) -> int | tuple[int, ...]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A rate of a model: that of its first so many codebooks.

    Attributes:
        codebooks: how many are used.
        unit: ``"kbps"`` of sound at a known sample rate, else ``"bits per pixel"`` (sample, vector).
        nominal: log2 K bits an index, in that unit.
        entropy: the entropy of the index histogram of a set, in that unit; None: not counted.
        file: a file of a set, headers included, in that unit; None: not counted.
        frames: positions of the grid a second; None of other signals than sound.
        tokens: indices a second; None of other signals than sound.
        trained: whether signals of a training used so many.
        psnr_db: over a set, with so many codebooks; None: not measured (``vqkit.evaluation.measure_rates``).

    Example:
        >>> from vqkit.models import Rate
        >>> Rate(codebooks=3, unit="kbps", nominal=1.5, frames=50.0, tokens=150.0).nominal
        1.5
    """

    codebooks: int
    unit: str
    nominal: float
    entropy: float | None = None
    file: float | None = None
    frames: float | None = None
    tokens: float | None = None
    trained: bool = True
    psnr_db: float | None = None

    def padded(self, padding: float) -> Rate:
        """The same with so many times the bits."""
        entropy = None if self.entropy is None else self.entropy * padding
        return replace(self, nominal=self.nominal * padding, entropy=entropy)


def model_rates(model: Coded, entropies: Sequence[float] | None = None, *, padding: float = 1.0) -> list[Rate]:
    """Return the rates that a model was trained for, from the lowest to that of all codebooks.

    Args:
        model: with a quantizer.
        entropies: of each codebook's indices in a set, in bits an index, of the first ones that were used; the highest
            rate is then that of as many. None: not counted.
        padding: pixels that the positions stand for, for each pixel of a set whose sizes are no multiples of theirs.

    Example:
        >>> import vqkit
        >>> from vqkit.models import model_rates
        >>> model = vqkit.VQVAE(256, axes=1, channels=1, kind="sound@16000", downsampling=128, num_codebooks=4,
        ...                     stacking="residual", code_dim=8, hidden_channels=8,
        ...                     quantizer_options={"quantizer_dropout": 0.5, "dropout_codebooks": [2]})
        >>> [(rate.codebooks, rate.nominal) for rate in model_rates(model)]
        [(2, 2.0), (4, 4.0)]
    """
    most = model.quantizer.num_codebooks if entropies is None else len(entropies)
    counts = sorted({most, *(count for count in _trained(model.quantizer) if count < most)})
    found = [rate_of(model, count, entropies) for count in counts]
    return [each if each.frames is not None else each.padded(padding) for each in found]


def rate_of(model: Coded, codebooks: int, entropies: Sequence[float] | None = None) -> Rate:
    """Return the rate of the first so many codebooks of a model."""
    factors = math.prod(per_axis(model.downsampling, model.axes))
    bits = math.log2(model.quantizer.codebook_size) * codebooks
    seconds = model.kind.rate if model.axes == 1 else None
    scale = seconds / 1000 / factors if seconds else 1 / factors
    frames = seconds / factors if seconds else None
    return Rate(
        codebooks=codebooks,
        unit="kbps" if seconds else f"bits per {model.kind.position}",
        nominal=bits * scale,
        entropy=None if entropies is None else sum(entropies[:codebooks]) * scale,
        frames=frames,
        tokens=None if frames is None else frames * codebooks,
        trained=codebooks in _trained(model.quantizer),
    )


def rate_lines(rates: Sequence[Rate]) -> list[str]:
    """Return a table of rates for people, a line each; the first one names the columns.

    Example:
        >>> from vqkit.models import Rate, rate_lines
        >>> rates = [Rate(codebooks=n, unit="kbps", nominal=n / 2, frames=50.0, tokens=50.0 * n) for n in (3, 6)]
        >>> print("\\n".join(rate_lines(rates)))
        codebooks  frames/s  tokens/s  nominal kbps
                3        50       150           1.5
                6        50       300             3
    """
    if not rates:
        return []
    unit = rates[0].unit
    columns: list[tuple[str, list[float | None]]] = [
        ("codebooks", [rate.codebooks for rate in rates]),
        ("frames/s", [rate.frames for rate in rates]),
        ("tokens/s", [rate.tokens for rate in rates]),
        (f"nominal {unit}", [rate.nominal for rate in rates]),
        (f"entropy {unit}", [rate.entropy for rate in rates]),
        (f"file {unit}", [rate.file for rate in rates]),
        ("PSNR dB", [rate.psnr_db for rate in rates]),
    ]
    cells = [
        [name, *("-" if value is None else f"{value:,.4g}" for value in values)]
        for name, values in columns
        if any(value is not None for value in values)
    ]
    widths, rows = [max(map(len, column)) for column in cells], zip(*cells, strict=True)
    return ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]


def tells_more(rates: Sequence[Rate]) -> bool:
    """Return whether a table of rates says more than the size of a codebook does: several rates, or kbps."""
    return len(rates) > 1 or any(rate.frames is not None for rate in rates)


def used_codebooks(model: Coded, codebooks: int | None, kbps: float | None) -> int | None:
    """Return how many codebooks were asked for, by their number or by a rate; None: all.

    Raises:
        ConfigError: both, a number or a rate that the model does not have, or codebooks that belong together.
    """
    own = model.quantizer
    if codebooks is not None and kbps is not None:
        raise ConfigError(f"{option('codebooks', codebooks)} and {option('kbps', kbps)}: give one of them")
    if kbps is not None:
        return _codebooks_of_rate(model, kbps)
    if codebooks is None:
        return None
    if not isinstance(codebooks, int) or isinstance(codebooks, bool) or not 1 <= codebooks <= own.num_codebooks:
        raise ConfigError(f"{option('codebooks', codebooks)}: this model has {own.num_codebooks}; give 1 to that many")
    if codebooks < own.num_codebooks and not own.nested:
        raise ConfigError(
            f"{option('codebooks', codebooks)}: the {own.num_codebooks} codebooks of this model each hold a part of "
            "every position, so none can be left out; stacking=residual makes such as can"
        )
    return None if codebooks == own.num_codebooks else codebooks


def with_codebooks(model: Any) -> Coded:
    """Return the model.

    Raises:
        ConfigError: it has no codebooks.
    """
    if not isinstance(getattr(model, "quantizer", None), Quantizer):
        raise ConfigError(
            f"{option('codebooks')} and {option('kbps')} are of a model with codebooks, not a {type(model).__name__}"
        )
    found: Coded = model
    return found


def _codebooks_of_rate(model: Coded, kbps: float) -> int | None:
    own, every = model.quantizer, rate_of(model, model.quantizer.num_codebooks)
    if every.unit != "kbps":
        words = model.kind.noun[1]
        why = f"this model is of {words} without a known sample rate" if model.axes == 1 else f"{words} have no seconds"
        raise ConfigError(
            f"{option('kbps', kbps)}: {why}; give {option('codebooks', ...)} (it has {own.num_codebooks})"
        )
    each = every.nominal / own.num_codebooks
    wanted = round(kbps / each) if math.isfinite(kbps) else 0
    fits = 1 <= wanted <= own.num_codebooks and abs(wanted * each / kbps - 1) <= NEAR
    if not fits or (wanted < own.num_codebooks and not own.nested):
        many = own.nested and own.num_codebooks > 1
        has = f"{each:.4g} to {every.nominal:.4g} kbps in steps of {each:.4g}" if many else f"{every.nominal:.4g} kbps"
        trained = [f"{rate.nominal:.4g}" for rate in model_rates(model)]
        told = f"; it was trained for {', '.join(trained)}" if 1 < len(trained) < own.num_codebooks else ""
        raise ConfigError(
            f"{option('kbps', kbps)}: this model has {has} ({counted(own.num_codebooks, 'codebook')}){told}"
        )
    return None if wanted == own.num_codebooks else wanted


def _trained(quantizer: Quantizer) -> list[int]:
    """Return the numbers of codebooks that a training uses, in ascending order."""
    every = quantizer.num_codebooks
    if isinstance(quantizer, LevelStages):
        return quantizer.trained_codebooks
    stacks = [part for part in quantizer.modules() if isinstance(part, ResidualQuantizer)]
    if not quantizer.nested or not stacks or not stacks[0].dropout:
        return [every]
    return [*(stacks[0].dropout_codebooks or range(1, every)), every]


def check_indices(model: Any, codes: Tensor) -> None:
    """Raise ``ValueError`` unless indices are such as a model decodes: of all codebooks, or of the first ones."""
    every, shape = model.num_codebooks, tuple(codes.shape)
    last, nested = shape[1 + model.axes :], every > 1 and model.quantizer.nested
    fits = last == ((every,) if every > 1 else ()) or (nested and len(last) == 1 and 1 <= last[0] <= every)
    if len(shape) < 1 + model.axes or not fits:
        several = f" and {every} codebooks{', or the first ones of them' * nested}" if every > 1 else ""
        raise ValueError(
            f"indices have shape {shape}; expected [batch, *grid{', codebooks' * (every > 1)}] with {model.axes} grid "
            f"axes{several}"
        )
    skipped = model.quantizer.nested or any(isinstance(part, ResidualQuantizer) for part in model.quantizer.modules())
    model.quantizer.check_indices(torch.where(codes == -1, 0, codes) if skipped else codes)

"""Settings of a model that has given bit rates: frames a second, codebooks, and bits of each."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vqkit.chance import seeded
from vqkit.checking import shown
from vqkit.data import Source
from vqkit.errors import ConfigError
from vqkit.models.rates.rate import NEAR
from vqkit.networks import ENCODERS, shape_of
from vqkit.networks.registry import build_network
from vqkit.spelling import option, setting, spelled

DROPOUT = 0.5
"""Of several rates: the probability that a signal of a batch uses a lower one (Kumar et al. 2023, arXiv 2306.06546)."""
_FRAMES = (10.0, 200.0)
_BITS = range(6, 15)
_MOST_CODEBOOKS = 32
_USUAL_FRAMES, _USUAL_BITS = 50.0, 10
_PRIMES = (2, 3, 5, 7)
_NETWORK = ("axes", "channels", "code_dim", "hidden_channels", "residual_blocks", "residual_channels", "widths")


@dataclass(frozen=True, kw_only=True)
class RatePlan:
    """Settings of a residual stack whose first codebooks have given rates.

    Attributes:
        downsampling: samples for each frame.
        codebook_size: K, a power of two unless it was given.
        codebooks: how many each rate uses, in ascending order; the last is how many there are.
        kbps: the rates that come of it.

    Example:
        >>> from vqkit.models.rates.plan import plan_rates
        >>> plan_rates([1.5, 3, 6], 16000)
        RatePlan(downsampling=320, codebook_size=1024, codebooks=(3, 6, 12), kbps=(1.5, 3.0, 6.0))
    """

    downsampling: int
    codebook_size: int
    codebooks: tuple[int, ...]
    kbps: tuple[float, ...]

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return keyword arguments of a ``VQVAE``: those given, with what the rates settle."""
        found = {**given, "downsampling": self.downsampling, "num_codebooks": self.codebooks[-1]}
        if self.codebooks[-1] > 1:
            found["stacking"] = "residual"
        if len(self.codebooks) > 1:
            own = {"quantizer_dropout": DROPOUT, "dropout_codebooks": list(self.codebooks[:-1])}
            found["quantizer_options"] = {**own, **(given.get("quantizer_options") or {})}
        return found


def plan_for_source(
    source: Source, kbps: float | Sequence[float], codebook_size: int | None, constructor: Any, given: Mapping[str, Any]
) -> RatePlan:
    """Choose the settings of a model for the rates of a source's sounds (see ``plan_rates``).

    Args:
        source: the data.
        kbps: one rate or several, in kilobits a second.
        codebook_size: K, where it was given.
        constructor: of the model, for the defaults of what was not given.
        given: keyword arguments of the model; a downsampling among them stays.

    Raises:
        ConfigError: rates that no model has, data without a sample rate, or settings beside that the rates settle.
    """
    rates = [kbps] if isinstance(kbps, int | float) else list(kbps)
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in rates):
        raise ConfigError(f"kbps={shown(kbps)}: give rates in kilobits a second, such as {_said([1.5, 3, 6])}")
    kind = source.kind
    if kind.axes != 1 or kind.rate is None:
        why = "have no sample rate" if kind.axes == 1 else "have no seconds"
        repair = f"say it: {option('kind', f'{kind.name}@16000')}" if kind.axes == 1 else "leave it out"
        raise ConfigError(f"{option('kbps', ...)}: {source.describe()} {why}; {repair}")
    for name, other in (("num_codebooks", None), ("stacking", "residual")):
        if name in given and given[name] != other:
            raise ConfigError(
                f"{setting(name, given[name])} beside {option('kbps', ...)}, which settles it: leave it out"
            )
    if not isinstance(given.get("quantizer", "ema"), str):
        raise ConfigError(f"{option('kbps', ...)}: for a quantizer given by name; an instance has its own codebooks")
    defaults = {name: item.default for name, item in inspect.signature(constructor).parameters.items()}
    settings = {**defaults, "axes": 1, "channels": source.channels, **given}
    fixed = given.get("downsampling")
    if fixed is not None and not isinstance(fixed, int):
        (fixed,) = fixed if len(fixed) == 1 else (None,)
    own = settings["encoder"]
    if isinstance(own, nn.Module):
        fixed = shape_of(own, "encoder", 1).downsampling[0]
        return plan_rates(rates, kind.rate, downsampling=fixed, codebook_size=codebook_size)
    networks = _Networks(settings)
    fixed = networks.fixed if fixed is None else fixed
    return plan_rates(rates, kind.rate, downsampling=fixed, codebook_size=codebook_size, allowed=networks)


def plan_rates(
    kbps: Sequence[float],
    rate: int,
    *,
    downsampling: int | None = None,
    codebook_size: int | None = None,
    allowed: Callable[[int], bool] | None = None,
) -> RatePlan:
    """Choose frames a second, bits of a codebook and how many codebooks, so that there is a number for each rate.

    Of what fits within 1 %, the nearest rates, then frames near 50 a second, codebooks of about 2**10 codes, and at
    most 16 of them.

    Args:
        kbps: the rates in kilobits a second.
        rate: samples a second.
        downsampling: samples a frame, where that is given.
        codebook_size: K, where that is given.
        allowed: whether a network has this downsampling.

    Raises:
        ConfigError: no such rates; says which are near.

    Example:
        >>> from vqkit.models.rates.plan import plan_rates
        >>> plan_rates([1.5, 3, 6], 16000, downsampling=256).codebook_size
        256
    """
    wanted = sorted({float(each) for each in kbps})
    if not wanted or not all(math.isfinite(each) and each > 0 for each in wanted):
        raise ConfigError(f"{_said(wanted)}: give rates above 0, in kilobits a second")
    fits = _any if allowed is None else allowed
    known: dict[int, bool] = {}
    nearest: tuple[float, RatePlan] | None = None
    for _, error, plan in sorted(_plans(wanted, rate, downsampling, codebook_size), key=lambda found: found[0]):
        if error > NEAR and nearest is not None and nearest[0] <= error:
            continue
        if plan.downsampling not in known:
            known[plan.downsampling] = downsampling is not None or fits(plan.downsampling)
        if not known[plan.downsampling]:
            continue
        if error <= NEAR:
            return plan
        nearest = error, plan
    said = {"downsampling": downsampling, "codebook_size": codebook_size}
    beside = " and ".join(f"{name}={value}" for name, value in said.items() if value is not None)
    with_these = f" with {beside}" if beside else ""
    if nearest is not None:
        plan = nearest[1]
        raise ConfigError(
            f"{_said(wanted)}: no numbers of codebooks (at most {_MOST_CODEBOOKS}) give these rates "
            f"at {rate:,} samples a second{with_these}; {_said(plan.kbps)} is near, by "
            f"{', '.join(map(str, plan.codebooks))} codebooks of {plan.codebook_size:,} codes at "
            f"{rate / plan.downsampling:.4g} frames/s"
        )
    raise ConfigError(
        f"{_said(wanted)}: rates that one model cannot have at {rate:,} samples a second{with_these}; "
        f"each uses a number of codebooks of its own, 1 to {_MOST_CODEBOOKS}"
        + _range(rate, downsampling, codebook_size)
    )


def _plans(
    wanted: Sequence[float], rate: int, downsampling: int | None, codebook_size: int | None
) -> Iterator[tuple[float, float, RatePlan]]:
    """Yield plans with rates near the wanted ones: what each costs, its largest relative error, and itself."""
    sizes = [2**bits for bits in _BITS] if codebook_size is None else [codebook_size]
    for factor in _downsamplings(rate) if downsampling is None else [downsampling]:
        frames = rate / factor
        for size in sizes:
            bits = math.log2(size) if size > 1 else 0.0
            each = frames * bits / 1000
            if not each:
                continue
            counts = [max(1, round(one / each)) for one in wanted]
            if len(set(counts)) < len(counts) or counts[-1] > _MOST_CODEBOOKS:
                continue
            error = max(abs(count * each / one - 1) for count, one in zip(counts, wanted, strict=True))
            cost = 100 * error + abs(math.log2(frames / _USUAL_FRAMES)) + 0.25 * abs(bits - _USUAL_BITS)
            plan = RatePlan(
                downsampling=factor,
                codebook_size=size,
                codebooks=tuple(counts),
                kbps=tuple(float(f"{count * each:.4g}") for count in counts),
            )
            yield cost + 0.1 * max(0, counts[-1] - 16), error, plan


def _downsamplings(rate: int) -> list[int]:
    """Return the products of small primes that give a usual number of frames a second."""
    return [each for each in range(max(1, math.ceil(rate / _FRAMES[1])), int(rate / _FRAMES[0]) + 1) if _smooth(each)]


def _smooth(number: int) -> bool:
    for prime in _PRIMES:
        while number % prime == 0:
            number //= prime
    return number == 1


def _range(rate: int, downsampling: int | None, codebook_size: int | None) -> str:
    """Return the lowest and the highest rate in words, where both are settled."""
    if downsampling is None or codebook_size is None or codebook_size < 2:
        return ""
    each = rate / downsampling * math.log2(codebook_size) / 1000
    return f": {each:.4g} to {_MOST_CODEBOOKS * each:.4g} kbps in steps of {each:.4g}"


def _said(kbps: Sequence[float]) -> str:
    """Return the argument with these rates, as Python or the command line has it."""
    numbers = [f"{each:.4g}" for each in kbps]
    return spelled(python=f"{option('kbps')}[{', '.join(numbers)}]", command=f"{option('kbps')} {','.join(numbers)}")


def _any(_: int) -> bool:
    return True


class _Networks:
    """Encoders of a registered class by their downsampling, built without memory for their weights."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        first, second = self._built(64), self._built(125)
        self.fixed = first if first == second else None
        """The downsampling that the config of the encoder itself says."""

    def __call__(self, downsampling: int) -> bool:
        """Return whether there is an encoder of this downsampling."""
        return self._built(downsampling) == downsampling

    def _built(self, downsampling: int) -> int | None:
        known = {name: self._settings[name] for name in _NETWORK}
        known |= {"downsampling": downsampling}
        known |= {"in_channels": known["channels"], "out_channels": known["code_dim"]}
        try:
            with torch.device("meta"), seeded(0):
                network = build_network(self._settings["encoder"], ENCODERS, known)
            return shape_of(network, "encoder", 1).downsampling[0]
        except ConfigError:
            return None

"""Rate-distortion: a measure of quality over bits, of runs, evaluations and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vqkit.errors import ConfigError
from vqkit.results.figures.labels import labels
from vqkit.results.figures.series import Axes, Line, label, scale
from vqkit.results.result import Result, recipe_of
from vqkit.results.seeds import Group, Spread, grouped
from vqkit.spelling import option

RATES = (
    "bits_per_pixel",
    "kbps",
    "entropy_bits_per_pixel",
    "entropy_kbps",
    "entropy_bits_per_position",
    "entropy_bits",
    "bytes_per_vector",
)
"""What quality is drawn over: the first of these that all results have."""
_QUALITIES = ("psnr_db", "visqol", "stoi", "si_sdr_db", "snr_db", "cosine", "nmse", "mse")
_SIZES = {
    *("codebook_size", "num_codebooks", "codebooks", "levels", "code_dim", "latent_dim", "components", "downsampling"),
    *("setting", "quantizer_options", "kbps", "sizes"),
}
"""Settings in which the points of one line may differ."""


def rate_distortion(results: Sequence[Result], measures: Sequence[str], *, log_x: bool) -> list[Axes]:
    """Return a panel for each measure of quality.

    Points are joined that are of one model, quantizer and training, at other sizes.

    Args:
        results: at least one.
        measures: by name; none: the first of PSNR and others that all have.
        log_x: a logarithmic axis of bits.

    Raises:
        ConfigError: a measure that not all results have, or rates in units that do not go together.
    """
    rate = _first(RATES, results)
    if rate is None:
        raise ConfigError(
            "these results have no rate in common, since they count bits in other units: plot them apart"
            f" ({'; '.join(sorted({_rates(each) for each in results}))})"
        )
    quality = list(measures) or [_first(_QUALITIES, results) or _QUALITIES[0]]
    return [_panel(results, rate, name, log_x) for name in quality]


def _panel(results: Sequence[Result], rate: str, quality: str, log_x: bool) -> Axes:
    for each in results:
        if quality not in each.measures:
            has = ", ".join(each.measures)
            raise ConfigError(f"{option('measure', quality)}: {each.path} ({each.name}) has none; it has {has}")
    lines: dict[str, list[Group]] = {}
    for group in grouped(results):
        lines.setdefault(_line_of(group.first), []).append(group)
    names = labels([groups[0] for groups in lines.values()], leaving=("codebook", *_SIZES))
    found = [_line(name, groups, rate, quality) for name, groups in zip(names, lines.values(), strict=True)]
    unique = {(each.name, tuple(each.xs), tuple(each.ys)): each for each in found}  # one codec in several reports
    return Axes(list(unique.values()), label(rate), label(quality, "held out"), log_x=log_x, points=True)


def _line_of(result: Result) -> str:
    kept = {name: value for name, value in result.settings.items() if name not in _SIZES}
    return recipe_of(result.model, result.quantizer, result.data, kept)


def _line(name: str, groups: Sequence[Group], rate: str, quality: str) -> Line:
    points = []
    for group in groups:
        curves = [each.curve for each in group.results]
        if all(curves) and len({len(each) for each in curves}) == 1 and rate in curves[0][0]:
            points += [pair for at in zip(*curves, strict=True) if (pair := _pair(at, rate, quality)) is not None]
        else:
            points.append((group.measures[rate], group.measures[quality]))
    points.sort(key=lambda pair: pair[0].mean)
    several = any(y.deviation is not None for _, y in points)
    times = scale(quality)
    return Line(
        name,
        [x.mean for x, _ in points],
        [y.mean * times for _, y in points],
        [(y.deviation or 0.0) * times for _, y in points] if several else None,
        [x.deviation or 0.0 for x, _ in points] if several else None,
    )


def _pair(seeds: Sequence[Mapping[str, float]], rate: str, quality: str) -> tuple[Spread, Spread] | None:
    if not all(rate in each and quality in each for each in seeds):
        return None
    return Spread.of([each[rate] for each in seeds]), Spread.of([each[quality] for each in seeds])


def _first(names: Sequence[str], results: Sequence[Result]) -> str | None:
    return next((name for name in names if all(name in each.measures for each in results)), None)


def _rates(result: Result) -> str:
    has = [label(name) for name in RATES if name in result.measures]
    return f"{result.name}: {', '.join(has) or 'none'}"

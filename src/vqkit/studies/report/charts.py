"""Charts as SVG text. Axes take the colour of the text around them.

A rung has one colour and one marker in every chart. The colours are those of Okabe and Ito (2008), which stay apart
for the colour-blind; the markers differ in shape too. What cannot be placed (NaN, infinity, zero on a logarithmic
axis) is left out of a chart, never moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vqkit.plotting import DRAWABLE, bounds, log_ticks, ticks
from vqkit.studies.report.markup import Html, text

_CIRCLE = "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z"
_SQUARE = "M-4 -4h8v8h-8z"
_TRIANGLE = "M0 -5.5L5 4H-5z"
_DIAMOND = "M0 -6L5.5 0L0 6L-5.5 0z"
_RUNGS = {
    "pca": ("#0072b2", _CIRCLE),
    "ae": ("#d55e00", _SQUARE),
    "vae": ("#009e73", _TRIANGLE),
    "vqvae": ("#cc79a7", _DIAMOND),
    "quantized": ("#b07d00", _CIRCLE),
}
_OTHERS = [*_RUNGS.values(), ("#7d7dd6", _SQUARE), ("#8c8c8c", _TRIANGLE), ("#2b8fc9", _DIAMOND)]
WIDE, NARROW = 640, 350
"""Widths of a chart on a screen and on a phone, in pixels: its letters are as large on both."""
_FONT = 13
_LETTER = 7.2  # width of a letter of that size, near enough


def for_screens(draw: Callable[..., Html], *args: Any, **options: Any) -> Html:
    """A chart drawn for screens and again for phones; the style sheet of the page shows the one that fits.

    Args:
        draw: ``line_chart`` or ``bar_chart``.
        *args: of it.
        **options: of it.
    """
    wide, narrow = (draw(*args, width=width, **options) for width in (WIDE, NARROW))
    return Html(f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>')


@dataclass(frozen=True)
class Series:
    """Points of one line; ``key`` names a rung, whose colour it takes; ``line`` False draws the markers only.

    ``errors`` says of each point how far its height may be off (None: unknown), which a bar shows.
    """

    name: str
    points: Sequence[tuple[float, float]]
    key: str = ""
    line: bool = True
    errors: Sequence[float | None] = ()


@dataclass(frozen=True)
class Bars:
    """The bars of one group, one value for each series of the chart (None: not there), and how far each may be off."""

    name: str
    values: Sequence[float | None]
    key: str = ""
    errors: Sequence[float | None] = ()


def _whisker(start: float, end: float, at: float) -> Html:
    """A line from end to end with a small bar at each."""
    path = f"M{start:.2f} {at:.1f}H{end:.2f}M{start:.2f} {at - 4:.1f}v8M{end:.2f} {at - 4:.1f}v8"
    return Html(f'<path class="whisker" d="{path}" fill="none" stroke="currentColor" stroke-width="1.5"/>')


def _error_bar(low: float, high: float, at: float, color: str) -> Html:
    """An upright line from end to end with a small bar at each."""
    path = f"M{at:.2f} {low:.2f}V{high:.2f}M{at - 4:.2f} {low:.2f}h8M{at - 4:.2f} {high:.2f}h8"
    return Html(f'<path class="whisker" d="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')


def marker(key: str, number: int = 0) -> Html:
    """The marker of a rung, to stand beside its name in text."""
    color, shape = _style(key, number)
    return Html(
        f'<svg class="marker" viewBox="-6.5 -6.5 13 13" width="12" height="12" aria-hidden="true">'
        f'<path d="{shape}" fill="{color}"/></svg>'
    )


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    description: str,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    at_x: Mapping[str, float] | None = None,
    x_ticks: Sequence[float] | None = None,
    y_range: tuple[float, float] | None = None,
    height: int = 400,
    width: int = WIDE,
) -> Html:
    """Lines with markers over two axes.

    Args:
        series: each with its points in any order; they are joined from left to right.
        title: what a screen reader names the chart.
        description: what it shows in a sentence, for those who cannot see it.
        x_label: name and unit of the horizontal axis.
        y_label: the same for the vertical axis.
        log_x: logarithmic horizontal axis.
        at_x: dashed vertical lines, by name.
        x_ticks: where the horizontal axis is labelled; None: at round numbers.
        y_range: ends of the vertical axis, 0 and 100 of shares say; None: those of the data.
        height: in pixels.
        width: in pixels; see ``for_screens``.
    """
    marks = {name: x for name, x in (at_x or {}).items() if _drawable(x, log_x)}
    errors = [{point: error for point, error in zip(one.points, one.errors, strict=False) if error} for one in series]
    lines = [sorted((x, y) for x, y in one.points if _drawable(x, log_x) and _drawable(y)) for one in series]
    xs = [x for line in lines for x, _ in line] + list(marks.values())
    ys = [y for line in lines for _, y in line]
    ends = [(point[1] - error, point[1] + error) for own in errors for point, error in own.items()]
    ys += [y for pair in ends for y in pair if _drawable(y)]
    if not ys:
        return _nothing(title, description, width)
    legend, top = _legend([(one.name, one.key, *_style(one.key, number)) for number, one in enumerate(series)], width)
    x_low, x_high = bounds([math.log10(x) for x in xs] if log_x else xs)
    y_low, y_high = y_range or bounds(ys)
    if x_ticks is None:
        x_ticks = log_ticks(10**x_low, 10**x_high) if log_x else ticks(x_low, x_high)
    y_ticks = ticks(y_low, y_high)
    left = 34 + max((len(_number(value)) for value in y_ticks), default=1) * _LETTER
    right, bottom, top = width - 14.0, height - 46.0, top + (20 if marks else 8)

    def across(x: float) -> float:
        return left + ((math.log10(x) if log_x else x) - x_low) / (x_high - x_low) * (right - left)

    def down(y: float) -> float:
        return bottom - (y - y_low) / (y_high - y_low) * (bottom - top)

    parts = [*legend]
    for value in y_ticks:
        parts.append(_rule(left, down(value), right, down(value)))
        parts.append(_words(left - 7, down(value) + 4.5, _number(value), "end", "y"))
    parts += _x_axis([(across(value), value) for value in x_ticks], top, bottom, width)
    parts.append(f'<path d="M{left:.1f} {top:.1f}V{bottom:.1f}H{right:.1f}" fill="none" stroke="currentColor"/>')
    parts.append(_words((left + right) / 2, height - 8, x_label, "middle"))
    parts.append(_words(0, 0, y_label, "middle", place=f"translate(13 {(top + bottom) / 2:.1f}) rotate(-90)"))
    for name, x in marks.items():
        parts.append(_rule(across(x), top, across(x), bottom, "0.7", "5 4"))
        anchor = "end" if across(x) > (left + right) / 2 else "start"
        parts.append(_words(across(x), top - 6, name, anchor))
    for number, (one, line) in enumerate(zip(series, lines, strict=True)):
        color, shape = _style(one.key, number)
        parts.append(f"<g{_part(one.key)}>")
        if one.line and len(line) > 1:
            path = "L".join(f"{across(x):.2f} {down(y):.2f}" for x, y in line)
            parts.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2.2" stroke-linejoin="round"/>')
        for x, y in line:
            error = errors[number].get((x, y))
            hover = text(f"{one.name}: {_number(x)}, {_number(y)}" + ("" if error is None else f" ± {error:,.2g}"))
            if error is not None and _drawable(y + error):
                parts.append(_error_bar(down(y - error), down(y + error), across(x), color))
            parts.append(
                f'<path class="point" transform="translate({across(x):.2f} {down(y):.2f})" d="{shape}" '
                f'fill="{color}"><title>{hover}</title></path>'
            )
        parts.append("</g>")
    return _svg(title, f"{description} {_seen(series, lines)}", (width, height), parts)


def bar_chart(
    groups: Sequence[Bars],
    names: Sequence[str],
    *,
    title: str,
    description: str,
    x_label: str,
    x_range: tuple[float, float] | None = None,
    width: int = WIDE,
) -> Html:
    """Horizontal bars from zero in groups: the first series pale, the last in full colour.

    Args:
        groups: from the top down, each with one value for each of ``names``.
        names: of the series.
        title: what a screen reader names the chart.
        description: what it shows in a sentence.
        x_label: name and unit of the axis.
        x_range: ends of the axis, 0 and 100 of shares say; None: from zero to the largest.
        width: in pixels; see ``for_screens``.
    """
    values = [v for group in groups for v in group.values if v is not None and _drawable(v)]
    if not values:
        return _nothing(title, description, width)
    pale = [1 - 0.7 * (len(names) - 1 - number) / max(len(names) - 1, 1) for number in range(len(names))]
    legend, top = _legend([(name, "", "currentColor", _SQUARE) for name in names], width, pale)
    low, high = min(0.0, *values), max(0.0, *values)
    for group in groups:
        pairs = zip(group.values, group.errors, strict=False)
        high = max([high, *(v + e for v, e in pairs if v is not None and e is not None and _drawable(v + e))])
    low, high = x_range or (low, high if high > low else low + 1.0)
    left = 24 + max(len(group.name) for group in groups) * _LETTER
    longest = max(len(_said(group, place)) for group in groups for place in range(len(names)))
    right, bar, gap = width - 16 - longest * _LETTER, 19, 16
    height = top + 8 + len(groups) * (bar * len(names) + gap) + 50
    bottom = height - 46.0

    def across(x: float) -> float:
        return left + (x - low) / (high - low) * (right - left)

    parts = [*legend]
    parts += _x_axis([(across(value), value) for value in ticks(low, high)], top, bottom, width)
    parts.append(_words((left + right) / 2, height - 8, x_label, "middle"))
    edge = top + 8.0
    for number, group in enumerate(groups):
        color, _ = _style(group.key, number)
        parts.append(f"<g{_part(group.key)}>")
        parts.append(_words(left - 10, edge + bar * len(names) / 2 + 4.5, group.name, "end"))
        for place, (name, worth) in enumerate(zip(names, group.values, strict=True)):
            at, end, said = edge + place * bar, across(0), _said(group, place)
            if worth is not None and _drawable(worth):
                start, end = sorted((across(0), across(worth)))
                hover = text(f"{group.name}, {name}: {said}")
                parts.append(
                    f'<rect class="bar" x="{start:.2f}" y="{at + 1:.1f}" width="{end - start:.2f}" height="{bar - 2}" '
                    f'fill="{color}" fill-opacity="{pale[place]:.2f}" stroke="{color}"><title>{hover}</title></rect>'
                )
                error = group.errors[place] if place < len(group.errors) else None
                if error is not None and _drawable(error):
                    ends = across(max(low, worth - error)), across(min(high, worth + error))
                    parts.append(_whisker(*ends, at + bar / 2))
                    end = max(end, ends[1])
            parts.append(_words(end + 6, at + bar / 2 + 4.5, said, "start", "value"))
        parts.append("</g>")
        edge += bar * len(names) + gap
    parts.append(_rule(across(0), top, across(0), bottom, "1"))
    seen = (f"{group.name}: {', '.join(_said(group, place) for place in range(len(names)))}." for group in groups)
    return _svg(title, f"{description} {' '.join(seen)}", (width, height), parts)


def _said(group: Bars, place: int) -> str:
    """The value of a bar in words, with its deviation."""
    worth = group.values[place]
    if worth is None or not _drawable(worth):
        return "-" if worth is None else f"{worth:,.3g}"
    error = group.errors[place] if place < len(group.errors) else None
    shown = f"{worth:,.3g}" if abs(worth) < 1000 else f"{worth:,.0f}"
    return f"{shown} ± {error:,.2g}" if error is not None and _drawable(error) else shown


def _seen(series: Sequence[Series], lines: Sequence[Sequence[tuple[float, float]]]) -> str:
    """Where each line begins and ends, for those who cannot see it."""
    told = []
    for one, line in zip(series, lines, strict=True):
        ends = [
            f"{y:,.4g} at {x:,.4g}" for x, y in (line[:1] if len(line) == 1 else [line[0], line[-1]] if line else [])
        ]
        told += [f"{one.name}: {' to '.join(ends)}."] if ends else []
    return " ".join(told)


def _part(key: str) -> str:
    return f' data-part="{text(key)}"' if key else ""


def _x_axis(places: Sequence[tuple[float, float]], top: float, bottom: float, width: int) -> list[str]:
    """Rules at the ticks, and as many of their numbers as do not run into each other."""
    parts, free = [], 0.0
    for x, value in places:
        parts.append(_rule(x, top, x, bottom))
        half = len(_number(value)) * _LETTER / 2
        if x - half >= free and x + half <= width + 4:
            parts.append(_words(x, bottom + 18, _number(value), "middle", "x"))
            free = x + half + 5
    return parts


def _nothing(title: str, description: str, width: int) -> Html:
    return _svg(title, description, (width, 60), [_words(width / 2, 34, "nothing to draw", "middle")])


def _style(key: str, number: int) -> tuple[str, str]:
    return _RUNGS.get(key) or _OTHERS[number % len(_OTHERS)]


def _drawable(value: float, log: bool = False) -> bool:
    return abs(value) < DRAWABLE and (not log or value > 1 / DRAWABLE)


def _number(value: float) -> str:
    return f"{value:,.10g}"


def _words(x: float, y: float, words: str, anchor: str, kind: str = "", place: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    where = f'transform="{place}"' if place else f'x="{x:.2f}" y="{y:.2f}"'
    return f'<text {where}{named} text-anchor="{anchor}" fill="currentColor">{text(words)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float, opacity: str = "0.15", dashes: str = "none") -> str:
    return (
        f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" stroke="currentColor" '
        f'stroke-opacity="{opacity}" stroke-dasharray="{dashes}"/>'
    )


def _legend(
    entries: Sequence[tuple[str, str, str, str]], width: int, opacities: Sequence[float] | None = None
) -> tuple[list[str], int]:
    """Names with their markers (name, key, colour, shape) in rows from the top left; and the height that they take."""
    parts, x, y = [], 16.0, 14
    for number, (name, key, color, shape) in enumerate(entries):
        room = 34 + len(name) * _LETTER
        if x > 16 and x + room > width:
            x, y = 16.0, y + 22
        opacity = opacities[number] if opacities else 1
        parts.append(
            f'<g{_part(key)}><path transform="translate({x:.1f} {y})" d="{shape}" fill="{color}" '
            f'fill-opacity="{opacity:.2f}" stroke="{color}"/>{_words(x + 12, y + 4.5, name, "start")}</g>'
        )
        x += room
    return parts, y + 14


def _svg(title: str, description: str, size: tuple[int, float], parts: Sequence[str]) -> Html:
    width, height = size
    return Html(
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" role="img" '
        f'width="{width}" height="{height:.0f}" font-family="system-ui, sans-serif" font-size="{_FONT}">'
        f"<title>{text(title)}</title><desc>{text(description)}</desc>\n" + "\n".join(parts) + "</svg>"
    )

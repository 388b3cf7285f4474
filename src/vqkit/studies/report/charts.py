"""Charts as SVG text, and the latent map as a picture. Axes take the colour of the text around them.

A rung has one colour and one marker in every chart. The colours are those of Okabe and Ito (2008), which stay apart
for the colour-blind; the markers differ in shape too. What cannot be placed (NaN, infinity, zero on a logarithmic
axis) is left out of a chart, never moved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from vqkit.plotting import DRAWABLE, bounds, log_ticks, ticks
from vqkit.studies.report.page import Html, text

_CIRCLE = "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z"
_SQUARE = "M-4 -4h8v8h-8z"
_TRIANGLE = "M0 -5.5L5 4H-5z"
_DIAMOND = "M0 -6L5.5 0L0 6L-5.5 0z"
_RUNGS = {
    "pca": ("#0072b2", _CIRCLE),
    "ae": ("#d55e00", _SQUARE),
    "vae": ("#009e73", _TRIANGLE),
    "vqvae": ("#cc79a7", _DIAMOND),
}
_OTHERS = [*_RUNGS.values(), ("#b07d00", _CIRCLE), ("#7d7dd6", _SQUARE), ("#8c8c8c", _TRIANGLE), ("#2b8fc9", _DIAMOND)]
# Paul Tol's "muted" scheme and grey: nine classes that the colour-blind can tell apart, then a tenth.
CLASS_COLORS = (
    "#332288",
    "#cc6677",
    "#ddcc77",
    "#117733",
    "#88ccee",
    "#882255",
    "#44aa99",
    "#999933",
    "#aa4499",
    "#999999",
)
_WIDTH = 640
_FONT = 13
_LETTER = 7.2  # width of a letter of that size, near enough


@dataclass(frozen=True)
class Series:
    """Points of one line; ``key`` names a rung, whose colour it takes; ``line`` False draws the markers only."""

    name: str
    points: Sequence[tuple[float, float]]
    key: str = ""
    line: bool = True


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
    height: int = 400,
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
        height: in the units of the picture, which is 640 wide.
    """
    marks = {name: x for name, x in (at_x or {}).items() if _drawable(x, log_x)}
    lines = [sorted((x, y) for x, y in one.points if _drawable(x, log_x) and _drawable(y)) for one in series]
    xs = [x for line in lines for x, _ in line] + list(marks.values())
    ys = [y for line in lines for _, y in line]
    if not ys:
        return _svg(title, description, 60, [_words(_WIDTH / 2, 34, "nothing to draw", "middle")])
    legend, top = _legend([(one.name, *_style(one.key, number)) for number, one in enumerate(series)])
    x_low, x_high = bounds([math.log10(x) for x in xs] if log_x else xs)
    y_low, y_high = bounds(ys)
    x_ticks = log_ticks(10**x_low, 10**x_high) if log_x else ticks(x_low, x_high)
    y_ticks = ticks(y_low, y_high)
    left = 34 + max((len(_number(value)) for value in y_ticks), default=1) * _LETTER
    right, bottom, top = _WIDTH - 14.0, height - 46.0, top + (20 if marks else 8)

    def across(x: float) -> float:
        return left + ((math.log10(x) if log_x else x) - x_low) / (x_high - x_low) * (right - left)

    def down(y: float) -> float:
        return bottom - (y - y_low) / (y_high - y_low) * (bottom - top)

    parts = [*legend]
    for value in y_ticks:
        parts.append(_rule(left, down(value), right, down(value)))
        parts.append(_words(left - 7, down(value) + 4.5, _number(value), "end", "y"))
    for value in x_ticks:
        parts.append(_rule(across(value), top, across(value), bottom))
        parts.append(_words(across(value), bottom + 18, _number(value), "middle", "x"))
    parts.append(f'<path d="M{left:.1f} {top:.1f}V{bottom:.1f}H{right:.1f}" fill="none" stroke="currentColor"/>')
    parts.append(_words((left + right) / 2, height - 8, x_label, "middle"))
    parts.append(_words(0, 0, y_label, "middle", place=f"translate(13 {(top + bottom) / 2:.1f}) rotate(-90)"))
    for name, x in marks.items():
        parts.append(_rule(across(x), top, across(x), bottom, "0.7", "5 4"))
        anchor = "end" if across(x) > (left + right) / 2 else "start"
        parts.append(_words(across(x), top - 6, name, anchor))
    for number, (one, line) in enumerate(zip(series, lines, strict=True)):
        color, shape = _style(one.key, number)
        if one.line and len(line) > 1:
            path = "L".join(f"{across(x):.2f} {down(y):.2f}" for x, y in line)
            parts.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2.2" stroke-linejoin="round"/>')
        for x, y in line:
            hover = text(f"{one.name}: {_number(x)}, {_number(y)}")
            parts.append(
                f'<path class="point" transform="translate({across(x):.2f} {down(y):.2f})" d="{shape}" '
                f'fill="{color}"><title>{hover}</title></path>'
            )
    return _svg(title, description, height, parts)


def bar_chart(groups: Sequence[Bars], names: Sequence[str], *, title: str, description: str, x_label: str) -> Html:
    """Horizontal bars from zero in groups: the first series pale, the last in full colour.

    Args:
        groups: from the top down, each with one value for each of ``names``.
        names: of the series.
        title: what a screen reader names the chart.
        description: what it shows in a sentence.
        x_label: name and unit of the axis.
    """
    values = [v for group in groups for v in group.values if v is not None and _drawable(v)]
    if not values:
        return _svg(title, description, 60, [_words(_WIDTH / 2, 34, "nothing to draw", "middle")])
    pale = [1 - 0.7 * (len(names) - 1 - number) / max(len(names) - 1, 1) for number in range(len(names))]
    legend, top = _legend([(name, "currentColor", _SQUARE) for name in names], pale)
    low, high = min(0.0, *values), max(0.0, *values)
    for group in groups:
        pairs = zip(group.values, group.errors, strict=False)
        high = max([high, *(v + e for v, e in pairs if v is not None and e is not None and _drawable(v + e))])
    high = high if high > low else low + 1.0
    left = 24 + max(len(group.name) for group in groups) * _LETTER
    right, bar, gap = _WIDTH - 80.0, 19, 16
    height = top + 8 + len(groups) * (bar * len(names) + gap) + 50
    bottom = height - 46.0

    def across(x: float) -> float:
        return left + (x - low) / (high - low) * (right - left)

    parts = [*legend]
    for value in ticks(low, high):
        parts.append(_rule(across(value), top, across(value), bottom))
        parts.append(_words(across(value), bottom + 18, _number(value), "middle", "x"))
    parts.append(_words((left + right) / 2, height - 8, x_label, "middle"))
    edge = top + 8.0
    for number, group in enumerate(groups):
        color, _ = _style(group.key, number)
        parts.append(_words(left - 10, edge + bar * len(names) / 2 + 4.5, group.name, "end"))
        for place, (name, worth) in enumerate(zip(names, group.values, strict=True)):
            at, end = edge + place * bar, across(0)
            said = "-" if worth is None else f"{worth:,.3g}" if abs(worth) < 1000 else f"{worth:,.0f}"
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
                    said, end = f"{said} ± {error:,.2g}", max(end, ends[1])
            parts.append(_words(end + 6, at + bar / 2 + 4.5, said, "start", "value"))
        edge += bar * len(names) + gap
    parts.append(_rule(across(0), top, across(0), bottom, "1"))
    return _svg(title, description, height, parts)


def latent_map(
    points: NDArray[Any],
    labels: NDArray[Any] | Sequence[int] | None,
    class_names: Sequence[str] | None = None,
    *,
    axes: tuple[str, str] | None = None,
) -> Image.Image:
    """Latents in the plane, a dot for each item, coloured by label, both axes on one scale.

    Args:
        points: ``[N, 2]``; points that are not finite are left out, and the legend counts them.
        labels: ``[N]`` class numbers from 0; None draws every dot alike.
        class_names: the names of the classes for the legend.
        axes: words below the plane, and along its left edge from below.
    """
    places = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    classes = np.zeros(len(places), dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64)
    finite = (np.abs(places) < DRAWABLE).all(axis=1)
    missing, places, classes = int((~finite).sum()), places[finite], classes[finite]
    names = (
        []
        if labels is None
        else [class_label(number, class_names) for number in range(int(classes.max(initial=-1)) + 1)]
    )
    shown, size, fine = names[:17], 440, 3
    rows = [*shown, *([f"and {len(names) - 17} more"] if len(names) > 17 else [])]
    rows += [f"{missing:,} not finite"] if missing else []
    font = ImageFont.load_default(15)
    aside = max((int(font.getlength(row)) + 44 for row in rows), default=0)
    sheet = Image.new("RGB", (size + aside, size), "white")
    if len(places):
        middle = (places.min(axis=0) + places.max(axis=0)) / 2
        reach = float(np.abs(places - middle).max()) or 1.0
        centers = (size / 2 + (places - middle) / reach * (1, -1) * (size / 2 - 16)) * fine
        radius = fine * min(5.0, max(1.6, 90 / math.sqrt(len(places))))
        cloud = Image.new("RGB", (size * fine, size * fine), "white")
        pen = ImageDraw.Draw(cloud)
        for item in np.random.default_rng(0).permutation(len(places)):  # no class lies on top of the others
            x, y = centers[item]
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=class_color(int(classes[item])))
        sheet.paste(cloud.resize((size, size), Image.Resampling.BOX), (0, 0))
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((0, 0, size - 1, size - 1), outline="#b4b8bf")
    for number, row in enumerate(rows):
        top = 8 + number * 22
        if number < len(shown):
            draw.ellipse((size + 14, top + 4, size + 25, top + 15), fill=class_color(number))
        draw.text((size + 32, top), row, fill="#202020", font=font)
    return sheet if axes is None else _with_axes(sheet, size, axes)


def _with_axes(sheet: Image.Image, size: int, axes: tuple[str, str]) -> Image.Image:
    """A map with words below it and along its left edge."""
    font, margin = ImageFont.load_default(_FONT), 24
    framed = Image.new("RGB", (sheet.width + margin, sheet.height + margin), "white")
    framed.paste(sheet, (margin, 0))
    for words, upright in zip(axes, (False, True), strict=True):
        line = Image.new("RGB", (size, margin), "white")
        ImageDraw.Draw(line).text((size / 2, 5), words, fill="#202020", font=font, anchor="ma")
        framed.paste(line.rotate(90, expand=True) if upright else line, (0, 0) if upright else (margin, size))
    return framed


def class_label(number: int, class_names: Sequence[str] | None) -> str:
    """The name of a class in one short line."""
    name = class_names[number] if class_names is not None and number < len(class_names) else str(number)
    line = " ".join(name.split())
    return line if len(line) <= 28 else line[:27] + "..."


def class_color(number: int) -> tuple[int, int, int]:
    """The colour of a class."""
    hue, light = number * 137.508 % 360, 55 + 20 * (number % 3)  # beyond ten: a golden angle apart, in three shades
    red, green, blue, *_ = ImageColor.getrgb(
        CLASS_COLORS[max(number, -1)] if number < 10 else f"hsv({hue:.0f},70%,{light}%)"
    )
    return red, green, blue


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


def _legend(entries: Sequence[tuple[str, str, str]], opacities: Sequence[float] | None = None) -> tuple[list[str], int]:
    """Names with their markers in rows from the top left; and the height that they take."""
    parts, x, y = [], 16.0, 14
    for number, (name, color, shape) in enumerate(entries):
        width = 34 + len(name) * _LETTER
        if x > 16 and x + width > _WIDTH:
            x, y = 16.0, y + 22
        opacity = opacities[number] if opacities else 1
        parts.append(
            f'<path transform="translate({x:.1f} {y})" d="{shape}" fill="{color}" fill-opacity="{opacity:.2f}" '
            f'stroke="{color}"/>'
        )
        parts.append(_words(x + 12, y + 4.5, name, "start"))
        x += width
    return parts, y + 14


def _svg(title: str, description: str, height: float, parts: Sequence[str]) -> Html:
    return Html(
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" '
        f'width="{_WIDTH}" height="{height:.0f}" font-family="system-ui, sans-serif" font-size="{_FONT}">'
        f"<title>{text(title)}</title><desc>{text(description)}</desc>\n" + "\n".join(parts) + "</svg>"
    )

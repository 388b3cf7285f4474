"""One self-contained HTML page: text, tables and pictures in one file that opens offline and prints.

Blocks are functions that return ``Html``; ``document`` puts them together. Plain ``str`` is taken as text and escaped
wherever it is given, so a name from outside can never become markup; only ``Html`` is taken as it is.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from vqkit.errors import DataError
from vqkit.studies.report.markup import Html, join, text
from vqkit.studies.report.sheet_block import sheet_block
from vqkit.studies.report.sheets import as_png, in_the_dark, png_address, sheet_rows

Cell = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Args:
        title: the header.
        unit: stands below the title.
        better: mark the lowest or the highest value; None marks nothing.
        digits: after the decimal point; None: enough for three significant ones of the smallest value.
        percent: show a fraction as per cent.
    """

    title: str
    unit: str = ""
    better: Literal["low", "high"] | None = None
    digits: int | None = None
    percent: bool = False


class Measured(float):
    """A number in a cell with its deviation over several measurements.

    Attributes:
        deviation: in the same unit.
    """

    deviation: float

    def __new__(cls, value: float, deviation: float) -> Measured:
        """A number with its deviation."""
        made = super().__new__(cls, value)
        made.deviation = deviation
        return made

    def __mul__(self, factor: float) -> Measured:
        """Both times a factor."""
        return Measured(float(self) * factor, self.deviation * factor)


@dataclass(frozen=True)
class Section:
    """A section of the page with a heading and an entry in the contents.

    Attributes:
        title: the heading.
        blocks: below it.
        mark: before the heading.
        part: the key of the box in ``chooser`` that hides it.
    """

    title: str
    blocks: Sequence[Html]
    mark: Html | None = None
    part: str = ""


def strong(part: str) -> Html:
    """Words that matter."""
    return Html(f"<strong>{text(part)}</strong>")


def heading(title: str) -> Html:
    """A heading within a section."""
    return Html(f"<h3>{text(title)}</h3>")


def paragraph(*parts: str, quiet: bool = False) -> Html:
    """A paragraph; ``quiet`` for notes that need not be read first."""
    kind = ' class="quiet"' if quiet else ""
    return Html(f"<p{kind}>{join(*parts)}</p>")


def bullets(items: Iterable[str]) -> Html:
    """A list; empty when there is nothing to list."""
    rows = "".join(f"<li>{text(item)}</li>" for item in items)
    return Html(f"<ul>{rows}</ul>" if rows else "")


def code(lines: str) -> Html:
    """Commands or messages, to the letter."""
    return Html(f"<pre><code>{text(lines)}</code></pre>")


def details(summary: str, *blocks: Html) -> Html:
    """Blocks that unfold on a click."""
    return Html(f"<details><summary>{text(summary)}</summary>{join(*blocks)}</details>")


def definitions(entries: Iterable[tuple[str, str]]) -> Html:
    """Words and what they mean."""
    rows = "".join(f"<dt>{text(word)}</dt><dd>{text(plain)}</dd>" for word, plain in entries)
    return Html(f"<dl>{rows}</dl>")


def claims(entries: Iterable[tuple[str, bool | None, str]]) -> Html:
    """Claims, each with whether the numbers hold it (None: within the noise) and the numbers themselves."""
    signs = {True: ("holds", "✓ Holds"), False: ("fails", "✗ Contradicted"), None: ("open", "≈ Within the noise")}
    rows = []
    for claim, holds, numbers in entries:
        kind, sign = signs[None if holds is None else bool(holds)]
        rows.append(
            f'<li class="{kind}"><b>{sign}</b><div>{text(claim)}<p class="quiet">{text(numbers)}</p></div></li>'
        )
    return Html(f'<ul class="claims">{join(*map(Html, rows))}</ul>' if rows else "")


def figure(picture: bytes | Image.Image, *, alt: str, caption: str = "", scale: int = 1, smooth: bool = False) -> Html:
    """A picture inside the page.

    Args:
        picture: an image, or the bytes of an image file; what is not PNG is written as PNG.
        alt: what it shows, for those who cannot see it.
        caption: below the picture.
        scale: enlarge by this whole factor.
        smooth: a drawing, of which dark pages show a dark one, and whose pixels are blended where the size changes;
            otherwise pixels stay squares.

    Raises:
        DataError: the bytes are no image.
    """
    try:
        image = Image.open(io.BytesIO(picture)) if isinstance(picture, bytes) else picture
        png = picture if isinstance(picture, bytes) and image.format == "PNG" else as_png(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{alt}: not a picture that can be read ({error})") from error
    if (found := sheet_rows(image)) is not None:
        return sheet_block(found, alt, caption)
    width, height = image.width * scale, image.height * scale
    rest = f'alt="{text(alt)}" width="{width}" height="{height}"'
    rest += ' style="min-width:35rem"' if width > 600 else ""  # wide drawings scroll on a phone, to stay readable
    if not smooth:
        return _figure(f'<img {rest} src="{png_address(png)}">', alt, caption)
    both = {"light": png, "dark": as_png(in_the_dark(image))}  # no <source>: a print would wait for it in vain
    shown = "".join(f'<img class="smooth {each}" {rest} src="{png_address(made)}">' for each, made in both.items())
    return _figure(shown, alt, caption)


def drawing(svg: str, *, label: str, caption: str = "") -> Html:
    """A chart of ``vqkit.studies.report.charts`` inside the page."""
    return _figure(svg, label, caption)


def audio(sound: bytes, *, label: str) -> Html:
    """A sound inside the page, with a player.

    Args:
        sound: the bytes of a WAV or FLAC file.
        label: what is heard, above the player.

    Raises:
        DataError: bytes of another kind.
    """
    kinds = {b"RIFF": "audio/wav", b"fLaC": "audio/flac"}
    kind = kinds.get(sound[:4])
    if kind is None:
        raise DataError(f"{label}: neither a WAV nor a FLAC file")
    address = f"data:{kind};base64,{base64.b64encode(sound).decode('ascii')}"
    player = f'<audio controls preload="metadata" aria-label="{text(label)}" src="{address}"></audio>'
    return Html(f'<figure class="sound"><figcaption>{text(label)}</figcaption>{player}</figure>')


def beside(*blocks: Html) -> Html:
    """Blocks next to each other where there is room."""
    return Html(f'<div class="beside">{join(*blocks)}</div>' if any(blocks) else "")


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, caption: str = "", parts: Sequence[str] = ()
) -> Html:
    """A table whose first column names the rows; the best value of a column is bold, None is "-".

    Values that look the same as the best are marked too; where all look the same nothing is. ``parts`` names for each
    row the box in ``chooser`` that hides it.
    """
    for row in rows:
        assert len(row) == len(columns), (row, columns)
    head, cells = "", []
    for place, column in enumerate(columns):
        values = [row[place] for row in rows]
        head += _header(column, values)
        cells.append(_row_names(values) if place == 0 else _column(column, values))
    of = [*parts, *[""] * len(rows)]
    body = "".join(
        f"<tr{_of(part)}>{''.join(row)}</tr>" for part, row in zip(of, zip(*cells, strict=True), strict=False)
    )
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    return _scrolling(f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", caption or "Table")


def number(value: float | None, digits: int = 0) -> str:
    """A number for a sentence: thousands apart, "-" for None."""
    return "-" if value is None else f"{value:z,.{digits}f}"


def document(
    title: str,
    lead: Sequence[Html],
    sections: Sequence[Section],
    *,
    footer: str = "",
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> str:
    """The whole page. Its own policy forbids it to load anything, and to run anything but its own scripts, by digest.

    Args:
        title: of the page.
        lead: below it.
        sections: each with an entry in the contents.
        footer: below all.
        scripts: that run when the page is there, after the one that every page has (sorted tables, parts that hide).
        styles: more style sheets.
    """
    anchors: list[str] = []
    for section in sections:
        anchor = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "section"
        anchors.append(anchor if anchor not in anchors else f"{anchor}-{len(anchors)}")
    pairs = list(zip(anchors, sections, strict=True))
    contents = "".join(
        f'<li{_of(section.part)}><a href="#{anchor}">{text(section.title)}</a></li>' for anchor, section in pairs
    )
    body = "\n".join(
        f'<section id="{anchor}"{_of(section.part)}><h2>{section.mark or ""}{text(section.title)}</h2>\n'
        f"{join(*section.blocks)}</section>"
        for anchor, section in pairs
    )
    if "data:image/jpeg" in body:
        footer += f"{'; ' if footer else ''}large pictures of this page are JPEG, the files beside it are exact"
    run = [part_of_page("page.js"), *scripts]
    digests = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in run)
    style = "".join([part_of_page("page.css"), *styles])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
        f'script-src {digests}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{text(title)}</h1>\n{join(*lead)}</header>\n"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n<main>\n{body}\n</main>\n'
        f"<footer>{text(footer)}</footer>\n"
        + "".join(f"<script>{one}</script>\n" for one in run)
        + "</body>\n</html>\n"
    )


def part_of_page(name: str, package: str = __package__ or "") -> str:
    """The text of a style sheet or a script that lies beside the code."""
    return importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _of(part: str) -> str:
    return f' data-part="{text(part)}"' if part else ""


def _figure(shown: str, label: str, caption: str) -> Html:
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return Html(f"<figure>{_scrolling(shown, label)}{below}</figure>")


def _scrolling(inside: str, label: str) -> Html:
    """Wrap content that may be wider than a phone: it scrolls by itself; the script makes it a tab stop if it does."""
    return Html(f'<div class="scroll" data-label="{text(label)}">{inside}</div>')


def _header(column: Column, values: Sequence[Cell]) -> str:
    arrow = {"low": "↓", "high": "↑", None: ""}[column.better]
    below = " ".join(part for part in ("%" if column.percent else column.unit, arrow) if part)
    unit = f'<span class="unit">{text(below)}</span>' if below else ""
    kind = ' class="text"' if any(isinstance(value, str) for value in values) else ""
    return f'<th scope="col"{kind}>{text(column.title)}{unit}</th>'


def _row_names(values: Sequence[Cell]) -> list[str]:
    return [f'<th scope="row">{_shown(value, 0)}</th>' for value in values]


def _column(column: Column, values: Sequence[Cell]) -> list[str]:
    """The cells of one column, the best of them marked."""
    factor = 100 if column.percent else 1
    scaled = [value if value is None or isinstance(value, str) else value * factor for value in values]
    finite = [value for value in scaled if isinstance(value, int | float) and math.isfinite(value)]
    digits = _digits(finite) if column.digits is None else column.digits
    best: Html | None = None
    if column.better and len({_shown(value, digits) for value in finite}) > 1:
        best = _shown((min if column.better == "low" else max)(finite), digits)
    cells = []
    for value in scaled:
        shown = _shown(value, digits)
        error = Html(f" ± {value.deviation:,.{digits}f}") if isinstance(value, Measured) else Html("")
        if any(isinstance(value, str) for value in values):
            kind = "text long" if len(shown) > 30 else "text"
            cells.append(f'<td class="{kind}">{shown}</td>')
        else:
            worth = "" if value is None else f' data-value="{float(value):.9g}"'
            cells.append(
                f'<td class="best"{worth}><strong>{shown}</strong>{error}</td>'
                if shown == best
                else f"<td{worth}>{shown}{error}</td>"
            )
    return cells


def _digits(values: Sequence[int | float]) -> int:
    """Digits after the point that give the smallest value three significant ones; none for whole numbers."""
    if all(isinstance(value, int) for value in values):
        return 0
    smallest = min((abs(value) for value in values if value), default=1.0)
    return min(max(2 - math.floor(math.log10(smallest)), 0), 6)


def _shown(value: Cell, digits: int) -> Html:
    if value is None or isinstance(value, str):
        return text("-" if value is None else value)
    return text(f"{value:z,.{digits}f}")

"""A sheet of pictures on a page: its pictures as rows, its words as text."""

from __future__ import annotations

from vqkit.studies.report.markup import Html, text
from vqkit.studies.report.sheets import Row, Sheet, address


def sheet_block(sheet: Sheet, alt: str, caption: str = "") -> Html:
    """Rows of pictures with their captions beside them and the words of their columns above and below, as text.

    On a phone the words of the columns have no room; there they are a line that names them from left to right.

    Args:
        sheet: as ``sheet_rows`` finds it.
        alt: what it shows, for those who cannot see it.
        caption: below.
    """
    named = any(row.caption for row in sheet.rows if row.strips)
    shown = [number for number, row in enumerate(sheet.rows) if row.strips]
    parts = [f'<p class="title quiet">{text(sheet.title)}</p>'] if sheet.title else []
    for number, row in enumerate(sheet.rows):
        if not row.strips:
            parts.append(f'<p class="title">{text(row.caption)}</p>')
            continue
        parts.append(f"<span>{text(row.caption)}</span>" if named else "")
        parts.append('<div class="row">')
        parts += _pictures(
            row,
            alt,
            sheet.columns,
            sheet.heads if number == shown[0] else (),
            sheet.notes if number == shown[-1] else (),
        )
        parts.append("</div>")
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return Html(f'<figure><div class="sheet{" named" * named}">{"".join(parts)}</div>{below}</figure>')


def _pictures(row: Row, alt: str, columns: int, heads: tuple[str, ...], notes: tuple[str, ...]) -> list[str]:
    """The strips of a row with the words above and below each."""
    parts = []
    for band, strip in enumerate(row.strips):
        said = f"{alt}: {row.caption + ', ' if row.caption else ''}{'more' if band else f'{row.count} pictures'}"
        part, here = slice(band * columns, (band + 1) * columns), min(columns, row.count - band * columns)
        size = f'width="{strip.width}" height="{strip.height}"'
        parts += _words(heads[part], "From left to right", strip.width, here)
        parts.append(f'<img alt="{text(said)}" {size} src="{address(strip)}">')
        parts += _words(notes[part], "Below each, from left to right", strip.width, here)
    return parts


def _words(words: tuple[str, ...], where: str, width: int, columns: int) -> list[str]:
    """Words over or under the pictures of a strip so wide, and as a line."""
    if not any(words):
        return []
    cells = "".join(f"<span>{text(each)}</span>" for each in (*words, *[""] * (columns - len(words))))
    style = f"grid-template-columns:repeat({columns},1fr);max-width:{width}px"
    return [
        f'<div class="words" style="{style}">{cells}</div>',
        f'<p class="line quiet">{text(where)}: {text(", ".join(each or "-" for each in words))}.</p>',
    ]

"""A picture of a study's folder on its page, or a sentence where it is missing or damaged."""

from __future__ import annotations

from pathlib import Path

from vqkit.studies.report import page
from vqkit.studies.report.markup import Html


def picture(folder: Path, name: str | None, alt: str, caption: str = "", *, smooth: bool = False) -> Html:
    """The picture ``name`` of ``folder``; nothing without a name.

    Args:
        folder: of the pictures.
        name: of the file.
        alt: what it shows, for those who cannot see it.
        caption: below it.
        smooth: see ``page.figure``.
    """
    if not name:
        return Html("")
    try:
        return page.figure((folder / name).read_bytes(), alt=alt, caption=caption, smooth=smooth)
    except (OSError, ValueError) as error:
        why = "it is not there" if isinstance(error, FileNotFoundError) else "it cannot be read"
        return page.paragraph(f"No picture {name} ({alt}): {why}.", quiet=True)

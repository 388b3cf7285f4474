"""Translated pages keep up with their originals: the same code, formulas, figures, pictures and links.

A page in ``docs/zh`` is a translation of the page of that name in ``docs``.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.test_code_blocks import PAGES, blocks
from tests.docs.test_site import extension

DOCS = Path(__file__).resolve().parents[2] / "docs"
TRANSLATIONS = sorted((DOCS / "zh").glob("*.md"))
PAIRS = pytest.mark.parametrize(
    ("page", "original"), [(page, DOCS / page.name) for page in TRANSLATIONS], ids=[page.name for page in TRANSLATIONS]
)
_FORMULA = re.compile(r"\$([^$]+)\$")


def outside(page: Path) -> str:
    """Return a page without its blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """Return a page without its blocks and its spans of code."""
    return re.sub(r"`[^`]+`", "`", outside(page))


def figures(page: Path) -> Counter[str]:
    """Count the numbers in the words and tables of a page, formulas and addresses aside."""
    words = re.sub(r"\]\([^)]*\)", "]", _FORMULA.sub("", prose(page)))
    return Counter(re.findall(r"\d[\d,.]*\d|\d", words))


def targets(page: Path) -> Counter[Path]:
    """Count the files that a page links to or shows."""
    found = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose(page))
    return Counter((page.parent / target).resolve() for target in found)


def test_there_is_a_translation() -> None:
    assert TRANSLATIONS


@PAIRS
def test_code_is_that_of_the_original(page: Path, original: Path) -> None:
    def code(path: Path) -> list[tuple[str, str]]:
        return [(block.language, re.sub(r"\\text\{[^}]*\}", "", block.text)) for block in blocks(path)]

    assert code(page) == code(original)
    spans = [Counter(re.findall(r"`([^`\n]+)`", outside(path))) for path in (page, original)]
    assert spans[0] == spans[1]


@PAIRS
def test_figures_are_those_of_the_original(page: Path, original: Path) -> None:
    assert figures(page) == figures(original)


@PAIRS
def test_parts_pictures_and_links_are_those_of_the_original(page: Path, original: Path) -> None:
    sections = [re.findall(r"^(##+) ", outside(path), re.MULTILINE) for path in (page, original)]
    assert sections[0] == sections[1]
    ours, theirs = targets(page), targets(original)
    assert theirs.pop(page, 0) == 1, f"{original.name} has no link to its translation"
    assert ours.pop(original, 0) == 1, f"{page.name} has no link to its original"
    assert ours == theirs


@PAIRS
def test_the_sidebar_has_it_and_the_page_says_its_language(page: Path, original: Path) -> None:
    assert f"({page.parent.name}/{page.name})" in (DOCS / "README.md").read_text(encoding="utf-8")
    language_of = extension("page_language").language_of
    assert language_of(f"docs/{page.parent.name}/{page.stem}") == page.parent.name
    assert language_of(f"docs/{original.stem}") is None
    assert language_of("docs/api/vqkit") is None


def test_formulas_stand_apart_from_letters() -> None:
    """A forge reads ``$...$`` as a formula only between spaces or ASCII punctuation, not beside other characters."""
    for page in PAGES:
        for line in prose(page).splitlines():
            for found in _FORMULA.finditer(line):
                beside = line[: found.start()][-1:] + line[found.end() :][:1]
                assert beside.isascii(), f"{page.name}: {line}"
                assert not any(character.isalnum() for character in beside), f"{page.name}: {line}"

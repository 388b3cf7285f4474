"""Formulas of pages: apart from letters, as a forge asks, and labels of braces that stand at their braces."""

from __future__ import annotations

import re

import pytest

from tests.docs.test_code_blocks import PAGES
from tests.docs.test_site import extension
from tests.docs.test_translations import FORMULA, prose


def test_formulas_stand_apart_from_letters() -> None:
    """A forge reads ``$...$`` as a formula only between spaces or ASCII punctuation, not beside other characters."""
    for page in PAGES:
        for line in prose(page).splitlines():
            for found in FORMULA.finditer(line):
                beside = line[: found.start()][-1:] + line[found.end() :][:1]
                assert beside.isascii(), f"{page.name}: {line}"
                assert not any(character.isalnum() for character in beside), f"{page.name}: {line}"


@pytest.mark.parametrize(
    ("formula", "tags"),
    [
        (r"\underbrace{a}_{b}", ["munder", "munder"]),
        (r"\overbrace{a}^{b}", ["mover", "mover"]),
        (r"\log p(x_i) < 1", ["msub"]),
        (r"\bar{x}^2", ["msup", "mover"]),
        (r"\underbrace{a_i - \underbrace{b}_{c}}_{d}", ["munder", "munder", "msub", "munder", "munder"]),
    ],
)
def test_labels_stand_at_their_braces(formula: str, tags: list[str]) -> None:
    pytest.importorskip("sphinx", reason="the site is built with the extra docs")
    found = extension("mathml").mathml(formula, block=True)
    assert re.findall(r"<(msub|msup|munder|mover)\b", found) == tags

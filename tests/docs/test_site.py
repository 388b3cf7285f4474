"""The documentation site: a page for each quantizer and each public name; what ``make docs`` cannot see by itself."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

import vqkit
from vqkit.quantizers import QUANTIZERS, STACKINGS
from vqkit.registry import origin_of

DOCS = Path(__file__).parents[2] / "docs"
SECTIONS = ["Equation", "Paper", "When to take it", "Pitfalls", "Measured"]
OWN = [name for name in QUANTIZERS if origin_of(QUANTIZERS[name]) == "vqkit"]


def extension(name: str) -> Any:
    """Return a module of docs/site that needs no Sphinx."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", [*OWN, *STACKINGS, "projected"])
def test_every_quantizer_has_its_page(name: str) -> None:
    text = (DOCS / "quantizers" / f"{name}.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert "```text" in text  # an equation
    assert re.search(r"\b(19|20)\d\d\b", text)  # a paper has a year
    if name in OWN:
        assert f'`quantizer="{name}"`, `{QUANTIZERS[name].__name__}(' in text
        assert re.search(rf"^\| `{name}` \| [\d.]+ \|", text, re.MULTILINE), "its own row of figures"
    assert f"({name}.md)" in (DOCS / "quantizers" / "README.md").read_text(encoding="utf-8")


def test_figures_of_quantizers_are_those_of_the_study() -> None:
    study = (DOCS / "choosing-a-quantizer.md").read_text(encoding="utf-8").splitlines()
    for name in [*OWN, *STACKINGS]:
        text = (DOCS / "quantizers" / f"{name}.md").read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if re.match(r"\| `[\w:=]+` \|", line)]
        assert rows
        assert set(rows) <= set(study)
        assert "vqkit study codebooks" in text


def test_every_package_with_public_names_has_its_page() -> None:
    listed = (DOCS / "api" / "README.md").read_text(encoding="utf-8")
    for package in vqkit._PACKAGES:
        text = (DOCS / "api" / f"{package}.md").read_text(encoding="utf-8")
        if getattr(getattr(vqkit, package), "__all__", ()):
            assert f".. automodule:: vqkit.{package}\n   :members:\n" in text
        assert f"({package}.md)" in listed


def test_every_name_of_vqkit_is_on_a_page() -> None:
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    for name in vqkit.__all__:
        home = vqkit._NAMES[name]
        package = getattr(vqkit, home.split(".")[1])
        by_package = name in getattr(package, "__all__", ()) and f"automodule:: {package.__name__}\n" in pages
        assert by_package or f"automodule:: {home}\n" in pages or f"autofunction:: {home}.{name}\n" in pages, name


def test_every_page_is_listed_where_the_sidebar_comes_from() -> None:
    for folder in (DOCS, DOCS / "quantizers", DOCS / "coming-from", DOCS / "api"):
        listed = (folder / "README.md").read_text(encoding="utf-8")
        for page in folder.glob("*.md"):
            assert page.name == "README.md" or f"({page.name})" in listed, page


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("items ``[C, *size]`` and [C, *size]", r"items ``[C, *size]`` and [C, \*size]"),
        ("|z - e|^2 in ``|x|``", r"\|z - e\|^2 in ``|x|``"),
        ("**A quantizer of your own** subclasses", "**A quantizer of your own** subclasses"),
        ("an *emphasis* stays", "an *emphasis* stays"),
        ("2 * 3 is 6", "2 * 3 is 6"),
    ],
)
def test_shapes_and_norms_of_docstrings_are_no_markup(line: str, wanted: str) -> None:
    assert extension("docstrings").escaped(line) == wanted


def test_examples_and_blocks_of_docstrings_are_left_alone() -> None:
    lines = ["Sum::", "", "    |a| + [*b]", "", "Then |a|.", ">>> f(*a) | g", "[*b]", "", "[*b]"]
    found = list(extension("docstrings").prose_escaped(lines))
    assert found == [*lines[:4], r"Then \|a\|.", *lines[5:8], r"[\*b]"]

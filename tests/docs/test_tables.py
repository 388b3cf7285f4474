"""What the docs and the command line say of the parts is what the registries hold."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs import tables
from vqkit.quantizers import QUANTIZERS, Quantizer
from vqkit.registry import _REGISTRIES, origin_of

DOCS = tables.PAGE.parent


def test_the_tables_are_those_of_the_registries() -> None:
    text = tables.PAGE.read_text(encoding="utf-8")
    assert text == tables.filled(text), "docs/parts.md is not what the registries say: run make tables"


def test_every_registry_has_its_table() -> None:
    known = {registry.group for registry in tables.REGISTRIES.values()}
    assert {registry.group for registry in _REGISTRIES if registry.group.startswith("vqkit.")} - known <= {
        "vqkit.trainables",  # all models and priors once more, under the names of run folders
        "vqkit.estimators",  # of an extra; docs/scikit-learn.md has them
        "vqkit.grid_formats",  # files of science, of an extra; docs/science.md has them
        "vqkit.lab_pages",  # what a person sees, and its kinds of signals; docs/lab.md
        "vqkit.lab_views",
    }


def test_a_table_sees_a_change(own_registries: None) -> None:
    text = tables.PAGE.read_text(encoding="utf-8")
    assert tables.filled(text.replace("decay=0.99", "decay=0.9")) == text

    class Coin(Quantizer):
        """Heads or tails."""

    Coin.__module__ = "vqkit.coin"
    QUANTIZERS.register("coin")(Coin)
    assert "| `coin` | `Coin` | Heads or tails | " in tables.filled(text)
    Coin.__module__ = "elsewhere"
    assert tables.filled(text) == text  # parts of other packages are not these pages'


@pytest.mark.parametrize("name", tables.REGISTRIES)
def test_the_first_line_says_what_a_part_is(name: str) -> None:
    registry = tables.REGISTRIES[name]
    lines = {key: tables.about(registry[key]) for key in registry if origin_of(registry[key]) == "vqkit"}
    assert len(set(lines.values())) == len(lines)
    for part in lines:
        assert "__doc__" in vars(registry[part])
        assert registry[part].__doc__ is not None


@pytest.mark.parametrize(("page", "name"), [("choosing-a-quantizer.md", "quantizers"), ("generating.md", "priors")])
def test_pages_of_advice_have_a_row_for_every_part(page: str, name: str) -> None:
    rows = re.findall(r"^\| (`.*?)\|", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    registry = tables.REGISTRIES[name]
    assert {key for key in registry if origin_of(registry[key]) == "vqkit"} <= named


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("train",), ("models", "quantizers", "objectives", "signals")),
        (("prior",), ("priors",)),
        (("eval",), ("signals",)),
        (("encode",), ("signals",)),
        (("probe",), ("signals",)),
        (("study", "codebooks"), ("quantizers", "signals")),
        (("study", "rate-distortion"), ("signals",)),
        (("study", "beta"), ("signals",)),
        (("study", "latents"), ("signals",)),
    ],
)
def test_help_lists_the_registered_names(words: tuple[str, ...], names: tuple[str, ...], vq: Any) -> None:
    said = " ".join(re.sub(r"[│\s]+", " ", vq(*words, "--help").out).split())
    for name in names:
        assert ", ".join(tables.REGISTRIES[name]) in said
    assert "{" not in re.sub(r"\{\[?[A-Z]", "", said)


def test_no_help_lists_names_by_hand() -> None:
    """A text of the command line that names all parts of a registry asks the registry."""
    import vqkit.cli.main as main

    folder = Path(inspect.getfile(main)).parent
    for file in folder.rglob("*.py"):
        for text in re.findall(r'help=((?:\s*f?"[^"]*")+)', file.read_text(encoding="utf-8")):
            for name, registry in tables.REGISTRIES.items():
                missing = [key for key in registry if not re.search(rf"(?<![\w=:-]){key}(?![\w=:])", text)]
                assert missing or len(registry) < 3, f"{file.name}: {text}: {{{name}}} stands for these names"

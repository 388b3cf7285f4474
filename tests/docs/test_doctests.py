"""Every public name has an example in its docstring, and the examples run.

An example imports what it uses, so that a person can paste it.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

PACKAGES = (
    "vqkit", "vqkit.codec", "vqkit.data", "vqkit.evaluation", "vqkit.generation", "vqkit.lab", "vqkit.likelihoods",
    "vqkit.models",
    "vqkit.networks", "vqkit.objectives", "vqkit.ops", "vqkit.pixels", "vqkit.priors", "vqkit.quantizers",
    "vqkit.results", "vqkit.signals", "vqkit.tokens", "vqkit.training",
)  # fmt: skip
NOT_RUN = {
    "vqkit.codebooks", "vqkit.compare", "vqkit.lab.open_lab", "vqkit.plot_results", "vqkit.rate_distortion",
    "vqkit.repeat", "vqkit.resume",
    "vqkit.study_beta", "vqkit.study_latents",
}  # fmt: skip
"""Public names whose examples take minutes, or read a run that is not there."""


def public() -> dict[str, Any]:
    """Return the classes and functions in ``__all__`` of the packages, each once, by its shortest name."""
    parts: dict[Any, str] = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            part = getattr(module, name)
            if inspect.isclass(part) or inspect.isfunction(part):
                parts.setdefault(part, f"{package}.{name}")
    return {name: part for part, name in parts.items()}


PUBLIC = public()


def examples(part: Any) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(part.__doc__ or "")


def test_every_public_name_has_an_example() -> None:
    assert not [name for name, part in PUBLIC.items() if not examples(part)]


def test_examples_that_are_not_run_are_few() -> None:
    skipped = {
        name for name, part in PUBLIC.items() if any(example.options.get(doctest.SKIP) for example in examples(part))
    }
    assert skipped == NOT_RUN


@pytest.mark.parametrize("name", PUBLIC)
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_registries: None) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    printed: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for case in doctest.DocTestFinder(exclude_empty=True).find(PUBLIC[name], name, globs={}):
        runner.run(case, out=printed.append)
    assert runner.failures == 0, "".join(printed)

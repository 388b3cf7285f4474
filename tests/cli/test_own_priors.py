"""A registered prior of one's own on the command line, and a model whose prior was saved with it."""

from __future__ import annotations

import runpy
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from tests.cli.cases import TINY
from vqkit import HistogramPrior, load_model, load_prior, load_source
from vqkit.priors import PRIORS
from vqkit.quantizers import QUANTIZERS

EXAMPLE = Path(__file__).parents[2] / "examples" / "extend" / "prior.py"


@pytest.mark.usefixtures("own_registries")
def test_a_registered_prior_is_a_kind_like_any_other(vq: Any) -> None:
    kind = runpy.run_path(str(EXAMPLE))["MarkovPrior"]
    assert "markov" in vq("prior", "--help").out
    assert vq("train", "digits", "--out", "r", *TINY, "--steps", 2).status == 0
    made = vq("prior", "r", "--kind", "markov", "--steps", 3)
    assert made.status == 0, made.err
    assert type(load_prior("r/prior/run")) is kind
    refused = vq("prior", "r", "--kind", "markov", "--out", "o", "--conditional")
    assert refused.status == 2
    assert "a markov prior knows no classes" in refused.err
    assert vq("sample", "r", "-n", 2, "--out", "s").status == 0


def test_the_prior_that_lies_beside_a_model_samples_and_codes_files(vq: Any) -> None:
    assert vq("train", "digits", "--out", "r", *TINY, "--steps", 2).status == 0
    model: Any = load_model("r")
    model.use_prior(HistogramPrior.of(model.encode(load_source("digits").gather(range(500))), model.codebook_size))
    model.save_pretrained("m")
    assert vq("sample", "m", "-n", 2, "--out", "s").status == 0
    coded = vq("compress", "digits", "--model", "m", "--out", "d.vqk")
    assert coded.status == 0, coded.err
    assert "histogram" in vq("inspect", "d.vqk").out
    assert vq("decompress", "d.vqk", "--model", "m", "--out", "back").status == 0


def test_packages_that_cannot_be_imported_stop_no_command(vq: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in (QUANTIZERS, PRIORS):
        broken = EntryPoint("broken", "no_such_package:Part", registry.group)
        monkeypatch.setattr(registry, "_offered", {"broken": broken})
    assert vq("train", "digits", "--out", "r", *TINY, "--steps", 2).status == 0
    made = vq("prior", "r", "--kind", "histogram")
    assert made.status == 0, made.err
    refused = vq("train", "digits", "--out", "o", *TINY, "--quantizer", "broken")
    assert refused.status == 2
    assert "'broken' comes with the package no_such_package" in refused.err

"""Schemas of files of results: what is written is what they say. Studies are held against theirs in their own tests."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import vqkit
from tests.docs import result_tables
from tests.results.cases import check
from vqkit.errors import ConfigError
from vqkit.results import SCHEMAS, schema
from vqkit.results.origin import origin
from vqkit.storage.outputs import marked


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one(name: str) -> None:
    found = schema(name)
    Draft202012Validator.check_schema(found)
    assert found["title"]
    assert set(found["required"]) <= set(found["properties"])


def test_every_schema_is_listed() -> None:
    folder = files("vqkit.results.schemas")
    there = {each.name.removesuffix(".schema.json") for each in folder.iterdir() if each.name.endswith(".json")}
    assert there == set(SCHEMAS)
    with pytest.raises(ConfigError, match="did you mean 'codebooks'"):
        schema("codebook")


@pytest.mark.parametrize("kind", ["vqvae", "pca", "vae", "prior", "sound", "vectors"])
def test_runs_and_evaluations_are_what_their_schemas_say(tmp_path: Path, kind: str) -> None:
    model, data = made(kind)
    steps = {} if model.closed_form else {"steps": 4, "evaluations": 2, "log_every": 2}
    run = vqkit.train(model, data, out=tmp_path / "run", quiet=True, tensorboard=False, **steps)
    check("run", json.loads((run.path / "run.json").read_text()))
    for line in run.log():
        check("log-line", line)
    if kind == "prior":
        return
    judged = vqkit.evaluate(run.model(), data).as_dict()
    told = origin(run.path, run.model(), data)
    check("evaluation", json.loads(json.dumps(marked("vqkit eval", {**judged, **told}))))


def made(kind: str) -> tuple[Any, Any]:
    small = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4}
    if kind == "sound":
        sounds = np.random.default_rng(0).standard_normal((8, 1, 640)).clip(-1, 1).astype(np.float32)
        data = vqkit.load_source(sounds, kind="sound@16000")
        return vqkit.VQVAE.for_source(data, 8, **small), data
    if kind == "vectors":
        data = vqkit.load_source(np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32))
        return vqkit.models.ProductQuantization(8, num_codebooks=2, channels=8), data
    data = vqkit.load_source("builtin:digits").subset(range(40))
    if kind == "pca":
        return vqkit.PCA(4, channels=1, size=(8, 8)), data
    if kind == "vae":
        return vqkit.VAE.for_source(data, latent_dim=4, hidden_channels=8, residual_channels=4), data
    model = vqkit.VQVAE.for_source(data, 8, **small)
    if kind == "prior":
        tokens = vqkit.tokenize(model, data)
        return vqkit.HistogramPrior.for_tokens(tokens), tokens
    return model, data


def test_the_page_is_made_of_the_schemas() -> None:
    text = result_tables.PAGE.read_text(encoding="utf-8")
    assert text == result_tables.filled(text), "docs/results-format.md is not what the schemas say: run make tables"

"""Trainings of several seeds: one split, a run for each, means and deviations, gone on with, and read by tables."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vqkit
from tests.results.cases import check
from vqkit.errors import ConfigError
from vqkit.pretrained.folder import content_hash
from vqkit.results import several
from vqkit.results.figures.plot import panels_of
from vqkit.results.reading import seed_runs

DIGITS = vqkit.load_source("digits").subset(range(64))
SHORT: dict[str, Any] = {"steps": 2, "batch_size": 8, "evaluations": 2, "log_every": 1}
QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
NET: dict[str, Any] = {"hidden_channels": 4, "residual_channels": 4, "code_dim": 4}
WORDS = (
    "--steps", 2, "--batch-size", 8, "--codebook-size", 8, "--hidden-channels", 4, "--residual-channels", 4,
    "--code-dim", 4, "--no-tensorboard", "--set", "evaluations=2",
)  # fmt: skip


def made(seed: int) -> vqkit.VQVAE:
    return vqkit.VQVAE.for_source(DIGITS, 8, seed=seed, **NET)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> several.SeedRuns:
    out = tmp_path_factory.mktemp("several") / "ema"
    return vqkit.train_seeds(made, DIGITS, [3, 10], out=out, **SHORT, **QUIET)


def test_the_summary_is_of_the_runs(both: several.SeedRuns) -> None:
    assert json.loads((both.path / "seeds.json").read_text()) == both.document
    check("seeds", both.document)
    values = [run.evaluation["psnr_db"] for run in both.runs if run.evaluation]
    assert both.document["measures"]["psnr_db"]["values"] == values
    assert both.document["measures"]["psnr_db"]["mean"] == pytest.approx(statistics.fmean(values))
    assert both.document["measures"]["psnr_db"]["deviation"] == pytest.approx(statistics.stdev(values))
    assert len(set(values)) == 2
    digests = [content_hash(run.model()) for run in both.runs]
    assert [each["model_sha256"] for each in both.document["runs"]] == digests


def test_a_run_of_it_is_that_of_its_seed_alone_on_the_split_of_the_first(
    both: several.SeedRuns, tmp_path: Path
) -> None:
    alone = vqkit.train(made(10), DIGITS, out=tmp_path / "run", seed=10, split_seed=3, **SHORT, **QUIET)
    assert content_hash(alone.model()) == content_hash(both.runs[1].model())
    first = vqkit.train(made(3), DIGITS, out=tmp_path / "first", seed=3, **SHORT, **QUIET)
    assert content_hash(first.model()) == content_hash(both.runs[0].model())


def test_tables_and_plots_take_the_folder_as_one(both: several.SeedRuns) -> None:
    for place in (both.path, both.path.parent):
        table = vqkit.result_table(place, columns=["seeds", "psnr_db"])
        assert [row[0] for row in table.rows] == ["2"]
        assert "±" in table.markdown()
    (panel,) = panels_of(both.path, measures=["loss"])
    (line,) = panel.lines
    assert line.deviations is not None
    assert max(line.deviations) > 0
    assert [each.name for each in seed_runs(both.path)] == ["seed-3", "seed-10"]


def test_what_is_done_is_not_trained_again_and_a_seed_can_be_added(
    both: several.SeedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Any] = []
    train = several.train
    monkeypatch.setattr(
        several, "train", lambda *given, **named: (trained.append(named["out"]), train(*given, **named))[1]
    )
    logs = [(run.path / "log.jsonl").read_text() for run in both.runs]
    more = vqkit.train_seeds(made, DIGITS, [3, 10, 4], out=both.path, **SHORT, **QUIET)
    assert [each.name for each in trained] == ["seed-4"]
    assert [(run.path / "log.jsonl").read_text() for run in both.runs] == logs
    assert more.document["measures"]["mse"]["values"][:2] == both.document["measures"]["mse"]["values"]
    with pytest.raises(ConfigError, match="other settings"):
        vqkit.train_seeds(made, DIGITS, [3, 10], out=both.path, **{**SHORT, "batch_size": 4}, **QUIET)
    longer = vqkit.train_seeds(made, DIGITS, [3], out=both.path, **{**SHORT, "steps": 3}, **QUIET)
    assert [run.step for run in longer.runs] == [3]
    assert len(trained) == 1


@pytest.mark.parametrize(
    ("seeds", "settings", "message"),
    [
        ([], {}, "one or more"),
        ([1, 1], {}, "each once"),
        ([-1], {}, "whole number"),
        ([1], {"seed": 2}, "give one of the two"),
    ],
)
def test_seeds_that_do_not_work(tmp_path: Path, seeds: list[int], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        vqkit.train_seeds(made, DIGITS, seeds, out=tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()


def test_the_folder_is_no_run_and_its_runs_are_named(both: several.SeedRuns, vq: Any) -> None:
    for words in (["eval", both.path], ["train", "--resume", both.path], ["reconstruct", both.path]):
        found = vq(*words)
        assert found.status == 2
        assert f"give one of them, such as {both.path / 'seed-10'}" in found.err
    assert "quantizer ema" in vqkit.cite(both.path)


def test_only_the_seed_may_differ_and_other_things_stay(tmp_path: Path) -> None:
    def growing(seed: int) -> vqkit.PCA:
        return vqkit.PCA(2 + seed, channels=1, size=(8, 8))

    with pytest.raises(ConfigError, match="let only the seed differ"):
        vqkit.train_seeds(growing, DIGITS, [0, 1], out=tmp_path / "new", **QUIET)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(ConfigError, match=r"thesis\.txt"):
        vqkit.train_seeds(made, DIGITS, [0], out=tmp_path / "mine", **QUIET)


def test_the_command_says_the_same(vq: Any) -> None:
    np.save("many.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8))
    found = vq("train", "many.npy", *WORDS, "--seeds", "0,1", "--out", "both")
    assert found.status == 0, found.err
    assert "seeds 0, 1" in found.out
    assert "±" in found.out
    assert vq("train", "many.npy", *WORDS, "--seed", 0, "--out", "first").status == 0
    again = vq("train", "--config", "first", "--no-tensorboard", "--seeds", "0,1", "--out", "again")
    assert again.status == 0, again.err
    documents = [json.loads(Path(name, "seeds.json").read_text()) for name in ("both", "again")]
    assert documents[0]["runs"] == documents[1]["runs"]
    assert documents[0]["runs"][0]["model_sha256"] == content_hash(vqkit.load_model("first"))


@pytest.mark.parametrize("other", [["--seed", "2"], ["--resume", "run"]])
def test_the_command_refuses(vq: Any, other: list[str]) -> None:
    found = vq("train", *([] if "--resume" in other else ["digits"]), "--seeds", "0,1", *other)
    assert found.status == 2
    assert "--seeds" in found.err

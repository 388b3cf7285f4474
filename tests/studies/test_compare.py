"""The comparison of the rungs: complete, repeatable, resumable, and nobody else's folder touched."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.results.cases import check
from vqkit.data import ArraySource, Source, load_source
from vqkit.errors import ConfigError, DataError
from vqkit.evaluation import evaluate
from vqkit.models import VAE, load_model
from vqkit.studies.images import fixed_images
from vqkit.studies.ladder import study as study
from vqkit.studies.ladder.measures import Features
from vqkit.studies.ladder.rungs import RungContext, Trained
from vqkit.studies.ladder.settings import CompareConfig
from vqkit.studies.ladder.story import story
from vqkit.studies.ladder.study import Comparison, compare
from vqkit.training.checkpoints import checkpoint

TINY: dict[str, Any] = {
    "codebook_size": 8, "code_dim": 4, "downsampling": 2, "hidden_channels": 8, "residual_channels": 4, "steps": 8,
    "prior_steps": 6, "prior_channels": 8, "prior_layers": 2, "batch_size": 16, "validation": 0.25, "samples": 32,
    "features": "random",
}  # fmt: skip
KEYS = {
    "key", "title", "status", "error", "parameters", "train_seconds", "judge_seconds", "encode_ms_per_item",
    "decode_ms_per_item", "sample_ms_per_item", "latent_shape", "latent_numbers", "latent_float32_bits",
    "latent_bits", "latent_entropy_bits", "prior_bits", "psnr_at_budget_db", "rate_curve", "mse", "psnr_db",
    "ssim", "bits_per_dim", "bits_per_dim_learned_prior", "other_bounds", "frechet_reconstructions",
    "frechet_samples", "frechet_noise", "precision", "recall", "density", "coverage", "linear_probe_accuracy",
    "detail_reconstructions", "detail_samples", "usage", "perplexity", "active_units", "notes", "pictures",
}  # fmt: skip
TIMES = {"train_seconds", "judge_seconds", "encode_ms_per_item", "decode_ms_per_item", "sample_ms_per_item", "notes"}


def few_digits() -> Source:
    return load_source("digits").subset(range(200))


def run(out: Path, data: Any = None, **options: Any) -> Comparison:
    return compare(few_digits() if data is None else data, out, quiet=True, **{**TINY, **options})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """All four rungs, once."""
    return run(tmp_path_factory.mktemp("compare") / "whole")


@pytest.fixture
def done(whole: Comparison, tmp_path: Path) -> Path:
    """A copy of them."""
    shutil.copytree(whole.path, tmp_path / "done")
    return tmp_path / "done"


def numbers(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in rung.items() if name not in TIMES} for rung in document["rungs"]]


def written(folder: Path) -> dict[str, int]:
    """When each file that costs training or judging was written."""
    kept = [path for path in folder.rglob("*") if path.suffix in (".safetensors", ".json", ".npy", ".jsonl")]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in kept if path.name != "compare.json"}


def failing(shop: RungContext) -> Trained:
    raise RuntimeError("no such luck")


def stopping(shop: RungContext) -> Trained:
    raise KeyboardInterrupt


# ---- what it makes


def test_the_document_has_all_numbers_of_all_rungs(whole: Comparison) -> None:
    document = whole.document
    assert json.loads((whole.path / "compare.json").read_text(), parse_constant=pytest.fail) == document
    check("compare", document)
    assert document["budget_bits"] == 16 * 3
    assert (document["data"]["train_items"], document["data"]["validation_items"]) == (150, 50)
    assert [rung["key"] for rung in document["rungs"]] == ["pca", "ae", "vae", "vqvae"]
    for rung in document["rungs"]:
        assert (rung["status"], rung["error"]) == ("done", None)
        assert set(rung) == KEYS
        bound = rung["bits_per_dim"]
        assert bound["total"] == pytest.approx(bound["rate"] + bound["distortion"])
        for name in ("mse", "psnr_db", "ssim", "frechet_samples", "frechet_reconstructions", "linear_probe_accuracy"):
            assert math.isfinite(rung[name])
        assert rung["rate_curve"]
    pca, ae, vae, vqvae = document["rungs"]
    assert pca["latent_bits"] <= 48
    assert pca["latent_numbers"] == ae["latent_numbers"] == vae["latent_numbers"]
    assert vqvae["latent_bits"] == 48
    assert vqvae["bits_per_dim"]["rate"] == pytest.approx(48 / 64)
    learned = vqvae["bits_per_dim_learned_prior"]
    assert learned["rate"] == pytest.approx(vqvae["prior_bits"] / 64)
    assert learned["rate"] != pytest.approx(48 / 64)
    assert learned["distortion"] == pytest.approx(vqvae["bits_per_dim"]["distortion"], rel=1e-6)
    assert "compare" in document["command"]
    assert all(rung["psnr_at_budget_db"] <= rung["psnr_db"] + 0.1 for rung in document["rungs"] if rung["key"] != "pca")


def test_the_report_opens_offline_and_the_pictures_are_there(whole: Comparison) -> None:
    text = whole.report.read_text(encoding="utf-8")
    assert all(source.startswith("data:image/") for source in re.findall(r'\ssrc="([^"]*)"', text))
    assert not re.search(r"<(script|link|iframe)[^>]*(src|href)=", text)
    assert "url(http" not in text
    names = [*whole.document["pictures"].values()]
    for rung in whole.document["rungs"]:
        assert set(rung["pictures"]) == {"samples", "interpolations", "latent_map", "traversals"}
        assert rung["title"] in text
        names += rung["pictures"].values()
    for name in names:
        Image.open(whole.path / "pictures" / name).verify()
    assert whole.picture.is_file()
    for rung in ("pca", "ae", "vae", "vqvae"):
        assert (whole.path / rung / "model" / "config.json").is_file()


# ---- again, and going on


def test_a_second_call_trains_and_judges_nothing(
    whole: Comparison, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written(done)
    for key in list(study.TRAINERS):
        monkeypatch.setitem(study.TRAINERS, key, failing)
    said: list[str] = []
    again = compare(few_digits(), done, quiet=True, say=said.append, **TINY)
    assert again.document["rungs"] == whole.document["rungs"]
    assert again.document["story"] == whole.document["story"]
    assert written(done) == before
    assert sum("done before" in sentence for sentence in said) == 4
    some = run(done, rungs=["vae", "pca"])
    assert [rung["key"] for rung in some.document["rungs"]] == ["pca", "vae"]


def test_an_interrupted_comparison_goes_on_to_the_same_numbers(
    whole: Comparison, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the VQ-VAE trains: the rungs before it are kept, and its training is resumed."""
    (done / "vqvae.json").unlink()
    (done / "report.html").unlink()
    shutil.rmtree(done / "vqvae")
    before = written(done)
    keep = checkpoint.save

    def stop_after(folder: Path, step: int, *rest: Any) -> Path:
        path = keep(folder, step, *rest)
        os.kill(os.getpid(), signal.SIGINT)
        return path

    monkeypatch.setattr(checkpoint, "save", stop_after)
    with pytest.raises(KeyboardInterrupt):
        run(done)
    monkeypatch.undo()
    assert not (done / "report.html").exists()
    assert (done / "vqvae" / "run" / "run.json").is_file()
    again = run(done)
    assert numbers(again.document) == numbers(whole.document)
    assert {name: time for name, time in written(done).items() if name in before} == before


def test_a_rung_that_fails_is_reported_and_tried_again(
    whole: Comparison, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (done / "vae.json").unlink()
    monkeypatch.setitem(study.TRAINERS, "vae", failing)
    found = run(done)
    pca, ae, vae, vqvae = found.document["rungs"]
    assert [rung["status"] for rung in (pca, ae, vae, vqvae)] == ["done", "done", "failed", "done"]
    assert vae["error"] == "RuntimeError: no such luck"
    assert "no such luck" in (done / "vae" / "error.txt").read_text()
    assert "no such luck" in found.report.read_text(encoding="utf-8")
    assert len(found.document["story"]) == 2  # what needs no VAE
    assert not (done / "vae.json").exists()
    monkeypatch.setitem(study.TRAINERS, "vae", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(done)
    monkeypatch.undo()
    assert numbers(run(done).document) == numbers(whole.document)


def test_when_every_rung_fails_so_does_the_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(study.TRAINERS, "pca", failing)
    with pytest.raises(ConfigError, match=r"every rung failed.*no such luck"):
        run(tmp_path / "out", rungs=["pca"])


def test_another_comparison_is_refused_and_named(done: Path, tmp_path: Path) -> None:
    before = written(done)
    with pytest.raises(ConfigError, match="steps: was 8, now 9; seed: was 0, now 1"):
        run(done, steps=9, seed=1)
    assert written(done) == before
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    for out in (mine, mine / "thesis.txt"):
        with pytest.raises(ConfigError, match="not a comparison"):
            run(out)
    assert (mine / "thesis.txt").read_text() == "mine"
    (done / "settings.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        run(done)


def test_a_start_that_came_to_nothing_does_not_hold_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="features='nonsense'"):
        run(tmp_path / "out", rungs=["pca"], features="nonsense")
    found = run(tmp_path / "out", rungs=["pca"])
    assert found.document["settings"]["features"] == "random"
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["settings"]["features"] == "random"


def test_the_vae_is_trained_with_its_remedies(tmp_path: Path) -> None:
    run(tmp_path / "c", rungs=["vae"], steps=2, beta=3.0, beta_warmup=7, free_bits=0.5)
    model: Any = load_model(tmp_path / "c" / "vae" / "run" / "model")
    assert (model.beta, model.beta_warmup, model.free_bits) == (3.0, 7, 0.5)
    for wrong in ({"beta": -1.0}, {"beta_warmup": -1}, {"free_bits": math.inf}):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))}=.*: give 0 or more, and finite"):
            run(tmp_path / "x", **wrong)


# ---- data of all kinds


def photos(folder: Path, count: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        height, width = rng.integers(10, 40, 2)
        image = np.full((height, width, 3), 2 * number, np.uint8) + rng.integers(0, 2, (height, width, 3), np.uint8)
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    return folder


def test_images_of_several_sizes_are_cut_once_each(tmp_path: Path) -> None:
    source = load_source(photos(tmp_path / "photos", 80))
    source.labels = np.arange(80)
    config = CompareConfig(crop=16, validation=0.4)
    images, again = fixed_images(source, config), fixed_images(source, config)
    assert (len(images.training), len(images.held_out), images.whole.size) == (48, 32, (16, 16))
    for part in (images.whole, images.training, images.held_out):
        assert part.labels is not None
        for place, label in enumerate(part.labels):
            assert abs(int(part.read(place).mean()) - 2 * int(label)) <= 1  # the very image of that number
    assert sorted(images.whole.labels.tolist()) == list(range(80))  # type: ignore[union-attr]
    assert np.array_equal(images.whole.gather(range(80)), again.whole.gather(range(80)))


def test_colour_of_several_sizes_without_labels(tmp_path: Path) -> None:
    settings = {"crop": 16, "downsampling": 4, "validation": 0.4, "features": "auto"}
    found = run(tmp_path / "out", photos(tmp_path / "photos", 80), rungs=["pca", "vqvae"], **settings)
    assert (found.document["data"]["size"], found.document["data"]["channels"]) == ([16, 16], 3)
    assert "random" in found.document["features"]["frechet"]
    for rung in found.document["rungs"]:
        assert rung["status"] == "done"
        assert rung["linear_probe_accuracy"] is None
    assert "photos" in found.document["command"]


def test_labels_bring_a_classifier_that_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(tmp_path / "out", rungs=["pca"], features="auto", classifier_steps=20)
    assert "classifier" in found.document["features"]["frechet"]
    monkeypatch.setattr("vqkit.studies.ladder.measures.train_classifier", failing)
    again = run(tmp_path / "out", rungs=["pca"], features="auto", classifier_steps=20)
    assert numbers(again.document) == numbers(found.document)


def test_validation_data_of_their_own(tmp_path: Path) -> None:
    digits = load_source("digits")
    np.save(tmp_path / "held.npy", digits.subset(range(200, 240)).gather(range(40)))
    found = run(tmp_path / "out", rungs=["pca"], validation=str(tmp_path / "held.npy"))
    assert (found.document["data"]["train_items"], found.document["data"]["validation_items"]) == (200, 40)
    assert found.document["rungs"][0]["linear_probe_accuracy"] is None  # those have no labels


@pytest.mark.parametrize("value", [0, 77])
def test_constant_images_are_no_crash(tmp_path: Path, value: int) -> None:
    source = ArraySource(np.full((140, 1, 8, 8), value, np.uint8))
    found = run(tmp_path / "out", source, rungs=["pca", "vqvae"])
    pca, vqvae = found.document["rungs"]
    assert (pca["status"], pca["psnr_db"], pca["mse"]) == ("done", None, 0)
    assert vqvae["status"] == "done"


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match=r"45 images to train on and 15 held out.*32.*validation=0.3"):
        run(out, few_digits().subset(range(60)))
    np.save(tmp_path / "vectors.npy", np.zeros((100, 5), np.float32))
    with pytest.raises(ConfigError, match=r"vectors of 5 numbers.*needs images"):
        run(out, tmp_path / "vectors.npy")
    with pytest.raises(DataError, match="does not exist"):
        run(out, "nowhere")
    with pytest.raises(ConfigError, match=r"gan.*pca, ae, vae, quantized, vqvae"):
        run(out, rungs=["pca", "gan"])
    with pytest.raises(ConfigError, match="choose from"):
        run(out, rungs=[])
    with pytest.raises(ConfigError, match=r"takes no nonsense.*codebook_size"):
        run(out, nonsense=1)
    with pytest.raises(ConfigError, match="steps='many'"):
        run(out, steps="many")
    with pytest.raises(ConfigError, match="config or single settings"):
        run(out, config=CompareConfig())
    for bad in ({"steps": 0}, {"samples": 3}, {"prior_steps": 0}, {"crop": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            run(out, **bad)
    assert not out.exists()


# ---- the story


def rung(key: str, psnr: float | None, again: float, new: float) -> dict[str, Any]:
    return {
        "key": key, "status": "done", "psnr_at_budget_db": psnr, "frechet_reconstructions": again,
        "frechet_samples": new,
    }  # fmt: skip


def test_claims_hold_where_the_numbers_say_so() -> None:
    pca, ae, vae = rung("pca", 20, 5, 50), rung("ae", 22, 5, 40), rung("vae", 21, 6, 20)
    found = story([pca, ae, vae, rung("vqvae", 23, 4, 10)])
    assert [claim["holds"] for claim in found] == [True] * 4
    assert "20.00 dB" in found[0]["numbers"]
    assert "8.0 times" in found[1]["numbers"]
    other = story([pca | {"psnr_at_budget_db": 23}, ae | {"frechet_samples": 9}, vae, rung("vqvae", 23, 4, 10)])
    assert [claim["holds"] for claim in other] == [False] * 4


def test_claims_need_their_rungs_and_their_numbers() -> None:
    pca, ae = rung("pca", 20, 5, 50), rung("ae", None, 0, 40)
    assert len(story([pca, ae])) == 1  # no budget: nothing to say of it; no error: no division by zero
    assert story([pca, {"key": "ae", "status": "failed", "error": "x"}]) == []
    assert story([]) == []


def test_bounds_that_are_compared_are_of_the_same_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "_BOUND_ITEMS", 8)
    digits = load_source("digits").subset(range(30))
    model = VAE.for_source(digits, 2, hidden_channels=4, residual_channels=4, likelihood="logistic").eval()
    signals = torch.from_numpy(digits.gather(range(30)))
    found = study._bounds(model, evaluate(model, digits), signals, 2)["other_bounds"]
    same = evaluate(model, digits.subset(range(8))).bits_per_dim
    assert same is not None
    assert found["the bound above, the first 8 images"] == pytest.approx(same.total)
    assert "importance-weighted, 2 samples, the first 8 images" in found
    assert found["importance-weighted, 1 sample, the first 8 images"] == pytest.approx(same.total, rel=0.02)
    whole = study._bounds(model, evaluate(model, digits.subset(range(8))), signals[:8], 1)["other_bounds"]
    assert "the bound above, the first 8 images" not in whole, "it is the same one"


def test_distances_do_not_depend_on_the_threads(tmp_path: Path) -> None:
    digits = load_source("digits").subset(range(120))
    config = CompareConfig(features="classifier", samples=24, classifier_steps=3)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            folder = tmp_path / str(threads)
            features = Features.choose(config, digits.subset(range(80)), digits.subset(range(80, 120)), folder)
            found.append({**features.judge(torch.from_numpy(digits.gather(range(24)))), "floor": features.floor()})
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_a_vae_quantized_afterwards_is_a_rung_between_vae_and_vqvae(tmp_path: Path) -> None:
    """It has the VQ-VAE's bits and a prior, is known again, and the story sets it beside the VQ-VAE."""
    made = run(tmp_path / "bridge", rungs=("vqvae", "quantized"))
    first, second = made.document["rungs"]
    assert (first["key"], second["key"]) == ("quantized", "vqvae")
    assert first["status"] == "done", first["error"]
    assert first["latent_bits"] == second["latent_bits"] == made.document["budget_bits"]
    assert first["bits_per_dim_learned_prior"] is not None
    assert "bits a position" in " ".join(first["notes"])
    assert ["quantized VAE" in each["numbers"] for each in made.document["story"]] == [True]
    model = load_model(made.path / "quantized" / "model")
    assert type(model.quantizer).__name__ == "GaussianQuantizer"  # type: ignore[attr-defined]
    check("compare", json.loads((made.path / "compare.json").read_text()))
    again = run(tmp_path / "bridge", rungs=("vqvae", "quantized"))
    assert [each["psnr_db"] for each in again.document["rungs"]] == [first["psnr_db"], second["psnr_db"]]

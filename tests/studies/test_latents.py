"""The study of latents: the plane of two numbers on the axes of what is sampled, its holes, its pictures."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vqkit.data import Source, load_source
from vqkit.errors import ConfigError, DataError
from vqkit.models import load_model
from vqkit.studies.images import fixed_images
from vqkit.studies.latents import study as study
from vqkit.studies.latents.picture import DecodedPlane, planes_picture
from vqkit.studies.latents.plane import Plane, cell_centers, holes, holes_in_order, item_counts
from vqkit.studies.latents.report import write_report
from vqkit.studies.latents.settings import LatentsConfig
from vqkit.studies.latents.story import claims, not_settled
from vqkit.studies.latents.study import LatentsStudy, study_latents
from vqkit.studies.report.class_colors import class_color

TINY: dict[str, Any] = {
    "steps": 6, "hidden_channels": 8, "residual_channels": 4, "batch_size": 16, "validation": 0.3, "cells": 4,
    "draws": 40, "dots": 60,
}  # fmt: skip


def few_digits() -> Source:
    return load_source("digits").subset(range(120))


def run(out: Path, data: Any = None, **options: Any) -> LatentsStudy:
    return study_latents(few_digits() if data is None else data, out, quiet=True, **{**TINY, **options})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> LatentsStudy:
    return run(tmp_path_factory.mktemp("study") / "whole")


def counted(places: Any, cells: int) -> Any:
    """Items in each cell, by NumPy."""
    edges = np.linspace(-3, 3, cells + 1)
    return np.histogram2d(places[:, 0], places[:, 1], bins=[edges, edges])[0]


def test_both_models_are_there(whole: LatentsStudy) -> None:
    assert json.loads((whole.path / "latents.json").read_text()) == whole.document
    assert [each["key"] for each in whole.document["entries"]] == ["ae", "vae"]
    for each in whole.document["entries"]:
        assert each["status"] == "done", each["error"]
        assert each["items"] == 84
        assert 0 <= each["empty_mass"] <= 1
    words = whole.report.read_text(encoding="utf-8")
    assert words.count("data:image/png;base64,") == 2 * 2  # each drawing on light paper and on dark
    assert "4 x 4 places" in words
    assert not re.search(r'(?:src|href)="(?!data:|#)', words)


def test_holes_are_those_of_the_training_items(whole: LatentsStudy) -> None:
    training = fixed_images(few_digits(), LatentsConfig.from_dict(TINY)).training
    for each in whole.document["entries"]:
        model: Any = load_model(whole.path / each["key"] / "run" / "model")
        latents = model.encode(torch.from_numpy(training.gather(range(84)))).double().numpy()
        if each["key"] == "ae":  # white, by another way than the study's
            assert np.allclose(each["center"], latents.mean(axis=0), atol=1e-5)
            shape = np.array(each["shape"])
            assert np.allclose(shape @ shape, np.cov(latents.T, bias=True), rtol=1e-4)
            latents = (latents - latents.mean(axis=0)) @ np.linalg.inv(shape)
        else:
            assert each["center"] == [0, 0]
        counts = counted(latents, 4)
        assert each["empty_cells"] == int((counts == 0).sum())


def test_mass_of_empty_cells_is_how_often_samples_fall_there() -> None:
    places = torch.randn(30, 2, generator=torch.Generator().manual_seed(1)) * 0.6
    found = holes(places, 6, 3.0)
    drawn = np.random.default_rng(0).normal(size=(200_000, 2))
    drawn = drawn[(np.abs(drawn) < 3).all(axis=1)]
    counts = counted(places.numpy(), 6)
    at = ((drawn + 3) / 6 * 6).astype(int)
    assert found.empty_mass == pytest.approx(float((counts[at[:, 0], at[:, 1]] == 0).mean()), abs=0.005)
    assert found.inside == 1


def test_framed_cells_are_the_empty_ones_of_the_middle() -> None:
    counts = item_counts(torch.tensor([[0.1, -0.2], [-2.0, 2.0]]), 3, 3.0)
    assert int(counts.sum()) == 2
    found = holes_in_order(counts, 3.0, within=2.5)  # the corners lie 2.8 from the middle
    assert found == [False, True, False, True, False, True, False, True, False]
    assert holes_in_order(counts, 3.0, within=9.0) == [False, True, True, True, False, True, True, True, True]


def test_latents_that_are_samples_have_the_holes_of_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    found = [holes(torch.randn(200, 2, generator=generator), 8, 3.0) for _ in range(60)]
    assert np.mean([each.empty_mass for each in found]) == pytest.approx(found[0].by_chance, rel=0.05)


def test_places_and_latents_are_inverse_and_cells_go_from_the_top_left() -> None:
    plane = Plane.fitted(torch.randn(50, 2) @ torch.tensor([[2.0, 1.0], [0.0, 0.3]]) + 5)
    places = cell_centers(3, 3.0)
    assert places[0].tolist() == [-2, 2]
    assert places[1].tolist() == [0, 2]
    assert places[-1].tolist() == [2, -2]
    assert torch.allclose(plane.coordinates(plane.latents(places)), places, atol=1e-4)


def test_the_picture_shows_cells_and_data_where_they_are() -> None:
    grey = [Image.new("L", (8, 8), 10 * number) for number in range(9)]
    places = np.array([[0.0, 2.0], [9.0, 9.0]])  # the second lies beyond the edge
    plane = DecodedPlane("a", grey, places, [False] * 8 + [True])
    sheet = planes_picture([plane], cells=3, reach=3.0, labels=[2, 1], class_names=["x", "y", "z"])
    bare = planes_picture([plane], cells=3, reach=3.0, dots=False)
    left, top, side = 34, 34, 600
    assert bare.getpixel((left + 20, top + 20)) == (0, 0, 0)
    assert bare.getpixel((left + side - 20, top + side - 20)) == (80, 80, 80)
    assert bare.getpixel((left + side // 2, top + 100)) == (10, 10, 10)
    assert sheet.getpixel((left + side // 2, top + 100)) == class_color(2)
    assert sheet.getpixel((left + 401, top + 401)) == (255, 127, 14)  # the frame of the hole
    assert bare.getpixel((left + 401, top + 401)) == (80, 80, 80)
    upper = (left, top, left + side, top + 390)
    changed = (np.asarray(sheet.crop(upper)) != np.asarray(bare.crop(upper))).any(axis=2)
    assert 20 < changed.sum() < 100  # one dot


def test_a_second_call_trains_nothing_and_one_that_failed_is_tried_again(
    whole: LatentsStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.path, tmp_path / "done")
    monkeypatch.setattr(study, "trained", _failing)
    assert run(tmp_path / "done").document["entries"] == whole.document["entries"]
    (tmp_path / "done" / "vae.json").unlink()
    again = run(tmp_path / "done")
    assert again.document["entries"][1]["error"] == "RuntimeError: no such luck"
    assert again.document["claims"] == []
    assert "VAE failed" in again.report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cells": 1}, "cells=1: give 2 to 64"),
        ({"reach": 0.0}, "reach=0"),
        ({"beta": -1.0}, "beta=-1"),
        ({"draws": 1}, "draws=1"),
        ({"dots": -1}, "dots=-1"),
        ({"latent_dim": 3}, "takes no latent_dim"),
    ],
)
def test_what_cannot_be_studied(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        run(tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_claims_hold_where_the_numbers_say_so() -> None:
    ae = {"key": "ae", "status": "done", "empty_mass": 0.4, "samples_to_data_mse": 0.2, "mse": 0.1, "snr_db": 3.0,
          "reconstructions_to_data_mse": 0.05}  # fmt: skip
    vae = {**ae, "key": "vae", "empty_mass": 0.1, "samples_to_data_mse": 0.1, "mse": 0.2, "by_chance": 0.05}
    assert [each["holds"] for each in claims([ae, vae])] == [True, True, True]
    swapped = [{**vae, "key": "ae"}, {**ae, "key": "vae", "by_chance": 0.05}]
    assert [each["holds"] for each in claims(swapped)] == [False, False, False]
    assert claims([ae]) == []


def test_a_vae_that_is_not_settled_is_named(whole: LatentsStudy, tmp_path: Path) -> None:
    vae = {"key": "vae", "status": "done", "inside": 0.5}
    told = not_settled([vae], 3.0)
    assert "50.0% lie within the plane, and 99.5% of samples" in told
    assert not_settled([{**vae, "inside": 0.95}], 3.0) == ""
    assert not_settled([{**vae, "inside": 0.5}], 1.0) == ""  # 46.6 % of samples lie within 1
    assert not_settled([{"key": "vae", "status": "failed"}], 3.0) == ""
    write_report({**whole.document, "note": told}, whole.path / "pictures", tmp_path / "report.html")
    assert "give more steps" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_report_needs_its_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'entries' is missing"):
        write_report({"data": {}}, tmp_path, tmp_path / "report.html")


def test_sounds_are_shown_as_spectrograms(tmp_path: Path) -> None:
    sounds = np.random.default_rng(0).normal(size=(80, 1, 512)).astype(np.float32).clip(-1, 1)
    source = load_source(sounds, kind="sound")
    found = run(tmp_path / "s", source, validation=0.4, steps=1, cells=2)
    assert all(each["status"] == "done" for each in found.document["entries"]), found.document["entries"]
    assert found.document["settings"]["downsampling"] == 64


def test_the_command_says_the_same(vq: Any) -> None:
    np.save("many.npy", np.random.default_rng(0).integers(0, 256, (100, 8, 8), dtype=np.uint8))
    words = ("--cells", 3, "--hidden-channels", 8, "--steps", 2, "--validation", 0.4, "--set", "draws=20")
    found = vq("study", "latents", "many.npy", "--out", "s", *words)
    assert found.status == 0, found.err
    assert "More samples of the autoencoder than of the VAE fall into holes." in found.out
    assert "plane_with_data.png" in found.out


def _failing(*arguments: Any, **named: Any) -> Any:
    raise RuntimeError("no such luck")

"""Figures: the numbers that are drawn, and files that a journal takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vqkit
from tests.results.cases import STEPS, evaluation, seeds, write_run
from vqkit.errors import ConfigError, DataError, MissingExtraError
from vqkit.results.figures.plot import panels_of
from vqkit.results.figures.series import averaged, label


def test_a_band_is_mean_and_deviation_over_seeds(tmp_path: Path) -> None:
    (panel,) = panels_of([*seeds(tmp_path), write_run(tmp_path / "fsq", model={"quantizer": "fsq"})])
    ema, fsq = panel.lines
    values = np.array([[10 + seed, 12 + seed**2, 13 + seed] for seed in range(3)], dtype=float)
    assert list(ema.xs) == list(STEPS)
    np.testing.assert_allclose(ema.ys, values.mean(axis=0), atol=1e-12)
    assert ema.deviations is not None
    np.testing.assert_allclose(ema.deviations, values.std(axis=0, ddof=1), atol=1e-12)
    assert fsq.deviations is None
    assert (ema.name, fsq.name) == ("EMA", "FSQ")
    assert (panel.x_label, panel.y_label) == ("Training step", "PSNR (dB, held out)")


def test_seeds_at_other_places_meet_where_all_reach() -> None:
    line = averaged("a", [{0: 0.0, 10: 10.0, 20: 20.0}, {5: 6.0, 15: 16.0}])
    assert list(line.xs) == [10.0]
    assert list(line.ys) == [pytest.approx(10.5)]


def test_measures_of_training_are_drawn_where_no_evaluation_has_them(tmp_path: Path) -> None:
    loss, usage = panels_of(seeds(tmp_path), measures=["loss", "usage"])
    assert (loss.y_label, usage.y_label) == ("Loss (training)", "Usage (%, held out)")
    assert list(loss.lines[0].ys) == [pytest.approx(1 / step) for step in STEPS]
    assert list(usage.lines[0].ys) == [75.0, 75.0, 75.0]


@pytest.mark.parametrize(("x", "places"), [("seconds", [1.0, 2.0, 3.0]), ("epoch", [2.0, 4.0, 6.0])])
def test_evaluations_lie_where_training_was(tmp_path: Path, x: str, places: list[float]) -> None:
    (panel,) = panels_of(write_run(tmp_path / "a"), x=x)
    assert list(panel.lines[0].xs) == pytest.approx(places)


def test_runs_that_go_on_have_curves(tmp_path: Path) -> None:
    (panel,) = panels_of(write_run(tmp_path / "a", finished=False))
    assert len(panel.lines[0].xs) == 3
    with pytest.raises(DataError, match="nothing to plot yet"):
        panels_of(write_run(tmp_path / "b", psnrs=(), finished=False))


def test_rate_distortion_joins_sizes_of_one_training(tmp_path: Path) -> None:
    for quantizer in ("ema", "fsq"):
        for size in (64, 16):
            for seed in (0, 1):
                rates = [{"unit": "bits per pixel", "entropy": size / 100 + seed / 1000}]
                final = evaluation(size / 10 + seed, rates=rates)
                model = {"quantizer": quantizer, "codebook_size": size}
                write_run(tmp_path / f"{quantizer}{size}{seed}", seed=seed, model=model, final=final)
    (panel,) = panels_of(tmp_path, kind="rate-distortion", log=True)
    assert [line.name for line in panel.lines] == ["EMA", "FSQ"]
    line = panel.lines[0]
    assert list(line.xs) == pytest.approx([0.1605, 0.6405])  # from left to right
    assert list(line.ys) == pytest.approx([2.1, 6.9])
    assert list(line.deviations or ()) == pytest.approx([0.5**0.5, 0.5**0.5])
    assert (panel.x_label, panel.y_label, panel.log_x) == ("Entropy (bits per pixel)", "PSNR (dB, held out)", True)


def rates(path: Path, model: str, curves: dict[str, list[tuple[float, float]]]) -> Path:
    document = {
        "data": {"name": "kodak", "description": "24 images", "images": 24},
        "model": {"name": model, "digest": model, "codebook_size": 64, "num_codebooks": 4},
        "settings": {},
        "curves": [
            {
                "name": name,
                "kind": "model" if name == "vqkit" else "codec",
                "varies": "codebooks" if name == "vqkit" else "quality",
                "points": [
                    {"codebooks" if name == "vqkit" else "value": number, "bits_per_pixel": bits, "psnr_db": psnr_db}
                    for number, (bits, psnr_db) in enumerate(points)
                ],
            }
            for name, points in curves.items()
        ],
    }
    path.mkdir()
    (path / "rate-distortion.json").write_text(json.dumps(document))
    return path


def test_several_studies_share_one_curve_of_each_codec(tmp_path: Path) -> None:
    jpeg = [(0.2, 25.0), (0.8, 31.0)]
    first = rates(tmp_path / "a", "small", {"vqkit": [(0.1, 24.0), (0.3, 27.0)], "JPEG": jpeg})
    second = rates(tmp_path / "b", "large", {"vqkit": [(0.1, 25.0), (0.3, 28.0)], "JPEG": jpeg})
    (panel,) = panels_of([first, second])
    assert [line.name for line in panel.lines] == ["small", "JPEG", "large"]
    assert list(panel.lines[2].ys) == [25.0, 28.0]
    sounds = tmp_path / "sounds.json"
    sounds.write_text((first / "rate-distortion.json").read_text().replace("bits_per_pixel", "kbps"))
    with pytest.raises(ConfigError, match=r"no rate in common.*plot them apart"):
        panels_of([first, sounds])


def test_a_comparison_has_a_curve_for_each_rung(tmp_path: Path) -> None:
    rung = {"status": "done", "latent_bits": 40.0, "latent_entropy_bits": None, "latent_float32_bits": 320.0}
    curve = [{"bits": 40.0, "psnr_db": 14.0, "mse": 0.04}, {"bits": 20.0, "psnr_db": 12.0, "mse": 0.06}]
    rungs = [{**rung, "key": key, "title": key, "psnr_db": 15.0, "rate_curve": curve} for key in ("pca", "vae")]
    document = {"data": {"name": "digits"}, "settings": {"seed": 0}, "rungs": rungs}
    (tmp_path / "compare.json").write_text(json.dumps(document))
    (panel,) = panels_of(tmp_path)
    assert [(line.name, list(line.xs), list(line.ys)) for line in panel.lines] == [
        ("PCA", [20.0, 40.0], [12.0, 14.0]),
        ("VAE", [20.0, 40.0], [12.0, 14.0]),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"measures": ["sim"]}, r"measure.*sim.*has logged none; it has .*ssim"),
        ({"kind": "pie"}, "curves or rate-distortion"),
        ({"x": "hours"}, "step, epoch, seconds"),
        ({"kind": "rate-distortion", "measures": ["stoi"]}, r"stoi.*it has .*psnr_db"),
    ],
)
def test_what_cannot_be_drawn_is_said(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        panels_of(write_run(tmp_path / "a"), **given)


def test_labels_have_units() -> None:
    assert (label("psnr_db"), label("my_error", "training")) == ("PSNR (dB)", "My error (training)")


def test_without_the_extra_a_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r'vqkit\[plot\]"$'):
        vqkit.plot_results(write_run(tmp_path / "a"), tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()


# --- with matplotlib


def test_files_are_vectors_with_fonts_and_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    from vqkit.results.figures.figure import is_figure, save

    figure = vqkit.plot_results(seeds(tmp_path / "runs"), tmp_path / "a.pdf", width=2)
    for ending in ("pdf", "svg", "png"):
        for name in "ab":
            save(figure, tmp_path / f"{name}.{ending}")
        first, second = ((tmp_path / f"{name}.{ending}").read_bytes() for name in "ab")
        assert first == second
        assert is_figure(first[:4096] + first[-65536:])
    assert b"/FontFile2" in (tmp_path / "a.pdf").read_bytes(), "TrueType in the file, no Type 3"
    assert b"/Type3" not in (tmp_path / "a.pdf").read_bytes()
    assert b"<image" not in (tmp_path / "a.svg").read_bytes()
    assert not is_figure(b"%PDF-1.4 my thesis")


def test_lines_differ_in_more_than_colour(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    runs = [write_run(tmp_path / str(size), model={"codebook_size": size}) for size in range(2, 10)]
    figure = vqkit.plot_results(runs, labels=[f"line {number}" for number in range(8)])
    lines = figure.axes[0].get_lines()
    assert len({(line.get_marker(), line.get_linestyle()) for line in lines}) == 8
    assert len({line.get_marker() for line in lines}) == 8
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [f"line {n}" for n in range(8)]
    with pytest.raises(ConfigError, match="1 for 8 lines"):
        vqkit.plot_results(runs, labels=["one"])
    with pytest.raises(ConfigError, match=r"width=0\.1"):
        vqkit.plot_results(runs, width=0.1)
    with pytest.raises(ConfigError, match=r"x\.jpg.*\.pdf, \.svg, \.png"):
        vqkit.plot_results(runs, tmp_path / "x.jpg")

"""Several seeds: means, deviations, claims within the noise, and studies that take more than one seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import vqkit
from tests.results.cases import check
from vqkit.errors import ConfigError
from vqkit.studies.beta.story import claims as beta_claims
from vqkit.studies.ladder.story import story
from vqkit.studies.latents.story import claims as latent_claims
from vqkit.studies.report import charts, page
from vqkit.studies.spread import (
    by_seed,
    check_seeds,
    compared,
    deviation,
    merged,
    never_falls,
    over_seeds,
    standard_error,
    verdict,
)

TINY: dict[str, Any] = {
    "steps": 2, "hidden_channels": 4, "residual_channels": 4, "code_dim": 4, "codebook_size": 4, "prior_steps": 1,
    "prior_channels": 8, "prior_layers": 1, "batch_size": 8, "samples": 16, "validation": 0.3, "features": "random",
}  # fmt: skip


def test_numbers_are_means_and_the_rest_is_of_the_first() -> None:
    entries = [
        {"a": 1, "same": 4, "in": {"b": 2.0}, "word": "x", "none": None, "yes": True},
        {"a": 3, "same": 4, "in": {"b": 5.0}, "word": "y", "none": 2.0, "yes": False},
        {"a": 5, "same": 4, "in": {"b": 8.0}, "word": "z", "none": 3.0, "yes": True},
    ]
    found = over_seeds(entries)
    assert (found["a"], found["same"], found["in"], found["word"], found["none"], found["yes"]) == (
        3, 4, {"b": 5.0}, "x", None, True,
    )  # fmt: skip
    assert found["spread"] == {
        "a": {"deviation": 2.0, "values": [1, 3, 5]},
        "in.b": {"deviation": 3.0, "values": [2, 5, 8]},
    }
    assert deviation(found, "in.b") == 3
    assert deviation(found, "same") is None
    assert standard_error(found, "a") == pytest.approx(2 / 3**0.5)
    assert entries[0]["in"] == {"b": 2.0}, "the entries stay as they were"
    assert "spread" not in over_seeds(entries[:1])


def test_entries_come_back_by_seed() -> None:
    entries = [{"a": 1.0, "in": {"b": 2.0}, "same": 4}, {"a": 3.0, "in": {"b": 5.0}, "same": 4}]
    assert by_seed(over_seeds(entries)) == entries
    assert by_seed(entries[0]) == entries[:1]


def test_a_seed_that_failed_is_not_counted() -> None:
    done = [{"status": "done", "a": value} for value in (1.0, 2.0, 4.0)]
    failed = {"status": "failed", "error": "no"}
    found = merged([done[0], failed, done[2]], [5, 6, 7])
    assert (found["a"], found["seeds"], found["notes"]) == (2.5, [5, 7], ["seed 6 failed and is not counted"])
    assert merged([failed, *done], [4, 5, 6, 7]) == failed


def over(*values: float, path: str = "a") -> dict[str, Any]:
    return over_seeds([{path: value} for value in values])


def test_what_rises_but_for_the_noise_rises() -> None:
    assert never_falls([over(1, 1.2), over(0.9, 1.2), over(5, 5.2)], "a") is True  # a step back within the noise
    assert never_falls([over(1, 1.2), over(0.2, 0.3), over(5, 5.2)], "a") is False
    assert never_falls([over(1, 2), over(1.2, 2.4)], "a") is None
    assert never_falls([over(0), over(0)], "a") is True
    assert compared(over(1, 2), over(9, 10), "a") is True
    assert compared(over(1, 2), over(9, 10), "a", margin=20) is False


def test_claims_of_beta_and_of_latents_know_noise() -> None:
    def vae(beta: float, *bits: float) -> dict[str, Any]:
        fixed = {"variant": "plain", "beta": beta, "status": "done", "latent_dim": 4, "active_units": 4}
        return over_seeds([{**fixed, "kl_bits": each, "mse": each, "snr_db": each} for each in bits])

    assert beta_claims([vae(1, 5, 9), vae(4, 4, 9)])[0]["holds"] is None
    assert beta_claims([vae(1, 8, 9), vae(4, 4, 5)])[0]["holds"] is True
    assert beta_claims([vae(1, 4, 5), vae(4, 8, 9)])[0]["holds"] is False

    def model(key: str, *empty: float) -> dict[str, Any]:
        fixed = {"key": key, "status": "done", "by_chance": 0.1, "snr_db": 1.0, "mse": 1.0}
        each = [
            {"empty_mass": value, "samples_to_data_mse": 1 + value, "reconstructions_to_data_mse": 1.0}
            for value in empty
        ]
        return over_seeds([{**fixed, **own} for own in each])

    assert [each["holds"] for each in latent_claims([model("ae", 0.5, 0.6), model("vae", 0.1, 0.2)])][:2] == [True] * 2
    assert [each["holds"] for each in latent_claims([model("ae", 0.5, 0.1), model("vae", 0.1, 0.4)])][:2] == [None] * 2


def test_lines_of_a_chart_have_bars() -> None:
    points, errors = [(2.0, 20.0), (1.0, 10.0), (3.0, 15.0)], [None, 5.0, 1.0]
    drawn = {"title": "t", "description": "d", "x_label": "x", "y_label": "y"}
    chart = str(charts.line_chart([charts.Series("a", points, errors=errors)], **drawn))
    assert chart.count('class="whisker"') == 2
    assert "a: 1, 10 ± 5" in chart
    assert "a: 2, 20<" in chart
    assert "whisker" not in str(charts.line_chart([charts.Series("a", points)], **drawn))


def test_a_difference_of_less_than_two_standard_errors_is_noise() -> None:
    assert verdict(1.9, 1.0) is None
    assert verdict(2.1, 1.0) is True
    assert verdict(-2.1, 1.0) is False
    assert verdict(1e-9, 0.0) is True


@pytest.mark.parametrize("seeds", [[1, 1], [-1], [0.5]])
def test_seeds_that_are_none(seeds: list[Any]) -> None:
    with pytest.raises(ConfigError):
        check_seeds(seeds, 0)


def test_the_story_knows_noise() -> None:
    def rung(key: str, samples: float, noise: float) -> dict[str, Any]:
        return {
            "key": key, "status": "done", "frechet_samples": samples, "frechet_noise": noise,
            "frechet_reconstructions": 1.0, "psnr_at_budget_db": 20.0,
        }  # fmt: skip

    def held(noise: float) -> list[bool | None]:
        return [each["holds"] for each in story([rung("ae", 10, noise), rung("vae", 9, noise)])]

    assert held(0.1) == [True, True]
    assert held(2.0) == [True, None]


def test_cells_show_their_deviation() -> None:
    text = page.table(
        [page.Column(title="a"), page.Column(title="b", percent=True, digits=1)], [["x", page.Measured(0.5, 0.01)]]
    )
    assert "50.0 ± 1.0" in text


def test_a_comparison_of_two_seeds_has_one_split(tmp_path: Path) -> None:
    digits = vqkit.load_source("digits").subset(range(120))
    alone = vqkit.compare(digits, tmp_path / "one", rungs=["pca", "vqvae"], quiet=True, **TINY)
    both = vqkit.compare(digits, tmp_path / "both", rungs=["pca", "vqvae"], seeds=[0, 1], quiet=True, **TINY)
    pca, vqvae = both.document["rungs"]
    assert both.document["seeds"] == [0, 1]
    assert vqvae["spread"]["psnr_db"]["values"][0] == alone.document["rungs"][1]["psnr_db"]
    assert len(set(vqvae["spread"]["psnr_db"]["values"])) == 2
    assert (deviation(pca, "psnr_db") or 0) < 1e-6, "PCA of the same items is the same"
    run = json.loads((tmp_path / "both/seeds/1/vqvae/run/run.json").read_text())
    assert (run["training"]["seed"], run["training"]["split_seed"]) == (1, 0)
    assert "±" in both.report.read_text(encoding="utf-8")
    again = vqkit.compare(digits, tmp_path / "one", rungs=["pca", "vqvae"], seeds=[0, 1], quiet=True, **TINY)
    assert again.document["rungs"][1]["spread"]["mse"] == vqvae["spread"]["mse"], "a seed can be added"


def test_a_study_of_codebooks_over_seeds(tmp_path: Path) -> None:
    digits = vqkit.load_source("digits").subset(range(80))
    result = vqkit.codebooks(
        digits, tmp_path / "study", seeds=[3, 4], sizes=[4], quantizers=["ema"], steps=2, hidden_channels=4,
        residual_channels=4, code_dim=4, downsampling=2, quiet=True, validation=0.3,
    )  # fmt: skip
    entry = result.document["entries"][0]
    assert len(entry["spread"]["mse"]["values"]) == 2
    assert "±" in result.report.read_text(encoding="utf-8")
    assert entry["seeds"] == [3, 4]
    assert "whisker" in result.report.read_text(encoding="utf-8")
    assert "--seeds 3,4" in result.document["command"]
    table = vqkit.result_table(result.path, columns=["seeds", "psnr_db"])
    assert [row[0] for row in table.rows] == ["2"]
    assert table.rows[0][1].deviation == pytest.approx(deviation(entry, "psnr_db"))  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["beta", "latents"])
def test_studies_of_latents_over_seeds(tmp_path: Path, name: str) -> None:
    digits = vqkit.load_source("digits").subset(range(120))
    small: dict[str, Any] = {"hidden_channels": 4, "residual_channels": 4, "batch_size": 8, "steps": 2, "quiet": True}
    if name == "beta":
        run: Any = vqkit.study_beta
        small |= {"betas": [1, 4], "remedies": [], "latent_dim": 2, "validation": 0.3}
    else:
        run = vqkit.study_latents
        small |= {"cells": 3, "draws": 8, "dots": 9, "validation": 0.3}
    alone = run(digits, tmp_path / "one", **small).document["entries"][-1]
    both = run(digits, tmp_path / "both", seeds=[0, 1], **small)
    check(name, both.document)
    entry = both.document["entries"][-1]
    assert entry["spread"]["mse"]["values"][0] == alone["mse"]
    assert len(set(entry["spread"]["mse"]["values"])) == 2
    recorded = json.loads((both.path / "seeds/1" / entry["key"] / "run/run.json").read_text())["training"]
    assert (recorded["seed"], recorded["split_seed"]) == (1, 0)
    words = both.report.read_text(encoding="utf-8")
    assert "means over seeds 0 and 1" in words
    assert "±" in words
    assert ("whisker" in words) is (name == "beta")
    table = vqkit.result_table(both.path, columns=["seeds", "mse"])
    assert [row[0] for row in table.rows] == ["2", "2"]
    again = run(digits, tmp_path / "one", seeds=[0, 1], **small)
    assert again.document["entries"][-1]["spread"]["mse"] == entry["spread"]["mse"], "a seed can be added"

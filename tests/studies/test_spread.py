"""Several seeds: means, deviations, claims within the noise, and studies that take more than one seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import vqkit
from vqkit.errors import ConfigError
from vqkit.studies.ladder.story import story
from vqkit.studies.report import page
from vqkit.studies.spread import check_seeds, deviation, over_seeds, standard_error, verdict

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

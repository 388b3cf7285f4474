"""Tables in a terminal of 80 columns: no word is cut, and what several seeds found stands below each number."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from tests.studies.test_report import result
from vqkit.cli.output.terminal import comparison_table, vectors_table


def lines(table: Any) -> list[str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_comparison_fits(seeds: int) -> None:
    document = result()
    if seeds > 1:
        for rung in document["rungs"]:
            names = ("psnr_db", "psnr_at_budget_db", "ssim", "frechet_reconstructions", "frechet_samples")
            rung["spread"] = {name: {"deviation": 1.234, "values": [1.0, 2.0, 3.0]} for name in names}
    shown = lines(comparison_table(document))
    assert max(map(len, shown)) <= 80
    rows = {row.split()[0]: row.split() for row in shown if row.split()}
    assert rows["Autoencoder"] == ["Autoencoder", "441", "19.00", "18.50", "0.800", "3.50", "12", "80", "81.0%"]
    assert rows["VQ-VAE"][0] == "VQ-VAE"
    deviations = [row.split() for row in shown if row.strip().startswith("±")]
    assert deviations == [["±", "1.23", "±", "1.23", "±", "1.234", "±", "1.2", "±", "1.2"]] * (4 if seeds > 1 else 0)


def test_a_comparison_of_vectors_fits() -> None:
    measured = {"status": "done", "nmse": 0.1234, "cosine": 0.9876, "recall_1": 0.5, "recall_10": 0.75,
                "recall_100": 0.999, "recall_decoded_10": 0.7, "collision_rate": 0.123,
                "vectors_per_second": 1_234_567}  # fmt: skip
    document = {"data": {"name": "embeddings.npy", "validation_items": 10_000, "train_items": 1_000_000},
                "rungs": [{"title": "RQ-VAE, 16 bytes", **measured}]}  # fmt: skip
    shown = lines(vectors_table(document))
    assert max(map(len, shown)) <= 80
    assert "RQ-VAE, 16 bytes" in shown[-1]
    assert shown[-1].split()[-1] == "1,234,567"

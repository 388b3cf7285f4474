"""Results of the studies of beta and of latents as tables for a terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def beta_table(document: dict[str, Any]) -> Table:
    """The entries of ``study beta``."""
    table = _table(document, ("VAE", "KL bits", "active units", "PSNR", "SNR", "bits per dim"))
    for entry in document["entries"]:
        if entry["status"] != "done":
            table.add_row(entry["title"], "failed")
            continue
        table.add_row(
            entry["title"],
            f"{entry['kl_bits']:,.1f}",
            f"{entry['active_units']} of {entry['latent_dim']}",
            _number(entry["psnr_db"], 2),
            _number(entry["snr_db"], 2),
            _number(entry["bits_per_dim"], 3),
        )
    return table


def latents_table(document: dict[str, Any]) -> Table:
    """The entries of ``study latents``."""
    table = _table(document, ("model", "samples into holes", "by chance", "sample to data", "PSNR", "SNR"))
    for entry in document["entries"]:
        if entry["status"] != "done":
            table.add_row(entry["title"], "failed")
            continue
        table.add_row(
            entry["title"],
            f"{entry['empty_mass']:.1%}",
            f"{entry['by_chance']:.1%}",
            f"{entry['samples_to_data_mse']:.4g}",
            _number(entry["psnr_db"], 2),
            _number(entry["snr_db"], 2),
        )
    return table


def _table(document: dict[str, Any], columns: tuple[str, ...]) -> Table:
    data = document["data"]
    table = Table(title=f"{data['name']}: error of {data['validation_items']:,} held-out items", title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=not place)
    return table


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"

"""Results of the studies of beta and of latents as tables for a terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from vqkit.studies.spread import with_deviation


def beta_table(document: dict[str, Any]) -> Table:
    """The entries of ``study beta``."""
    table = _table(document, ("VAE", "KL bits", "active units", "PSNR", "SNR", "bits per dim"))
    for entry in document["entries"]:
        if entry["status"] != "done":
            table.add_row(entry["title"], "failed")
            continue
        table.add_row(
            entry["title"],
            _number(entry, "kl_bits", 1),
            f"{_number(entry, 'active_units', 1) if 'spread' in entry else entry['active_units']} of "
            f"{entry['latent_dim']}",
            _number(entry, "psnr_db", 2),
            _number(entry, "snr_db", 2),
            _number(entry, "bits_per_dim", 3),
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
            with_deviation(f"{entry['empty_mass']:.1%}", entry, "empty_mass", "{:.1%}"),
            f"{entry['by_chance']:.1%}",
            with_deviation(f"{entry['samples_to_data_mse']:.4g}", entry, "samples_to_data_mse", "{:.2g}"),
            _number(entry, "psnr_db", 2),
            _number(entry, "snr_db", 2),
        )
    return table


def _table(document: dict[str, Any], columns: tuple[str, ...]) -> Table:
    data = document["data"]
    table = Table(title=f"{data['name']}: error of {data['validation_items']:,} held-out items", title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=not place)
    return table


def _number(entry: dict[str, Any], key: str, digits: int) -> str:
    """A number of an entry, with its deviation over seeds."""
    value = entry[key]
    template = f"{{:,.{digits}f}}"
    return "-" if value is None else with_deviation(template.format(value), entry, key, template)

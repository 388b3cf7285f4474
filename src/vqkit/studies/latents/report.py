"""The page of ``vqkit study latents``: latents.json and its pictures as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqkit.errors import DataError
from vqkit.storage import atomic
from vqkit.studies.report import charts, page
from vqkit.studies.report.markup import Html, join
from vqkit.studies.report.measured import measured
from vqkit.studies.report.page import Cell, Column, Section
from vqkit.studies.report.picture_block import picture
from vqkit.studies.spread import seeds_in_words

Entry = Mapping[str, Any]

_HOLES = {
    "empty_mass": Column(title="Samples into holes", percent=True, better="low", digits=1),
    "by_chance": Column(title="by chance", percent=True, digits=1),
    "empty_cells": Column(title="Empty cells", digits=0),
    "inside": Column(title="Items within the plane", percent=True, digits=1),
    "items": Column(title="Items", digits=0),
}
_ERROR = {
    "samples_to_data_mse": Column(title="Samples to the nearest item", unit="MSE, median", better="low"),
    "reconstructions_to_data_mse": Column(title="Reconstructions to the nearest item", unit="MSE, median"),
    "mse": Column(title="MSE", unit="squared", better="low"),
    "psnr_db": Column(title="PSNR", unit="dB", better="high", digits=2),
    "snr_db": Column(title="SNR", unit="dB", better="high", digits=2),
    "train_seconds": Column(title="Training", unit="s", digits=0),
}
_GLOSSARY = [
    (
        "Plane",
        "All pairs of two latent numbers, in the coordinates in which what is sampled is N(0, I): a VAE's latents as "
        "they are; an autoencoder's after the Gaussian that was fitted to the latents of the training items. So a "
        "place is equally likely to be sampled on both.",
    ),
    (
        "Samples into holes",
        "The probability that a sample within the plane falls into a cell that holds no training item's latents.",
    ),
    (
        "By chance",
        "The same, on average, if the items' latents were samples themselves: all holes come from the number of items.",
    ),
    (
        "Samples to the nearest item",
        "Samples are decoded, and each is compared with the nearest of the first training items; beside it the same "
        "for reconstructions of held-out items, which are as near as this model's pictures come.",
    ),
    ("MSE", "Mean squared error of reconstructions of held-out items."),
    ("PSNR", "The same error in decibels below the largest possible value; 3 dB more is half the error."),
    ("SNR", "The same error in decibels below the variance of the held-out values."),
]


def write_report(document: Mapping[str, Any], pictures: Path, out: Path) -> None:
    """Render the result of ``vqkit study latents`` as one page.

    Args:
        document: what latents.json holds.
        pictures: the folder of the pictures that ``document`` names.
        out: the HTML file.

    Raises:
        DataError: ``document`` lacks its data or its entries.
        OSError: ``out`` cannot be written.
    """
    for key in ("data", "entries"):
        if key not in document:
            raise DataError(f"no result of vqkit study latents: {key!r} is missing; give what latents.json holds")
    text = _render(document, pictures)
    atomic.write_file(
        out, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    )


def _render(document: Mapping[str, Any], pictures: Path) -> str:
    entries: Sequence[Entry] = document["entries"]
    names, settings = document.get("pictures") or {}, document.get("settings") or {}
    cells, noun = settings.get("cells", "-"), str(document["data"].get("noun", "items"))
    failed = [
        join(page.strong(f"{each['title']} failed: "), str(each.get("error")))
        for each in entries
        if each.get("status") != "done"
    ]
    with_data = (
        f"Each plane decoded at {cells} x {cells} places, with the latents of {noun} of the data drawn over it; a "
        "colour is a class, where the data have some. Framed: cells that hold no training item, among those where 95 % "
        "of all samples fall. Both on the axes of what is sampled, so a place is as likely to be sampled on the left "
        "as on the right."
    )
    alone = "The same planes without the data: look at what the places decode to that were empty above."
    sections = [
        Section(
            "At a glance",
            [
                picture(
                    pictures, names.get("plane_with_data"), "The planes with the data's latents", with_data, smooth=True
                ),
                *([page.paragraph(page.strong(str(document["note"])))] if document.get("note") else []),
                *_claims(document),
            ],
        ),
        Section("What the plane decodes to", [picture(pictures, names.get("plane"), "The planes", alone, smooth=True)]),
        Section("The numbers", [_table(entries, "Holes, training items", _HOLES), _table(entries, "Errors", _ERROR)]),
        Section("What went wrong", [page.bullets([*failed, *_notes(entries)])] if [*failed, *_notes(entries)] else []),
        Section("Glossary", [page.definitions(_GLOSSARY)]),
    ]
    title = f"{document['data'].get('name', 'data')}: the plane of two latent numbers"
    footer = f"vqkit {document.get('vqkit', '')}, {document.get('date', '')}, {document.get('machine', '')}"
    return page.document(title, _lead(document), [each for each in sections if any(each.blocks)], footer=footer)


def _notes(entries: Sequence[Entry]) -> list[str]:
    return [f"{each['title']}: {note}" for each in entries for note in each.get("notes") or ()]


def _lead(document: Mapping[str, Any]) -> list[Html]:
    data, settings = document["data"], document.get("settings") or {}
    blocks = [
        page.paragraph(
            "An autoencoder and a VAE with two latent numbers each: the same networks, the same batches, "
            f"{page.number(settings.get('steps'))} steps of {page.number(settings.get('batch_size'))} items ("
            f"{seeds_in_words(document)}); only the KL term (beta {settings.get('beta', 1):g}) and the noise on the "
            "latents differ. Nothing tells the autoencoder where to put its latents; the KL term asks the VAE to fill "
            "the plane as N(0, I) does."
        ),
        page.paragraph(str(data.get("description", "")), quiet=True),
    ]
    if document.get("command"):
        blocks += [page.paragraph("To repeat it:"), page.code(str(document["command"]))]
    return blocks


def _claims(document: Mapping[str, Any]) -> list[Html]:
    found = document.get("claims") or []
    return [page.claims((str(each["claim"]), each.get("holds"), str(each.get("numbers", ""))) for each in found)]


def _table(entries: Sequence[Entry], caption: str, columns: Mapping[str, Column]) -> Html:
    rows: list[list[Cell]] = [
        [join(charts.marker(str(each["key"])), str(each["title"])), *(measured(each, key) for key in columns)]
        for each in entries
    ]
    return page.table([Column(title="Model"), *columns.values()], rows, caption=caption)

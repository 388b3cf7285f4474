"""The page of ``vqkit study beta``: beta.json and its pictures as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from vqkit.errors import DataError
from vqkit.storage import atomic
from vqkit.studies.beta.settings import PLAIN, REMEDIES
from vqkit.studies.beta.story import collapse_in_words, collapsed
from vqkit.studies.play.blocks import beta_slider, script, style
from vqkit.studies.report import charts, page
from vqkit.studies.report.markup import Html, join
from vqkit.studies.report.measured import measured
from vqkit.studies.report.page import Cell, Column, Section
from vqkit.studies.report.picture_block import picture
from vqkit.studies.report.sheets import address, sheet_rows
from vqkit.studies.spread import deviation, seeds_in_words

Entry = Mapping[str, Any]

_COLUMNS = {
    "kl_bits": Column(title="Rate", unit="KL in bits an item", digits=1),
    "active_units": Column(title="Active units", digits=0),
    "mse": Column(title="MSE", unit="squared", better="low"),
    "psnr_db": Column(title="PSNR", unit="dB", better="high", digits=2),
    "snr_db": Column(title="SNR", unit="dB", better="high", digits=2),
    "ssim": Column(title="SSIM", better="high", digits=3),
    "rate_bits_per_dim": Column(title="Rate", unit="bits per dim", digits=3),
    "distortion_bits_per_dim": Column(title="Distortion", unit="bits per dim", digits=3),
    "bits_per_dim": Column(title="Total", unit="bits per dim", better="low", digits=3),
    "train_seconds": Column(title="Training", unit="s", digits=0),
}
_GLOSSARY = [
    (
        "Beta",
        "The weight of the KL term in the loss, -log p(x | z) + beta KL(q(z | x) || N(0, I)); 1 is the bound itself.",
    ),
    (
        "Rate",
        "KL(q(z | x) || N(0, I)) of the held-out items, in bits an item: what it costs to say which latents an item "
        "has.",
    ),
    (
        "Active unit",
        "A latent number whose posterior mean varies over the held-out items (variance above 0.01; Burda, Grosse and "
        "Salakhutdinov 2016).",
    ),
    (
        "Posterior collapse",
        "Latent numbers that are not active: their posterior is the prior for every item, so they cost no bits and "
        "tell the decoder nothing. Where all have collapsed the decoder gives one answer to everything.",
    ),
    (
        "Warm-up",
        "Beta rises from 0 to its value in the first steps (Bowman et al. 2016), so that latents come into use.",
    ),
    (
        "Free bits",
        "Each latent number may cost so many nats, on average over a batch, for nothing (Kingma et al. 2016): below "
        "that there is no pull towards the prior.",
    ),
    ("Total", "Rate and distortion: a bound on the bits of an item without any loss, divided by its number of values."),
    ("MSE", "Mean squared error of held-out items that are decoded from the posterior's mean."),
    ("PSNR", "The same error in decibels below the largest possible value; 3 dB more is half the error."),
    ("SNR", "The same error in decibels below the variance of the held-out values: 0 is what one answer to all gives."),
]


def write_report(document: Mapping[str, Any], pictures: Path, out: Path) -> None:
    """Render the result of ``vqkit study beta`` as one page.

    Args:
        document: what beta.json holds.
        pictures: the folder of the pictures that ``document`` names.
        out: the HTML file.

    Raises:
        DataError: ``document`` lacks its data or its entries.
        OSError: ``out`` cannot be written.
    """
    for key in ("data", "entries"):
        if key not in document:
            raise DataError(f"no result of vqkit study beta: {key!r} is missing; give what beta.json holds")
    text = _render(document, pictures)
    atomic.write_file(
        out, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    )


def _render(document: Mapping[str, Any], pictures: Path) -> str:
    entries: Sequence[Entry] = document["entries"]
    done = [each for each in entries if each.get("status") == "done"]
    names = document.get("pictures") or {}
    failed = [join(page.strong(f"{each['title']} failed: "), str(each.get("error"))) for each in entries
              if each.get("status") != "done"]  # fmt: skip
    captions = {
        "samples": "Samples: latents from N(0, I), decoded; the same draws in every row.",
        "reconstructions": "Held-out items in the first row; below, what each VAE makes of them.",
    }
    sections = [
        Section("At a glance", [*_named(done), *_slider(done, names, pictures), *_charts(done), *_claims(document)]),
        *(
            Section(key.capitalize(), [picture(pictures, names.get(key), captions[key], captions[key])])
            for key in captions
            if names.get(key)
        ),
        Section("Bits of each latent number", _each(done)),
        Section("The numbers", _tables(entries)),
        Section("What went wrong", [page.bullets([*failed, *_notes(entries)])] if [*failed, *_notes(entries)] else []),
        Section("Glossary", [page.definitions(_GLOSSARY)]),
    ]
    title = f"{document['data'].get('name', 'data')}: the VAE over the weight of its KL term"
    footer = f"vqkit {document.get('vqkit', '')}, {document.get('date', '')}, {document.get('machine', '')}"
    return page.document(
        title,
        _lead(document),
        [each for each in sections if any(each.blocks)],
        footer=footer,
        scripts=[script()],
        styles=[style()],
    )


def _notes(entries: Sequence[Entry]) -> list[str]:
    return [f"{each['title']}: {note}" for each in entries for note in each.get("notes") or ()]


def _lead(document: Mapping[str, Any]) -> list[Html]:
    data, settings = document["data"], document.get("settings") or {}
    blocks = [
        page.paragraph(
            "The same VAE, the same batches, "
            f"{page.number(settings.get('steps'))} steps of {page.number(settings.get('batch_size'))} items "
            f"({seeds_in_words(document)}); only beta, the weight of the KL term, differs, and the remedy against "
            f"posterior collapse. All is measured on the {page.number(data.get('validation_items'))} items held out."
        ),
        page.paragraph(str(data.get("description", "")), quiet=True),
    ]
    if document.get("command"):
        blocks += [page.paragraph("To repeat it:"), page.code(str(document["command"]))]
    return blocks


def _named(done: Sequence[Entry]) -> list[Html]:
    told = collapse_in_words(done)
    return [page.paragraph(page.strong(told))] if told else []


def _slider(done: Sequence[Entry], names: Mapping[str, str], pictures: Path) -> list[Html]:
    """What each weight restores and samples, out of the sheets of all; nothing where a sheet is missing."""
    rows: dict[str, dict[str, str]] = {}
    for part in ("samples", "reconstructions"):
        try:
            with Image.open(pictures / names.get(part, "")) as sheet:
                found = sheet_rows(sheet)
        except OSError:
            found = None
        if found is None:
            return []
        rows[part] = {row.caption: address(row.strips[0]) for row in found.rows if row.strips}
    entries = [
        {
            "variant": _variant(str(each["variant"])),
            "beta": each["beta"],
            "told": _told(each),
            "samples": rows["samples"][each["title"]],
            "reconstructions": rows["reconstructions"][each["title"]],
            "originals": rows["reconstructions"].get("original", ""),
        }
        for each in done
        if each["title"] in rows["samples"] and each["title"] in rows["reconstructions"]
    ]
    return beta_slider(entries)


def _told(entry: Entry) -> str:
    psnr = entry.get("psnr_db")
    error = f"SNR {entry['snr_db']:.2f} dB" if psnr is None else f"PSNR {psnr:.2f} dB"
    units = f"{entry['active_units']} of {entry['latent_dim']} latent numbers active"
    return f"{error}, {entry['kl_bits']:,.1f} bits an item, {units} ({_state(entry)})."


def _claims(document: Mapping[str, Any]) -> list[Html]:
    found = document.get("claims") or []
    return [page.claims((str(each["claim"]), each.get("holds"), str(each.get("numbers", ""))) for each in found)]


def _charts(done: Sequence[Entry]) -> list[Html]:
    level = "psnr_db" if done and all(each.get("psnr_db") is not None for each in done) else "snr_db"
    decibels = f"{level[:-3].upper()}, dB"
    blocks = [
        _chart(done, "beta", level, "Error over beta", decibels),
        _chart(done, "beta", "kl_bits", "Rate over beta", "KL, bits an item"),
        _chart(done, "beta", "active_units", "Active units over beta", "latent numbers that are active"),
        _chart(done, "kl_bits", level, "Error over rate", decibels),
    ]
    if any(each["beta"] == 0 for each in done):
        blocks.append(page.paragraph("Beta 0 has no place on a logarithmic axis; it is in the table.", quiet=True))
    return blocks


def _chart(done: Sequence[Entry], x: str, y: str, title: str, y_label: str) -> Html:
    placed = [each for each in done if each.get(y) is not None]
    series = [
        charts.Series(
            _variant(name),
            [(float(each[x]), float(each[y])) for each in placed if each["variant"] == name],
            errors=[deviation(each, y) for each in placed if each["variant"] == name],
        )
        for name in dict.fromkeys(str(each["variant"]) for each in done)
    ]
    over_beta = x == "beta"
    svg = charts.for_screens(
        charts.line_chart,
        series,
        title=title,
        description=f"A line for each of {', '.join(one.name for one in series)}.",
        x_label="beta (logarithmic)" if over_beta else "KL, bits an item",
        y_label=y_label,
        y_range=(0, max((float(each["latent_dim"]) for each in done), default=1)) if y == "active_units" else None,
        log_x=over_beta,
        x_ticks=sorted({float(each["beta"]) for each in done if each["beta"] > 0}) if over_beta else None,
        height=320,
    )
    return page.drawing(svg, label=title, caption=title)


def _variant(name: str) -> str:
    return "plain VAE" if name == PLAIN else f"with {REMEDIES.get(name, name)}"


def _each(done: Sequence[Entry]) -> list[Html]:
    """The bits of the latent numbers, from the most to the least expensive, of the plain VAE."""
    plain = [each for each in done if each["variant"] == PLAIN]
    if not plain:
        return []
    series = [
        charts.Series(
            f"beta {each['beta']:g}", [(place + 1.0, bits) for place, bits in enumerate(each["kl_bits_each"])]
        )
        for each in plain
    ]
    title = "Bits of each latent number"
    svg = charts.for_screens(
        charts.line_chart,
        series,
        title=title,
        description="For each beta the KL of each latent number, from the most to the least expensive.",
        x_label="latent number, by its bits",
        y_label="KL, bits an item",
        height=340,
    )
    told = (
        "From the most to the least expensive, of the plain VAE. A number at 0 bits has collapsed: whatever the item, "
        "its posterior is the prior."
    )
    return [page.paragraph(told), page.drawing(svg, label=title)]


def _tables(entries: Sequence[Entry]) -> list[Html]:
    blocks = []
    columns = [Column(title="Beta"), *_COLUMNS.values(), Column(title="Posterior")]
    for name in dict.fromkeys(str(each["variant"]) for each in entries):
        rows: list[list[Cell]] = [
            [f"{each['beta']:g}", *(measured(each, key) for key in _COLUMNS), _state(each)]
            for each in entries
            if each["variant"] == name
        ]
        blocks.append(page.table(columns, rows, caption=f"{_variant(name).capitalize()}, held-out items"))
    return blocks


def _state(entry: Entry) -> str:
    if entry.get("status") != "done":
        return "failed"
    lost, units = collapsed(entry), int(entry["latent_dim"])
    return "all active" if not lost else "collapsed" if lost == units else f"{lost} of {units} collapsed"

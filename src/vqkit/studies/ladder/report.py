"""The page of ``vqkit compare``: compare.json and its pictures as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqkit.errors import DataError
from vqkit.storage import atomic
from vqkit.studies.ladder.terms import TERMS
from vqkit.studies.play.blocks import chooser, playground, script, style
from vqkit.studies.play.making import read_play
from vqkit.studies.report import charts, page
from vqkit.studies.report.markup import Html, join
from vqkit.studies.report.measured import measured
from vqkit.studies.report.page import Cell, Column, Section
from vqkit.studies.report.picture_block import picture
from vqkit.studies.spread import deviation, seeds_in_words

Rung = Mapping[str, Any]

_WHY = {
    "pca": "The simplest encoder and decoder are one matrix and its transpose: nothing linear reconstructs better.",
    "ae": "Two networks bend where matrices cannot, so the same latents should carry more; but nothing keeps the "
    "latent space in order, and what is drawn from it need not decode to anything.",
    "vae": "A KL term keeps the latents near N(0, I), so that what is drawn from there should decode to something "
    "like the data; the price is blur.",
    "quantized": "A VAE with a grid of latents whose KL term is held at the bits of an index needs no training to have "
    "codes: the nearest of random draws from N(0, I) stands for each position. At the same bits a codebook that was "
    "learned together with its encoder should lose less.",
    "vqvae": "Each position of the latent grid is one code of a codebook, and a prior learned over the codes says "
    "which go together, so that samples should be as sharp as reconstructions.",
}
_CODED = ("quantized", "vqvae")
"""Rungs whose latents are indices."""
_NOT_EQUAL = 0.05  # a rung this far from the budget is named below the table

_MOST_SEEN = 4  # statements on what the eye sees

_RECONSTRUCTION = {
    "latent_bits": Column(title="Latent bits", unit="at < 0.1 dB", digits=0),
    "latent_float32_bits": Column(title="float32", unit="bits", digits=0),
    "mse": Column(title="MSE", unit="squared", better="low"),
    "psnr_db": Column(title="PSNR", unit="dB", better="high", digits=2),
    "psnr_at_budget_db": Column(title="PSNR at the budget", unit="dB", better="high", digits=2),
    "ssim": Column(title="SSIM", better="high", digits=3),
    "linear_probe_accuracy": Column(title="Probe accuracy", percent=True, better="high", digits=1),
}
_BITS_PER_DIM = [
    Column(title="Rung and prior"),
    Column(title="Rate", unit="bits per dim", digits=3),
    Column(title="Distortion", unit="bits per dim", digits=3),
    Column(title="Total", unit="bits per dim", better="low", digits=3),
    Column(title="How it is counted"),
]
_GENERATION = {
    "frechet_reconstructions": Column(title="Frechet, reconstructions", better="low"),
    "frechet_samples": Column(title="Frechet, samples", better="low"),
    "precision": Column(title="Precision", better="high", digits=3),
    "recall": Column(title="Recall", better="high", digits=3),
    "density": Column(title="Density", better="high", digits=3),
    "coverage": Column(title="Coverage", better="high", digits=3),
    "detail_reconstructions": Column(title="Fine detail, reconstructions", percent=True, digits=0),
    "detail_samples": Column(title="Fine detail, samples", percent=True, digits=0),
}
_COST = {
    "latent_shape": Column(title="Latents", unit="shape"),
    "latent_entropy_bits": Column(title="Entropy", unit="bits", digits=0),
    "prior_bits": Column(title="Prior", unit="bits", digits=0),
    "parameters": Column(title="Parameters", digits=0),
    "train_seconds": Column(title="Training", unit="s", better="low", digits=1),
    "encode_ms_per_item": Column(title="Encode", unit="ms an item", better="low"),
    "decode_ms_per_item": Column(title="Decode", unit="ms an item", better="low"),
    "sample_ms_per_item": Column(title="Sample", unit="ms an item", better="low"),
}


def write_report(document: Mapping[str, Any], pictures: Path, out: Path) -> None:
    """Render the result of ``vqkit compare`` as one page.

    Args:
        document: what compare.json holds.
        pictures: the folder of the pictures that ``document`` names; one that is missing or damaged is said to be so.
        out: the HTML file.

    Raises:
        DataError: ``document`` lacks its data or its rungs.
        OSError: ``out`` cannot be written.
    """
    for key in ("data", "rungs"):
        if key not in document:
            raise DataError(f"no result of vqkit compare: {key!r} is missing; give what compare.json holds")
    text = _render(document, pictures)
    atomic.write_file(
        out, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    )


def _render(document: Mapping[str, Any], pictures: Path) -> str:
    rungs: Sequence[Rung] = document["rungs"]
    done = [rung for rung in rungs if rung.get("status") == "done"]
    shared = document.get("pictures") or {}
    sections = [
        Section(
            "At a glance",
            [
                picture(
                    pictures, shared.get("four_rungs"), "The rungs beside each other", "The rungs on the same items."
                ),
                *_story(document.get("story") or []),
                *_eye(document.get("eye")),
            ],
        ),
        *_play(document, done, pictures.parent),
        Section("The numbers", _tables(rungs, document.get("budget_bits"))),
        Section("Error against bits", _rate_chart(done, document.get("budget_bits"))),
        Section("Frechet distances", _frechet_chart(done, document.get("features") or {})),
    ]
    sheets = [
        picture(pictures, shared.get("reconstructions"), "Held-out items and their reconstructions by each rung"),
        picture(pictures, shared.get("originals"), "Held-out items", "Held-out items, to judge the samples by."),
    ]
    if any(sheets):
        sections.append(Section("Reconstructions side by side", sheets))
    for number, rung in enumerate(rungs):
        blocks = _about(rung, pictures)
        key = str(rung.get("key"))
        sections.append(Section(_title(rung), blocks, charts.marker(key, number), part=key))
    players = [
        page.audio((pictures.parent / "sounds" / each["file"]).read_bytes(), label=str(each["name"]))
        for each in document.get("sounds") or []
        if (pictures.parent / "sounds" / each["file"]).is_file()
    ]
    if players:
        sections.insert(1, Section("Listen", [page.beside(*players)]))
    sections.append(Section("Glossary", [page.definitions(TERMS)]))
    name = str(document["data"].get("name", "data"))
    titles = _listed([str(rung.get("title", rung.get("key"))) for rung in rungs]) or "no rung"
    footer = f"vqkit {document.get('vqkit', '')}, {document.get('date', '')}"
    budget = page.number(document.get("budget_bits"))
    return page.document(
        f"{name}: {titles} at {budget} bits",
        [*_lead(document, rungs), chooser([(str(rung.get("key")), _title(rung)) for rung in rungs])],
        sections,
        footer=footer,
        scripts=[script()],
        styles=[style()],
    )


def _play(document: Mapping[str, Any], done: Sequence[Rung], folder: Path) -> list[Section]:
    """What can be played with, of the rungs whose folders hold it."""
    data = document["data"]
    found = [(str(rung.get("key")), _title(rung), read_play(folder / str(rung.get("key")))) for rung in done]
    blocks = playground(found, class_names=data.get("class_names"), noun=str(data.get("noun") or "items"))
    return [Section("Play with it", blocks)] if blocks else []


def _lead(document: Mapping[str, Any], rungs: Sequence[Rung]) -> list[Html]:
    data, budget, raw = document["data"], document.get("budget_bits"), document["data"].get("raw_bits")
    shape = " x ".join(str(part) for part in (data.get("channels", 1), *data.get("size", ())))
    fewer = f", {raw / budget:,.0f} times fewer than the {raw:,.0f} bits of the signal itself" if raw and budget else ""
    failed = [str(rung.get("title")) for rung in rungs if rung.get("status") != "done"]
    blocks = [
        page.paragraph(
            f"Each rung squeezes an item ({shape} values) into {page.number(budget)} bits{fewer}, and rebuilds it. "
            f"All learned from the same {page.number(data.get('train_items'))} items; the networks took "
            f"{page.number(document.get('steps'))} steps of {page.number(document.get('batch_size'))} items "
            f"({seeds_in_words(document)}). "
            f"All are judged on the same {page.number(data.get('validation_items'))} items held out."
        )
    ]
    if failed:
        blocks.append(
            page.paragraph(page.strong(f"{_listed(failed)} failed"), "; its section says why, the rest stands.")
        )
    if data.get("description"):
        blocks.append(page.paragraph(str(data["description"]), quiet=True))
    if document.get("command"):
        blocks += [page.paragraph("To repeat it:"), page.code(str(document["command"]))]
    return blocks


def _story(story: Sequence[Mapping[str, Any]]) -> list[Html]:
    if not story:
        return []
    held = sum(1 for part in story if part.get("holds"))
    return [
        page.heading(f"The story, and whether these numbers hold it up: {held} of {len(story)} claims"),
        page.claims((str(part["claim"]), part.get("holds"), str(part.get("numbers", ""))) for part in story),
    ]


def _eye(found: Sequence[Mapping[str, Any]] | None) -> list[Html]:
    """Where the pictures say another thing than the numbers; nothing for a result that has not looked."""
    if found is None:
        return []
    heading = page.heading("Where the eye does not agree with the numbers")
    if not found:
        return [heading, page.paragraph("Nowhere: rungs that the distances put close are also alike in fine detail.")]
    return [heading, page.bullets(f"{each['statement']} ({each['numbers']}.)" for each in found[:_MOST_SEEN])]


def _tables(rungs: Sequence[Rung], budget: float | None) -> list[Html]:
    unequal = [
        f"{rung['title']} {rung['latent_bits'] / budget:.2f} times the budget"
        for rung in rungs
        if budget and rung.get("latent_bits") and abs(rung["latent_bits"] / budget - 1) > _NOT_EQUAL
    ]
    words = Html('<a href="#glossary">glossary</a>')
    blocks = [
        page.paragraph(
            "Bold: the best of its column; ↓ lower is better, ↑ higher is better. See the ", words, ".", quiet=True
        ),
        _table(rungs, "Reconstruction", _RECONSTRUCTION),
    ]
    if unequal:
        note = f"Not at equal bits: {_listed(unequal)}. Compare these by their PSNR at the budget."
        blocks.append(page.paragraph(page.strong(note)))
    bits_per_dim = [(str(rung.get("key")), row) for number, rung in enumerate(rungs)
                    for row in _bits_per_dim(rung, number)]  # fmt: skip
    caption = "Bits per dimension: rate + distortion = total"
    rows = [row for _, row in bits_per_dim]
    blocks.append(page.table(_BITS_PER_DIM, rows, caption=caption, parts=[part for part, _ in bits_per_dim]))
    return [*blocks, _table(rungs, "Generation", _GENERATION), _table(rungs, "Latents, size and time", _COST)]


def _table(rungs: Sequence[Rung], caption: str, columns: Mapping[str, Column]) -> Html:
    rows = [
        [_named(rung, number), *(measured(rung, key, _cell) for key in columns)] for number, rung in enumerate(rungs)
    ]
    parts = [str(rung.get("key")) for rung in rungs]
    return page.table([Column(title="Rung"), *columns.values()], rows, caption=caption, parts=parts)


def _bits_per_dim(rung: Rung, number: int) -> list[list[Cell]]:
    """The rows of one rung: its own prior, a learned one, other bounds."""
    first, learned = rung.get("bits_per_dim") or {}, rung.get("bits_per_dim_learned_prior")
    name, keys = _named(rung, number), ("rate", "distortion", "total", "how")
    uniform = join(name, ", uniform prior") if learned and rung.get("key") in _CODED else name
    rows: list[list[Cell]] = [[uniform, *(first.get(key) for key in keys)]]
    if learned:
        rows.append([join(name, ", learned prior"), *(learned.get(key) for key in keys)])
    others = rung.get("other_bounds") or {}
    return rows + [[join(name, f", {bound}"), None, None, total, None] for bound, total in others.items()]


def _rate_chart(rungs: Sequence[Rung], budget: float | None) -> list[Html]:
    series, rows = [], []
    for number, rung in enumerate(rungs):
        curve = [point for point in rung.get("rate_curve") or [] if point.get("psnr_db") is not None]
        series.append(charts.Series(_title(rung), [(p["bits"], p["psnr_db"]) for p in curve], str(rung.get("key"))))
        rows += [[_named(rung, number), p["bits"], p["psnr_db"], p.get("mse")] for p in curve]
    series = [one for one in series if one.points]
    svg = charts.for_screens(
        charts.line_chart,
        series,
        title="PSNR against latent bits an item",
        description=f"Quality of {_listed([one.name for one in series])} as their latents get more bits.",
        x_label="latent bits an item (logarithmic)",
        y_label="PSNR, dB",
        log_x=True,
        at_x={f"budget, {budget:,.0f} bits": budget} if budget else None,
    )
    columns = [Column(title="Rung"), Column(title="Latent bits", digits=1), Column(title="PSNR", unit="dB", digits=2)]
    return [
        page.paragraph(
            "Up and to the left is better. A continuous rung gives a line, its latents quantised coarser and coarser; "
            "a VQ-VAE gives a point for each way to count its codes."
        ),
        page.drawing(svg, label="PSNR against latent bits"),
        page.details("The points as numbers", page.table([*columns, Column(title="MSE")], rows, caption="Points")),
    ]


def _frechet_chart(rungs: Sequence[Rung], features: Mapping[str, Any]) -> list[Html]:
    kinds = ("reconstructions", "samples")
    svg = charts.for_screens(
        charts.bar_chart,
        [
            charts.Bars(
                _title(rung),
                [rung.get(f"frechet_{kind}") for kind in kinds],
                str(rung.get("key")),
                [deviation(rung, f"frechet_{kind}") for kind in kinds],
            )
            for rung in rungs
        ],
        kinds,
        title="Frechet distance of reconstructions and of samples",
        description=f"Two bars for each of {_listed([_title(rung) for rung in rungs])}; shorter is better.",
        x_label="Frechet distance to held-out items",
    )
    source = f"Features: {features.get('frechet', '-')}, {page.number(features.get('dimension'))} numbers an item."
    if (floor := features.get("floor")) is not None:
        source += f" Two halves of the real held-out items lie {floor:.3g} apart: nothing can be told below that."
    noise = [f"{_title(rung)} {rung['frechet_noise']:.2g}" for rung in rungs if rung.get("frechet_noise") is not None]
    if noise:
        source += f" Samples drawn anew move their distance by (one deviation): {_listed(noise)}."
    return [
        page.paragraph(
            "Shorter is better. A rung that generates as well as it reconstructs has two bars of one length. Where the "
            "bar of the samples is much longer, what is drawn from the latent space decodes to something else."
        ),
        page.drawing(svg, label="Frechet distances"),
        page.paragraph(source, quiet=True),
    ]


def _about(rung: Rung, pictures: Path) -> list[Html]:
    """The section of one rung."""
    key, title, names = str(rung.get("key")), str(rung.get("title")), rung.get("pictures") or {}
    blocks = [page.paragraph(_WHY[key])] if key in _WHY else []
    if rung.get("status") != "done":
        blocks.append(page.paragraph(page.strong("This rung failed; the others stand."), " What it said:"))
        blocks.append(page.code(str(rung.get("error") or "nothing")))
    if facts := _facts(rung):
        blocks.append(page.paragraph(facts))
    if key in _CODED:
        does = (
            "What a code does: a grid filled with it, decoded; the most used codes first. Below each its number and "
            "how often it occurs in the held-out items."
        )
    else:
        does = (
            "What a latent number does: a row for each of those that vary most; columns: that number from 3 standard "
            "deviations below its mean to 3 above, all others at their means."
        )
    shown = {
        "samples": "Samples, none left out: latents drawn from the prior and decoded.",
        "latent_map": "A dot for each held-out item: its latents along the two directions in which they vary most.",
        "interpolations": "A row for each pair of held-out items: the first, the straight line from its latents to "
        "those of the second (columns: how far along), decoded, and the second.",
        "traversals": does,
    }
    samples, plane, between, moved = (
        picture(pictures, names.get(kind), f"{title}: {kind.replace('_', ' ')}", caption, smooth=kind == "latent_map")
        for kind, caption in shown.items()
    )
    notes = page.bullets(str(note) for note in rung.get("notes") or [])
    return [*blocks, page.beside(samples, plane), between, moved, notes]


def _facts(rung: Rung) -> str:
    """Size, timings and use of the latents in sentences; what is not there is left out."""
    said = [
        ("latent_numbers", "{:,.0f} latent numbers an item."),
        ("parameters", "{:,.0f} parameters."),
        ("train_seconds", "Trained in {:,.1f} s."),
        ("encode_ms_per_item", "Encoding takes {:,.3g} ms an item."),
        ("decode_ms_per_item", "Decoding takes {:,.3g} ms an item."),
        ("sample_ms_per_item", "Sampling takes {:,.3g} ms an item."),
        ("usage", "{:.1%} of the codebook is used."),
        ("perplexity", "Perplexity {:,.1f}."),
        ("active_units", "{:,.0f} latent dimensions are active."),
    ]
    return " ".join(words.format(rung[key]) for key, words in said if rung.get(key) is not None)


def _title(rung: Rung) -> str:
    return f"{rung.get('title', rung.get('key'))}{'' if rung.get('status') == 'done' else ' (failed)'}"


def _named(rung: Rung, number: int) -> Html:
    return join(charts.marker(str(rung.get("key")), number), _title(rung))


def _cell(value: Any) -> Cell:
    return " x ".join(str(part) for part in value) if isinstance(value, list | tuple) else value


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

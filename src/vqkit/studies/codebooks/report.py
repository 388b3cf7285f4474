"""The page of ``vqkit study codebooks``: codebooks.json and its picture as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqkit.errors import DataError
from vqkit.storage import atomic
from vqkit.studies.codebooks.collapse import collapse_in_words
from vqkit.studies.report import charts, page
from vqkit.studies.report.markup import Html, join
from vqkit.studies.report.measured import measured
from vqkit.studies.report.page import Column, Section
from vqkit.studies.spread import by_seed, deviation, over_seeds, seeds_in_words
from vqkit.studies.standard import in_words

Entry = Mapping[str, Any]

_QUALITY = {
    "bits_per_position": Column(title="Nominal", unit="bits a position", digits=2),
    "entropy_bits_per_position": Column(title="Entropy", unit="bits a position", digits=2),
    "mse": Column(title="MSE", unit="squared", better="low"),
    "psnr_db": Column(title="PSNR", unit="dB", better="high", digits=2),
    "snr_db": Column(title="SNR", unit="dB", better="high", digits=2),
    "ssim": Column(title="SSIM", better="high", digits=3),
}
_USE = {
    "usage_all": Column(title="Usage, whole data", percent=True, better="high", digits=1),
    "perplexity_all": Column(title="Perplexity, whole data", unit="codes", digits=0),
    "entropy_bits_per_position_all": Column(title="Entropy, whole data", unit="bits a position", digits=2),
    "positions_all": Column(title="Positions, whole data", digits=0),
    "usage": Column(title="Usage, held out", percent=True, digits=1),
    "perplexity": Column(title="Perplexity, held out", unit="codes", digits=0),
    "positions": Column(title="Positions, held out", digits=0),
    "restarts": Column(title="Restarts", unit="codes moved", digits=0),
    "signals_per_second": Column(title="Training", unit="signals/s", better="high", digits=0),
    "train_seconds": Column(title="Training", unit="s", digits=0),
}
_GLOSSARY = [
    ("Codes", "The codewords that a position can be given, K; several codebooks together name as many."),
    ("Nominal bits", "log2 K for each position: what an index costs when every code is taken to be equally likely."),
    ("Entropy bits", "What it costs when each code is coded by how often it occurs in the held-out items."),
    ("Usage", "The fraction of all codes that occur at least once in the stated set; never counted over one batch."),
    (
        "Perplexity",
        "How many codes are in use, counted as if all were used equally often; of several codebooks, in each.",
    ),
    (
        "Whole data",
        "Training and held-out items together, in a random order (of images that are trained in crops: random crops "
        "of that size), up to the number of positions that is given: a large codebook cannot all occur in a small "
        "held-out set.",
    ),
    ("MSE", "Mean squared error over all values of the held-out items."),
    ("PSNR", "The same error in decibels below the largest possible value; 3 dB more is half the error."),
    ("SNR", "The same error in decibels below the variance of the held-out values."),
    ("SSIM", "Structural similarity: 1 when every small window of the picture has the same mean, contrast, pattern."),
    ("Restart", "A code that was hardly used, moved to a latent of late."),
    (
        "Codebook collapse",
        "Most codes are never chosen. A code learns from the latents that choose it, so one that no latent is nearest "
        "to stays where it is, for ever; restarts (restart_below) move it to where latents are.",
    ),
]


def write_report(document: Mapping[str, Any], pictures: Path, out: Path) -> None:
    """Render the result of ``vqkit study codebooks`` as one page.

    Args:
        document: what codebooks.json holds.
        pictures: the folder of the pictures that ``document`` names.
        out: the HTML file.

    Raises:
        DataError: ``document`` lacks its data or its entries.
        OSError: ``out`` cannot be written.
    """
    for key in ("data", "entries"):
        if key not in document:
            raise DataError(f"no result of vqkit study codebooks: {key!r} is missing; give what codebooks.json holds")
    text = _render(document, pictures)
    atomic.write_file(
        out, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    )


def _render(document: Mapping[str, Any], pictures: Path) -> str:
    entries: Sequence[Entry] = document["entries"]
    names = list(dict.fromkeys(str(each["name"]) for each in entries))
    done = [each for each in entries if each.get("status") == "done"]
    sections = [
        Section("At a glance", [*_named(done), *_charts(names, done), *_claims(document)]),
        Section("The numbers", _tables(entries)),
        Section("While they train", _curves(names, done)),
        Section("Pictures", _pictures(document, pictures)),
        Section("What went wrong", _troubles(entries)),
        Section("Glossary", [page.definitions(_GLOSSARY)]),
    ]
    data = document["data"]
    title = f"{data.get('name', 'data')}: {len(names)} quantizer{'s' * (len(names) != 1)} over the size of the codebook"
    footer = f"vqkit {document.get('vqkit', '')}, {document.get('date', '')}, {document.get('machine', '')}"
    return page.document(title, _lead(document), [each for each in sections if any(each.blocks)], footer=footer)


def _lead(document: Mapping[str, Any]) -> list[Html]:
    data, settings = document["data"], document.get("settings") or {}
    blocks = [
        page.paragraph(
            "The same encoder and decoder, the same batches, "
            f"{page.number(settings.get('steps'))} steps of {page.number(settings.get('batch_size'))} signals ("
            f"{seeds_in_words(document)}); only the quantizer differs. The error is that of the "
            f"{page.number(data.get('validation_items'))} items held out."
        ),
        page.paragraph(str(data.get("description", "")), quiet=True),
    ]
    known = [each for each in document["entries"] if each.get("differs") is not None]
    if known:
        blocks.append(page.paragraph(in_words(known[0]["differs"], "of this study"), quiet=True))
    if document.get("command"):
        blocks += [page.paragraph("To repeat it:"), page.code(str(document["command"]))]
    return blocks


def _named(done: Sequence[Entry]) -> list[Html]:
    told = collapse_in_words(done)
    return [page.paragraph(page.strong(told))] if told else []


def _claims(document: Mapping[str, Any]) -> list[Html]:
    found = document.get("claims") or []
    if not found:
        return []
    return [page.claims((str(each["claim"]), each.get("holds"), str(each.get("numbers", ""))) for each in found)]


def _level(entries: Sequence[Entry]) -> tuple[str, str]:
    """PSNR where all have it, else SNR."""
    there = all(each.get("psnr_db") is not None for each in entries)
    return ("psnr_db", "PSNR of held-out items, dB") if there else ("snr_db", "SNR of held-out items, dB")


def _charts(names: Sequence[str], done: Sequence[Entry]) -> list[Html]:
    key, label = _level(done)
    usage = {"usage_all": ("Usage over the size of the codebook", "codes used in the whole data, %", 100.0)}
    blocks = [_chart(names, done, key, "Error over the size of the codebook", label, 1.0)]
    blocks += [_chart(names, done, field, *told) for field, told in usage.items()]
    blocks.append(
        _chart(
            names,
            [over_seeds([_with_evenness(one) for one in by_seed(each)]) for each in done],
            "evenness",
            "Evenness of use over the size of the codebook",
            "perplexity over the number of codes, %",
            100.0,
        )
    )
    return blocks


def _with_evenness(entry: Entry) -> dict[str, Any]:
    return {**entry, "evenness": entry["perplexity_all"] / _codes_each(entry)}


def _codes_each(entry: Entry) -> float:
    """Codes of one codebook: perplexity is of one, the bits are of all."""
    return max(float(entry.get("codes_each") or entry["codebook_size"]), 1.0)


def _chart(names: Sequence[str], done: Sequence[Entry], key: str, title: str, y_label: str, scale: float) -> Html:
    series = [
        charts.Series(
            name,
            [
                (float(each["codebook_size"]), scale * each[key])
                for each in done
                if each["name"] == name and each.get(key) is not None
            ],
            errors=[
                None if (error := deviation(each, key)) is None else scale * error
                for each in done
                if each["name"] == name and each.get(key) is not None
            ],
        )
        for name in names
    ]
    svg = charts.for_screens(
        charts.line_chart,
        series,
        title=title,
        description=f"A line for each of {', '.join(names)}; up is better.",
        x_label="codes (logarithmic)",
        y_label=y_label,
        log_x=True,
        x_ticks=sorted({float(each["codebook_size"]) for each in done}),
        y_range=(0, 100) if y_label.endswith("%") else None,
    )
    return page.drawing(svg, label=title, caption=title)


def _tables(entries: Sequence[Entry]) -> list[Html]:
    """One size after the other, so that what is compared has the same bits."""
    blocks: list[Html] = []
    sizes = sorted({int(each["codebook_size"]) for each in entries})
    names = list(dict.fromkeys(str(each["name"]) for each in entries))
    for size in sizes:
        rows = [each for each in entries if each["codebook_size"] == size]
        blocks.append(page.heading(f"{size:,} codes"))
        for caption, columns in (("Bits and error, held-out items", _QUALITY), ("How the codes are used", _USE)):
            cells = [
                [
                    join(charts.marker("", names.index(str(each["name"]))), str(each["name"])),
                    *(measured(each, key) for key in columns),
                ]
                for each in rows
            ]
            blocks.append(page.table([Column(title="Quantizer"), *columns.values()], cells, caption=caption))
    return blocks


def _curves(names: Sequence[str], done: Sequence[Entry]) -> list[Html]:
    blocks = []
    for size in sorted({int(each["codebook_size"]) for each in done}):
        series = []
        for name in names:
            lines = [
                line
                for each in done
                if each["name"] == name and each["codebook_size"] == size
                for line in each.get("curve") or []
            ]
            points = [(float(line["step"]), 100 * line["usage"]) for line in lines if line.get("usage") is not None]
            series.append(charts.Series(name, points))
        if not any(one.points for one in series):
            continue
        svg = charts.for_screens(
            charts.line_chart,
            series,
            title=f"Usage while training, {size:,} codes",
            description="Usage over a sliding set of the latest indices, ten for each code, at each line of the log.",
            x_label="step",
            y_label="codes used lately, %",
            y_range=(0, 100),
            height=300,
        )
        blocks.append(page.drawing(svg, label=f"Usage while training, {size:,} codes", caption=f"{size:,} codes"))
    if blocks:
        blocks.insert(0, page.paragraph("Usage over a sliding set of the latest training indices, ten for each code."))
    return blocks


def _pictures(document: Mapping[str, Any], folder: Path) -> list[Html]:
    name = (document.get("pictures") or {}).get("reconstructions")
    if not name or not (folder / name).is_file():
        return []
    try:
        return [page.figure((folder / name).read_bytes(), alt="Held-out items and their reconstructions")]
    except DataError as error:
        return [page.paragraph(str(error))]


def _troubles(entries: Sequence[Entry]) -> list[Html]:
    failed = [
        join(page.strong(f"{each['name']}, {each['codebook_size']:,} codes failed: "), str(each.get("error")))
        for each in entries
        if each.get("status") != "done"
    ]
    warned = [
        f"{each['name']}, {each['codebook_size']:,} codes, {sentence}"
        for each in entries
        for sentence in each.get("warnings") or []
    ]
    return [block for block in (page.bullets(failed), page.bullets(warned)) if block]

"""The report of a probe study: one page that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqkit.errors import DataError
from vqkit.storage import atomic
from vqkit.studies.report import charts, page
from vqkit.studies.report.markup import Html
from vqkit.studies.report.page import Cell, Column, Section

Entry = Mapping[str, Any]
_SHOWN_CODES = 60
_GLOSSARY = [
    (
        "Indices",
        "What a quantizer chose at each position. A linear probe reads how often each code occurs in each part of an "
        "item (averages of one-hot vectors).",
    ),
    ("Quantized", "The codewords of these indices, which the decoder reads; averaged in each part."),
    ("Latents", "What the encoder emits: real vectors, of a VQ-VAE those before quantization; averaged in each part."),
    (
        "Linear probe",
        "Multinomial logistic regression of labels, fitted to training items and judged on held-out ones; its penalty "
        "is the one of four that does best on a fifth of the training items.",
    ),
    (
        "Mapping",
        "Each code stands for its most probable label among the training positions, where every position has the "
        "label of its item; an item gets the label that most of its positions stand for.",
    ),
    ("Chance", "Always saying the most frequent training label."),
    (
        "Share kept",
        "(accuracy from indices - chance) / (accuracy from latents - chance), both of linear probes of the same parts.",
    ),
    (
        "Mutual information",
        "Bits that a code tells of the label of its item, at a position; what permuted labels seem to tell is off.",
    ),
]


def write_report(document: Mapping[str, Any], pictures: Path, out: Path) -> None:
    """Render the result of ``vqkit probe`` as one page.

    Args:
        document: what probe.json holds.
        pictures: the folder of the pictures that ``document`` names.
        out: the HTML file.

    Raises:
        DataError: ``document`` lacks its data or its label sets.
        OSError: ``out`` cannot be written.
    """
    for key in ("data", "label_sets"):
        if key not in document:
            raise DataError(f"no result of vqkit probe: {key!r} is missing; give what probe.json holds")
    text = _render(document, pictures)
    atomic.write_file(
        out, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    )


def title(row: Entry, axes: int) -> str:
    """A probe in words: "latents of vqvae, 8 parts"."""
    of = str(row["representation"]) + (f" of {row['model']}" if row["model"] else "")
    if row["probe"] == "mapping":
        return f"{of}, mapping"
    parts = int(row["parts"])
    if parts == 0 and not row["model"]:
        return of
    return f"{of}, {'the only vector' if parts == 0 else 'whole item' if parts == 1 else words_of_parts(parts, axes)}"


def words_of_parts(parts: int, axes: int) -> str:
    """ "8 parts", "4 x 4 parts"."""
    return f"{' x '.join([str(parts)] * max(axes, 1))} parts"


def _render(document: Mapping[str, Any], pictures: Path) -> str:
    sets: Sequence[Entry] = document["label_sets"]
    sections = [
        Section("At a glance", [*_claims(document), *_chart(document), *_kept(document)]),
        *(Section(f"Probes for {each['name']}", _probes(each, document)) for each in sets),
        Section("Codes and labels", [block for each in sets for block in _tables(each, pictures)]),
        Section("How it was measured", _method(document)),
        Section("Glossary", [page.definitions(_GLOSSARY)]),
    ]
    data = document["data"]
    names = " and ".join(str(each["name"]) for each in sets)
    footer = f"vqkit {document.get('vqkit', '')}, {document.get('date', '')}, {document.get('machine', '')}"
    heading = f"{data.get('name', 'data')}: what can be told of {names}"
    return page.document(heading, _lead(document), [each for each in sections if any(each.blocks)], footer=footer)


def _lead(document: Mapping[str, Any]) -> list[Html]:
    data = document["data"]
    blocks = [
        page.paragraph(
            f"Probes are fitted to {page.number(data.get('training_items'))} items and judged on "
            f"{page.number(data.get('test_items'))} others. They read the indices that a quantizer chose, its "
            "codewords, continuous latents, or simple features of the signals themselves."
        ),
        page.paragraph(str(data.get("description", "")), quiet=True),
    ]
    if document.get("command"):
        blocks += [page.paragraph("To repeat it:"), page.code(str(document["command"]))]
    return blocks


def _claims(document: Mapping[str, Any]) -> list[Html]:
    return [page.claims((each["claim"], each["holds"], each["numbers"]) for each in document.get("claims") or [])]


def _chart(document: Mapping[str, Any]) -> list[Html]:
    """Accuracies of the probes at most parts, the sets of labels beside each other."""
    sets: Sequence[Entry] = document["label_sets"]
    axes = int(document.get("axes", 1))
    finest: dict[tuple[str, str, str], Entry] = {}
    for row in sets[0]["probes"]:
        key = (row["model"], row["representation"], row["probe"])
        if key not in finest or row["parts"] >= finest[key]["parts"]:
            finest[key] = row
    groups = [charts.Bars("chance", [100 * each["majority"]["accuracy"] for each in sets])]
    for row in finest.values():
        same = ("model", "representation", "probe", "parts")
        values = [
            next((100 * one["accuracy"] for one in each["probes"] if all(one[key] == row[key] for key in same)), None)
            for each in sets
        ]
        groups.append(charts.Bars(title(row, axes), values))
    names = [str(each["name"]) for each in sets]
    drawn = charts.for_screens(
        charts.bar_chart,
        groups,
        names,
        title="Accuracy of probes",
        description=f"For {' and '.join(names)}: the accuracy of each probe on held-out items.",
        x_label="accuracy, %",
        x_range=(0, 100),
    )
    return [page.drawing(drawn, label="Accuracy of probes", caption="Accuracy on held-out items")]


def _kept(document: Mapping[str, Any]) -> list[Html]:
    entries: Sequence[Entry] = document.get("kept") or []
    if not entries:
        return []
    names = [str(each["name"]) for each in document["label_sets"]]
    columns = [Column(title="Indices, beside latents"), *(Column(title=name, percent=True, digits=1) for name in names)]
    columns += [Column(title=f"{names[0]} - {name}", unit="points") for name in names[1:]]
    rows: list[list[Cell]] = []
    for each in entries:
        row: list[Cell] = [
            f"{each['indices_of']}, beside {each['latents_of']}",
            *(each["shares"][name] for name in names),
        ]
        row += [_difference(each["differences"].get(name)) for name in names[1:]]
        rows.append(row)
    caption = "Share kept: of what continuous latents tell above chance, what indices tell"
    return [page.table(columns, rows, caption=caption)]


def _difference(found: Entry | None) -> str:
    if found is None:
        return "-"
    low, high = found["interval"]
    return f"{100 * found['difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _probes(entry: Entry, document: Mapping[str, Any]) -> list[Html]:
    axes = int(document.get("axes", 1))
    columns = [
        Column(title="Probe"),
        Column(title="Accuracy", percent=True, better="high", digits=1),
        Column(title="95 % interval", unit="%"),
        Column(title="Labels permuted", percent=True, digits=1),
        Column(title="Numbers", unit="an item", digits=0),
        Column(title="Fitted to", unit="items", digits=0),
        Column(title="Penalty", digits=0),
    ]
    chance = entry["majority"]
    rows: list[list[Cell]] = [
        [f"always {chance['label']!r}", chance["accuracy"], _interval(chance["interval"]), None, None, None, None]
    ]
    rows += [
        [
            title(each, axes),
            each["accuracy"],
            _interval(each["interval"]),
            each.get("permuted_accuracy"),
            each["numbers"],
            each["fitted_items"],
            each["penalty"],
        ]
        for each in entry["probes"]
    ]
    said = (
        f"{page.number(entry['classes'])} classes; {page.number(entry['training_items'])} training items and "
        f"{page.number(entry['test_items'])} held-out items with a label"
    )
    if entry.get("items_without_label"):
        said += f"; {page.number(entry['items_without_label'])} without are left out"
    if entry.get("test_items_of_unknown_class"):
        said += (
            f"; {page.number(entry['test_items_of_unknown_class'])} held-out items are of classes that no training "
            "item has, which count as mistakes"
        )
    return [page.paragraph(f"{said}."), page.table(columns, rows)]


def _interval(bounds: Sequence[float]) -> str:
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}"


def _tables(entry: Entry, pictures: Path) -> list[Html]:
    tables: Sequence[Entry] = entry.get("code_tables") or []
    if not tables:
        return []
    columns = [
        Column(title="Codes of"),
        Column(title="Positions told", percent=True, digits=1),
        Column(title="95 % interval", unit="%"),
        Column(title="Chance", percent=True, digits=1),
        Column(title="Mutual information", unit="bits", digits=3),
        Column(title="as counted", unit="bits", digits=3),
        Column(title="of the label's", unit="bits", digits=2),
        Column(title="and the code's", unit="bits", digits=2),
    ]
    rows: list[list[Cell]] = [
        [
            _of(each, tables),
            each["position_accuracy"],
            _interval(each["position_interval"]),
            each["position_chance"],
            each["mutual_information_bits"],
            each["counted_information_bits"],
            each["label_entropy_bits"],
            each["code_entropy_bits"],
        ]
        for each in tables
    ]
    blocks = [
        page.heading(str(entry["name"])),
        page.table(columns, rows, caption=f"Each code stands for its most probable {entry['name']}"),
    ]
    for each in tables:
        blocks += _figure(each, entry, pictures)
        shown = [
            [str(one["code"]), one["positions"], str(one["label"]), one["probability"]]
            for one in sorted(each["table"], key=lambda one: -one["probability"])[:_SHOWN_CODES]
        ]
        listing = [
            Column(title="Code"),
            Column(title="Positions"),
            Column(title=f"Most probable {entry['name']}"),
            Column(title="p(label | code)", digits=3),
        ]
        blocks.append(page.details(f"The surest codes of {_of(each, tables)}", page.table(listing, shown)))
    return blocks


def _of(table: Entry, tables: Sequence[Entry]) -> str:
    several = sum(each["model"] == table["model"] for each in tables) > 1
    return f"{table['model']}, codebook {table['codebook'] + 1}" if several else str(table["model"])


def _figure(table: Entry, entry: Entry, folder: Path) -> list[Html]:
    name = table.get("picture")
    if not name or not (folder / name).is_file():
        return []
    caption = (
        f"p({entry['name']} | code) of {table['model']}: a column for each code, sorted by its most probable "
        f"{entry['name']}; grey bars: how often it occurs."
    )
    try:
        return [page.figure((folder / name).read_bytes(), alt=caption, caption=caption, smooth=True)]
    except DataError as error:
        return [page.paragraph(str(error))]


def _method(document: Mapping[str, Any]) -> list[Html]:
    settings = document.get("settings") or {}
    parts, axes = int(document.get("parts", 1)), int(document.get("axes", 1))
    said = [
        f"Split: validation={settings.get('validation')}, seed {settings.get('seed')}; the same items for every model "
        "and every set of labels. With these settings a training of the same data holds out the same items.",
        f"Every axis is averaged in {words_of_parts(parts, axes)}, and as a whole. Of the signals: "
        f"{document.get('signal_features', '')}.",
        "Codes that are rare share one number where the shares of all would be more than 2,048. A probe of many "
        "numbers is fitted to fewer items, drawn with the seed: 10 million numbers in all.",
        "Linear probes: penalties 1, 10, 100 and 1,000 (half the squared weights, numbers of standard deviation 1). "
        "Intervals are Wilson's for items; of positions and of differences, a bootstrap over items.",
        f"Labels permuted: mean accuracy of {settings.get('permutations')} fits to training labels in a random order.",
    ]
    for each in document.get("models") or []:
        words = f"{each['name']}: {each['type']}"
        if each.get("codebook_size"):
            words += f", {each['num_codebooks']} x {page.number(each['codebook_size'])} codes"
        said.append(f"{words}, {each.get('downsampling')} values a position on each axis.")
    said += [str(each) for each in document["data"].get("notes") or []]
    return [page.bullets(said)]

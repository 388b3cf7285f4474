"""The page of ``vqkit compare`` of vectors: compare.json as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqkit.storage import atomic
from vqkit.studies.report import charts, page
from vqkit.studies.report.markup import Html, join
from vqkit.studies.report.measured import measured
from vqkit.studies.report.page import Column, Section
from vqkit.studies.spread import deviation, seeds_in_words
from vqkit.studies.vectors.settings import RUNGS, TITLES

Entry = Mapping[str, Any]

_COLUMNS = {
    "nmse": Column(title="NMSE", better="low", digits=4),
    "cosine": Column(title="Cosine", better="high", digits=4),
    **{f"recall_{at}": Column(title=f"Recall@{at}", unit="asymmetric", better="high", digits=3) for at in (1, 10, 100)},
    **{
        f"recall_decoded_{at}": Column(title=f"Recall@{at}", unit="decoded", better="high", digits=3)
        for at in (1, 10, 100)
    },
    "collision_rate": Column(title="Collisions", percent=True, digits=2),
    "birthday_rate": Column(title="Of random ids", percent=True, digits=2),
    "train_seconds": Column(title="Training", unit="s", better="low", digits=1),
    "vectors_per_second": Column(title="Encoding", unit="vectors/s", better="high", digits=0),
}
_CHARTS = {
    "recall_10": "Recall@10 of the true nearest neighbour, asymmetric",
    "recall_decoded_10": "Recall@10 of the true nearest neighbour, decoded",
    "nmse": "NMSE of held-out vectors",
}
_GLOSSARY = [
    ("Bytes", "log2 K bits for each index, by eight."),
    ("NMSE", "Mean squared error of the held-out vectors over the variance of their values."),
    ("Recall@R", "Of how many held-out vectors the true nearest neighbour is among the first R that are found."),
    ("Asymmetric", "By the distance from a vector as it is to decoded vectors."),
    ("Decoded", "By the distance from the decoded vector to decoded vectors."),
    ("Collisions", "1 - distinct ids / vectors, over the vectors that the models were trained on."),
    ("Of random ids", "The same, expected of as many random ids (the birthday bound)."),
]


def write_report(document: Mapping[str, Any], out: Path) -> None:
    """Render the result of a comparison of vectors as one page.

    Args:
        document: what compare.json holds.
        out: the HTML file.

    Raises:
        OSError: ``out`` cannot be written.
    """
    text = _render(document)
    atomic.write_file(
        out, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    )


def _render(document: Mapping[str, Any]) -> str:
    entries: Sequence[Entry] = document["rungs"]
    done = [each for each in entries if each["status"] == "done"]
    failed = [
        join(page.strong(f"{each['title']} failed: "), str(each["error"]))
        for each in entries
        if each["status"] != "done"
    ]
    notes = [f"{each['title']}: {note}" for each in entries for note in each.get("notes") or ()]
    told = page.claims((each["claim"], each["holds"], each["numbers"]) for each in document["story"])
    sections = [
        Section("At a glance", [*(_chart(done, key, title) for key, title in _CHARTS.items()), told]),
        Section("The numbers", [_table(done)]),
        Section("What went wrong", [page.bullets([*failed, *notes])]),
        Section("Glossary", [page.definitions(_GLOSSARY)]),
    ]
    data = document["data"]
    footer = f"vqkit {document['vqkit']}, {document['date']}, {document['machine']}"
    kept = [each for each in sections if any(each.blocks)]
    return page.document(f"{data['name']}: vectors at equal bytes", _lead(document), kept, footer=footer)


def _lead(document: Mapping[str, Any]) -> list[Html]:
    data = document["data"]
    blocks = [
        page.paragraph(
            f"Trained on {page.number(data['train_items'])} vectors; judged on {page.number(data['validation_items'])} "
            f"held out, of which up to 1,000 are looked for among those ({seeds_in_words(document)})."
        ),
        page.paragraph(str(data["description"]), quiet=True),
    ]
    if document["command"]:
        blocks += [page.paragraph("To repeat it:"), page.code(str(document["command"]))]
    return blocks


def _table(done: Sequence[Entry]) -> Html:
    rows = [[str(each["title"]), *(measured(each, key) for key in _COLUMNS)] for each in done]
    return page.table([Column(title="Model"), *_COLUMNS.values()], rows)


def _chart(done: Sequence[Entry], key: str, title: str) -> Html:
    placed = [each for each in done if each[key] is not None]
    series = [
        charts.Series(
            TITLES[name],
            [(each["bytes_per_vector"], each[key]) for each in placed if each["name"] == name],
            errors=[deviation(each, key) for each in placed if each["name"] == name],
        )
        for name in RUNGS
        if any(each["name"] == name for each in done)
    ]
    svg = charts.for_screens(
        charts.line_chart,
        series,
        title=title,
        description="A line for each model.",
        x_label="bytes a vector",
        y_label=title,
        height=300,
    )
    return page.drawing(svg, label=title, caption=title)

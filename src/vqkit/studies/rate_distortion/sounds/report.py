"""The page of ``vqkit study rate-distortion`` on sound: its JSON and its sounds as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqkit.errors import DataError
from vqkit.storage import atomic
from vqkit.studies.report import charts, page
from vqkit.studies.report.markup import Html, join, text
from vqkit.studies.report.page import Column, Section

Curve = Mapping[str, Any]
_MEASURES: dict[str, Column] = {
    "stoi": Column(title="STOI", digits=3),
    "visqol": Column(title="ViSQOL", unit="MOS-LQO", digits=2),
    "pesq": Column(title="PESQ", unit="MOS-LQO", digits=2),
    "mel_distance": Column(title="Mel distance", digits=3),
    "stft_distance": Column(title="STFT distance", digits=3),
    "si_sdr_db": Column(title="SI-SDR", unit="dB", digits=2),
    "snr_db": Column(title="SNR", unit="dB", digits=2),
}
_GLOSSARY = [
    ("kbps", "Kilobits a second: the bits of whole files, headers included, over the seconds of all sounds."),
    ("Nominal kbps", "log2 K bits for each index, as rates of tokenizers are told; without any header."),
    ("STOI", "Short-time objective intelligibility (Taal et al. 2011), 0 to 1; of speech."),
    ("ViSQOL, PESQ", "Estimates of the mean opinion of listeners, 1 to 5, where their packages are installed."),
    ("Mel distance", "Mean absolute difference of log mel spectrograms at several resolutions; 0 is perfect."),
    ("SI-SDR", "Scale-invariant signal-to-distortion ratio in dB: how near the waveform itself comes."),
]


def write_report(document: Mapping[str, Any], sounds: Path, out: Path) -> None:
    """Render the result as one page.

    Args:
        document: what rate-distortion.json holds.
        sounds: the folder of the sounds and pictures that ``document`` names.
        out: the HTML file.

    Raises:
        DataError: ``document`` lacks its data or its curves.
        OSError: ``out`` cannot be written.
    """
    for key in ("data", "curves"):
        if key not in document:
            raise DataError(
                f"no result of vqkit study rate-distortion: {key!r} is missing; give what rate-distortion.json holds"
            )
    curves: Sequence[Curve] = document["curves"]
    data, model = document["data"], document.get("model") or {}
    sections = [
        Section("At a glance", _charts(curves)),
        Section("Listen", _sounds(document, sounds)),
        Section("The numbers", _tables(curves)),
        Section("How it was measured", _method(document)),
        Section("Glossary", [page.definitions(_GLOSSARY)]),
    ]
    title = f"{data.get('name', 'data')}: {model.get('name', 'a model')} beside sound formats, quality over kbps"
    footer = f"vqkit {document.get('vqkit', '')}, {document.get('date', '')}, {document.get('machine', '')}"
    text = page.document(title, _lead(document), [each for each in sections if any(each.blocks)], footer=footer)
    atomic.write_file(
        out, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    )


def _lead(document: Mapping[str, Any]) -> list[Html]:
    data, model = document["data"], document.get("model") or {}
    blocks = [
        page.paragraph(
            f"{page.number(data.get('sounds'))} sounds, {page.number(data.get('seconds'), 1)} seconds at "
            f"{page.number(data.get('rate'))} samples a second, each as a whole file of its own, headers included, "
            f"written and decoded: by the model ({page.number(model.get('num_codebooks'))} codebooks of "
            f"{page.number(model.get('codebook_size'))} codes; indices coded under the {model.get('prior', '-')} "
            "model) and by other codecs."
        ),
        page.paragraph(str(data.get("description", "")), quiet=True),
    ]
    if document.get("command"):
        blocks += [page.paragraph("To repeat it:"), page.code(str(document["command"]))]
    return blocks


def _charts(curves: Sequence[Curve]) -> list[Html]:
    blocks = []
    for measure in ("stoi", "visqol", "mel_distance", "si_sdr_db"):
        series = [
            charts.Series(
                str(curve["name"]), [(one["kbps"], one[measure]) for one in curve["points"] if measure in one]
            )
            for curve in curves
        ]
        if not any(one.points for one in series):
            continue
        column = _MEASURES[measure]
        label = f"{column.title}, {column.unit}" if column.unit else column.title
        better = "down" if measure == "mel_distance" else "up"
        title = f"{column.title} over kbps"
        svg = charts.for_screens(
            charts.line_chart,
            [one for one in series if one.points],
            title=title,
            description=f"A line for each of {', '.join(one.name for one in series)}; {better} and left is better.",
            x_label="kbps (logarithmic)",
            y_label=label,
            log_x=True,
            height=400,
        )
        blocks.append(page.drawing(svg, label=title, caption=f"{title}; {better} and to the left is better"))
    return blocks


def _sounds(document: Mapping[str, Any], folder: Path) -> list[Html]:
    blocks: list[Html] = []
    for number, shown in enumerate(document.get("shown") or []):
        files = [(str(each["name"]), folder / each["file"]) for each in shown["sounds"]]
        players = [page.audio(file.read_bytes(), label=name) for name, file in files if file.is_file()]
        blocks += [page.heading(f"Sound {number + 1}"), page.beside(*players)]
        sheet = folder / shown["sheet"]
        if sheet.is_file():
            alt = f"Spectrograms of {', '.join(name for name, _ in files)}"
            blocks.append(page.figure(sheet.read_bytes(), alt=alt, caption="Low frequencies below, 80 dB of range."))
    return blocks


def _tables(curves: Sequence[Curve]) -> list[Html]:
    blocks = []
    for number, curve in enumerate(curves):
        points = curve["points"]
        there = [name for name in _MEASURES if any(name in each for each in points)]
        own = list(points[0].get("kbps_of") or {})
        nominal = ["nominal_kbps"] if curve["kind"] == "model" else []
        columns = [
            Column(title=str(curve["varies"]).capitalize()),
            *(Column(title="Nominal", unit="kbps", digits=2) for _ in nominal),
            *(Column(title=name.capitalize(), unit="kbps", digits=2) for name in own if name != "nominal"),
            Column(title="Files", unit="kbps", digits=2),
            *(_MEASURES[name] for name in there),
        ]
        rows = [
            [
                text(f"{each['codebooks']}" if curve["kind"] == "model" else f"{each['value']:g}"),
                *(each[name] for name in nominal),
                *(each["kbps_of"][name] for name in own if name != "nominal"),
                each["kbps"],
                *(each.get(name) for name in there),
            ]
            for each in points
        ]
        blocks += [
            page.heading(join(charts.marker("", number), str(curve["name"]))),
            page.paragraph(str(curve.get("about", "")), quiet=True),
            page.table(columns, rows),
        ]
    return blocks


def _method(document: Mapping[str, Any]) -> list[Html]:
    said = [
        "Rate: the bytes of all files, 8 bits each, over the seconds of all sounds; names are not kept in the files. "
        "Headers weigh more the shorter a sound is, in every format.",
        "What comes back from a codec is aligned with the original first (by the delay of at most 100 ms at which they "
        "correlate best) and has its length.",
        "A codec that does not have the sample rate of the sounds is given them at its next higher one.",
    ]
    said += [f"Missing here: {each}" for each in document.get("missing") or []]
    return [page.bullets(said)]

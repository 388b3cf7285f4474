"""The page of ``vqkit study rate-distortion``: its JSON and its picture as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqkit.errors import DataError
from vqkit.storage import atomic
from vqkit.studies.report import charts, page
from vqkit.studies.report.markup import Html, join, text
from vqkit.studies.report.page import Cell, Column, Section

Curve = Mapping[str, Any]

_NAMES = {"psnr_db": "PSNR", "psnr_item_mean_db": "PSNR, mean of images", "ms_ssim_db": "MS-SSIM in dB"}
_POINT = {
    "bits_per_pixel": Column(title="Files", unit="bits per pixel", digits=4),
    "bytes": Column(title="Files", unit="bytes", digits=0),
    "psnr_db": Column(title="PSNR", unit="dB", digits=2),
    "psnr_item_mean_db": Column(title="PSNR, mean of images", unit="dB", digits=2),
    "ms_ssim": Column(title="MS-SSIM", digits=4),
    "ms_ssim_db": Column(title="MS-SSIM", unit="dB", digits=2),
}
_GLOSSARY = [
    ("Bits per pixel", "The bits of whole files, headers included, over the pixels (not the numbers) of all images."),
    (
        "PSNR",
        "The squared error over all values of all images (red, green and blue alike, 8 bits) in decibels below the "
        "largest possible value; beside it the mean of each image's own PSNR.",
    ),
    (
        "MS-SSIM",
        "Structural similarity at five scales (Wang, Simoncelli and Bovik 2003), of each channel, then the mean; in "
        "decibels: -10 log10(1 - MS-SSIM), the mean over images.",
    ),
    (
        "BD-rate",
        "How many per cent more bits than JPEG a codec needs for the same quality, on average over the qualities that "
        "both reach (Bjontegaard 2001): below 0 it needs fewer. Log rate over quality through the points by monotone "
        "cubics (PCHIP); beside it the original's one cubic polynomial.",
    ),
    ("Nominal bits", "log2 K for each index, rounded up: what indices cost that are stored as they are."),
    (
        "Uniform, histogram, context",
        "What an ideal coder needs for the indices when all codes are equally likely, when each has the probability "
        "with which it occurred in training, and under the context prior.",
    ),
    (
        "Rate weight",
        "The squared distance of latents that one bit is worth where codes are chosen: more of it, fewer bits.",
    ),
]


def write_report(document: Mapping[str, Any], pictures: Path, out: Path) -> None:
    """Render the result of ``vqkit study rate-distortion`` as one page.

    Args:
        document: what rate-distortion.json holds.
        pictures: the folder of the pictures that ``document`` names.
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
    text = _render(document, pictures)
    atomic.write_file(
        out, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    )


def _render(document: Mapping[str, Any], pictures: Path) -> str:
    curves: Sequence[Curve] = document["curves"]
    sections = [
        Section("At a glance", [*_charts(curves, document), *_bd_rates(document)]),
        Section("Pictures", _pictures(document, pictures)),
        Section("The model's files", [_model(curve) for curve in curves if curve["kind"] == "model"]),
        Section("The numbers", _tables(curves)),
        Section("How it was measured", _method(document)),
        Section("Glossary", [page.definitions(_GLOSSARY)]),
    ]
    data = document["data"]
    model = (document.get("model") or {}).get("name", "a model")
    title = f"{data.get('name', 'data')}: {model} beside image formats, quality over bits per pixel"
    footer = f"vqkit {document.get('vqkit', '')}, {document.get('date', '')}, {document.get('machine', '')}"
    return page.document(title, _lead(document), [each for each in sections if any(each.blocks)], footer=footer)


def _lead(document: Mapping[str, Any]) -> list[Html]:
    data, model = document["data"], document.get("model") or {}
    of = f" of the {page.number(data.get('items'))} there are" if data.get("images") != data.get("items") else ""
    given = model.get("downsampling")
    factors = "x".join(map(page.number, given)) if isinstance(given, list | tuple) else page.number(given)
    blocks = [
        page.paragraph(
            f"The first {page.number(data.get('images'))} images{of}, each as a whole file of its own, headers "
            "included, written and decoded: by the model "
            f"({page.number(model.get('num_codebooks'))} codebooks of {page.number(model.get('codebook_size'))} codes, "
            f"{factors} pixels a position on each axis; indices coded under the "
            f"{model.get('prior', '-')} model) and by other codecs."
        ),
        page.paragraph(str(data.get("description", "")), quiet=True),
    ]
    if model.get("prior") == "uniform":
        blocks.append(
            page.paragraph(
                page.strong("No prior codes the indices"),
                ": each costs log2 of the size of the codebook, whatever it is, so these files are larger than those "
                "that a context prior (vqkit prior RUN --kind context) would make of the same indices.",
            )
        )
    if document.get("command"):
        blocks += [page.paragraph("To repeat it:"), page.code(str(document["command"]))]
    return blocks


def _charts(curves: Sequence[Curve], document: Mapping[str, Any]) -> list[Html]:
    low = float((document.get("settings") or {}).get("low_rate", 0.5))
    blocks = []
    for quality, label in (("psnr_db", "PSNR, dB"), ("ms_ssim_db", "MS-SSIM, -10 log10(1 - value), dB")):
        title = f"{label.split(',')[0]} over bits per pixel"
        series = [
            charts.Series(str(curve["name"]), [(each["bits_per_pixel"], each[quality]) for each in curve["points"]])
            for curve in curves
        ]
        blocks.append(_chart(series, title, label, log_x=True))
        near = [charts.Series(one.name, [(x, y) for x, y in one.points if x <= 1.2 * low]) for one in series]
        if any(one.points for one in near):
            below = f"{title}, up to {1.2 * low:g}"
            blocks.append(page.details(below, _chart(near, below, label, log_x=False)))
    return blocks


def _chart(series: Sequence[charts.Series], title: str, label: str, *, log_x: bool) -> Html:
    svg = charts.for_screens(
        charts.line_chart,
        series,
        title=title,
        description=f"A line for each of {', '.join(one.name for one in series)}; up and to the left is better.",
        x_label="bits per pixel (logarithmic)" if log_x else "bits per pixel",
        y_label=label,
        log_x=log_x,
        height=440,
    )
    return page.drawing(svg, label=title, caption=title)


def _bd_rates(document: Mapping[str, Any]) -> list[Html]:
    entries = document.get("bd_rates") or []
    if not entries:
        return []
    low = float((document.get("settings") or {}).get("low_rate", 0.5))
    curves: Sequence[Curve] = document["curves"]
    names = [str(curve["name"]) for curve in curves]
    rows: list[list[Cell]] = []
    more: list[list[Cell]] = []
    for name in dict.fromkeys(str(each["curve"]) for each in entries):
        own = {each["quality"]: each for each in entries if each["curve"] == name}
        head = join(charts.marker("", names.index(name)), name)
        rows.append(
            [head, *(own[quality][key] for quality in ("psnr_db", "ms_ssim_db") for key in ("percent", "percent_low"))]
        )
        for quality, entry in own.items():
            more.append(
                [
                    join(f"{name}, {_NAMES[quality]}"),
                    *(entry[key] for key in ("percent", "cubic_percent")),
                    _range(entry["range"]),
                    *(entry[key] for key in ("percent_low", "cubic_percent_low")),
                    _range(entry["range_low"]),
                ]
            )
    columns = [
        Column(title="Codec"),
        *(
            Column(title=f"{quality}{where}", unit="%", better="low", digits=1)
            for quality in ("PSNR", "MS-SSIM")
            for where in ("", f", up to {low:g} bits per pixel")
        ),
    ]
    detail = [Column(title="Curve and quality")]
    for where in ("all rates", f"up to {low:g}"):
        detail += [
            Column(title=f"PCHIP, {where}", unit="%", digits=1),
            Column(title=f"Cubic, {where}", unit="%", digits=1),
        ]
        detail += [Column(title=f"Range, {where}", unit="dB")]
    return [
        page.table(columns, rows, caption="BD-rate against JPEG: bits at equal quality (below 0: fewer)"),
        page.details("Over which qualities, and by the original's polynomial", page.table(detail, more)),
    ]


def _range(bounds: Sequence[float] | None) -> str:
    return "none in common" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}"


def _setting(curve: Curve, point: Mapping[str, Any]) -> str:
    if curve["kind"] != "model":
        return f"{point['value']:g}"
    if curve["varies"] == "codebooks":
        return str(point["codebooks"])
    return "-" if point["rate_weight"] is None else f"{point['rate_weight']:g}"


def _model(curve: Curve) -> Html:
    """Bits of the indices under every model of them, and of the files, side by side."""
    points = curve["points"]
    kinds = list(points[0].get("bits_per_pixel_of") or {})
    titles = {"nominal": "Nominal", "headers": "Headers", "coded indices": "Coded indices"}
    columns = [
        Column(title="As trained" if curve["varies"] == "as trained" else str(curve["varies"]).capitalize()),
        *(Column(title=titles.get(kind, f"Ideal, {kind}"), unit="bits per pixel", digits=4) for kind in kinds),
        _POINT["bits_per_pixel"],
        _POINT["psnr_db"],
        _POINT["ms_ssim_db"],
    ]
    rows = [
        [
            text(_setting(curve, each)),
            *(each["bits_per_pixel_of"][kind] for kind in kinds),
            *(each[key] for key in ("bits_per_pixel", "psnr_db", "ms_ssim_db")),
        ]
        for each in points
    ]
    return page.table(columns, rows, caption=f"{curve['name']}: {curve.get('about', '')}")


def _tables(curves: Sequence[Curve]) -> list[Html]:
    blocks = []
    for number, curve in enumerate(curves):
        rows = [[text(_setting(curve, each)), *(each[key] for key in _POINT)] for each in curve["points"]]
        columns = [Column(title=str(curve["varies"]).capitalize()), *_POINT.values()]
        blocks += [
            page.heading(join(charts.marker("", number), str(curve["name"]))),
            page.paragraph(str(curve.get("about", "")), quiet=True),
            page.table(columns, rows),
        ]
    return blocks


def _method(document: Mapping[str, Any]) -> list[Html]:
    data, counts = document["data"], document.get("ms_ssim_scales") or {}
    said = [
        "Rate: the bytes of all files, 8 bits each, over the pixels of all images; names are not kept in the files.",
        "Quality is measured on 8-bit red, green and blue (or grey) values, all channels alike. Codecs that work in "
        "luminance and chroma at half the resolution were not made for that measure of colour, and none of them was "
        "tuned for MS-SSIM.",
        "The curves of the codecs end where their qualities do; a BD-rate says nothing of rates beyond its range.",
    ]
    if data.get("rounded_to_8_bits"):
        said.append("The images were rounded to 8 bits first.")
    if counts and counts.get("fewest") != counts.get("most"):
        said.append(
            f"Some images are too small for MS-SSIM at {counts.get('most')} scales (161 pixels on the shorter side): "
            f"they have {counts.get('fewest')} or more, with the weights of those divided by their sum."
        )
    said += [f"Left out: {each}" for each in document.get("left_out") or []]
    said += [f"Missing here: {each}" for each in document.get("missing") or []]
    return [page.bullets(said)]


def _pictures(document: Mapping[str, Any], folder: Path) -> list[Html]:
    name = (document.get("pictures") or {}).get("shown")
    if not name or not (folder / name).is_file():
        return []
    caption = "Parts of images out of files of about equal size; bits per pixel and PSNR are those of the whole image."
    try:
        return [
            page.figure(
                (folder / name).read_bytes(), alt="The same parts of images, by codec", caption=caption, smooth=True
            )
        ]
    except DataError as error:
        return [page.paragraph(str(error))]

"""The HTML report: one valid, self-contained file; charts whose points land where they should; the latent map."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vqkit.errors import DataError
from vqkit.pictures import before_after_sheet, to_uint8
from vqkit.studies.ladder.report import write_report
from vqkit.studies.play.blocks import script as play_script
from vqkit.studies.report import charts, page
from vqkit.studies.report.maps import latent_map
from vqkit.studies.report.markup import Html, join, text
from vqkit.studies.report.page import Column, Section, part_of_page
from vqkit.studies.report.sheets import KEPT_LIGHT, in_the_dark, sheet_rows
from vqkit.studies.report.sheets import address as address_of

VOID = {"meta", "br", "img", "hr", "link", "input", "source"}
HOSTILE = '<script>alert(\'x\')</script>"&<b onload="y">\x00\udcff'


class Reader(HTMLParser):
    """Balanced tags, tags and attributes of a page; what is text; what stands in a table."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open, f"<{tag}/> closes itself outside SVG"
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def attributes(self, name: str) -> list[str]:
        return [value or "" for _, attrs in self.tags for key, value in attrs.items() if key == name]


def png(colour: int = 90, size: tuple[int, int] = (12, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size, colour).save(buffer, format="PNG")
    return buffer.getvalue()


def rung(key: str, title: str, factor: float) -> dict[str, Any]:
    split = {"rate": 0.5, "distortion": 3 * factor, "total": 0.5 + 3 * factor, "how": f"prior of {title}"}
    return {
        "key": key, "title": title, "status": "done", "error": None, "parameters": 745_234, "train_seconds": 61.25,
        "encode_ms_per_item": 0.0123, "decode_ms_per_item": 0.02, "sample_ms_per_item": 0.5, "latent_shape": [7, 7],
        "latent_numbers": 49, "latent_float32_bits": 2048.0, "latent_bits": 441.0, "latent_entropy_bits": 400.0,
        "prior_bits": 300.0, "mse": 0.01 * factor, "psnr_db": 20 - factor, "psnr_at_budget_db": 19.5 - factor,
        "ssim": 0.8 / factor, "bits_per_dim": split, "bits_per_dim_learned_prior": None, "other_bounds": {},
        "frechet_reconstructions": 12.0 * factor, "frechet_samples": 80.0 * factor, "precision": 0.5 / factor,
        "recall": 0.4 / factor, "density": 0.9, "coverage": 0.6 / factor, "linear_probe_accuracy": 0.81,
        "rate_curve": [{"bits": 40.0, "psnr_db": 15.0, "mse": 0.03}, {"bits": 400.0, "psnr_db": 19.0, "mse": 0.0126}],
        "usage": 0.5, "perplexity": 310.2, "active_units": 41, "notes": [f"A note on {title}."],
        "pictures": {kind: f"{key}_{kind}.png" for kind in ("samples", "interpolations", "latent_map", "traversals")},
    }  # fmt: skip


def result() -> dict[str, Any]:
    rungs = [
        rung("pca", "PCA", 1.2),
        rung("ae", "Autoencoder", 1.0),
        rung("vae", "VAE", 1.1),
        rung("vqvae", "VQ-VAE", 0.9),
    ]
    rungs[3]["bits_per_dim_learned_prior"] = {"rate": 0.4, "distortion": 2.7, "total": 3.1, "how": "gated PixelCNN"}
    rungs[2]["other_bounds"] = {"IWAE (64 samples)": 3.777}
    return {
        "vqkit": "0.1.0", "command": "vqkit compare digits --seed 0", "date": "2026-11-22",
        "data": {"name": "digits", "description": "Handwritten digits.", "size": [8, 8], "channels": 1,
                 "train_items": 1617, "validation_items": 180, "class_names": ["0", "1"], "raw_bits": 4410.0},
        "budget_bits": 441.0, "steps": 300, "batch_size": 64, "seed": 0,
        "features": {"frechet": "classifier (accuracy 0.91)", "dimension": 64}, "rungs": rungs,
        "pictures": {"reconstructions": "reconstructions.png", "four_rungs": "four.png", "originals": "originals.png"},
        "story": [{"claim": "The VAE's samples win.", "holds": True, "numbers": "61 against 210"},
                  {"claim": "The VQ-VAE is sharp.", "holds": False, "numbers": "0.8 against 0.7"}],
    }  # fmt: skip


def put_pictures(folder: Path, document: dict[str, Any]) -> dict[str, bytes]:
    """Every picture that the document names, each of another grey."""
    names = [*document["pictures"].values()]
    names += [name for one in document["rungs"] for name in one.get("pictures", {}).values()]
    made = {name: png(10 + number) for number, name in enumerate(names)}
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return made


def render(document: dict[str, Any], folder: Path) -> Reader:
    write_report(document, folder, folder / "report.html")
    source = (folder / "report.html").read_text(encoding="utf-8")
    reader = Reader(source)
    assert source.startswith("<!DOCTYPE html>\n")
    for attribute in ("src", "href", "xlink:href", "action", "data", "srcset"):
        for value in reader.attributes(attribute):
            assert value.startswith("data:image/png;base64," if attribute in ("src", "srcset") else "#"), value
    without = source.replace('xmlns="http://www.w3.org/2000/svg"', "").replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest|import\(", without)
    runs_its_own_scripts_alone(source)
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in reader.tags}
    assert not [key for _, attrs in reader.tags for key in attrs if key.startswith("on")]
    ids = reader.attributes("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in reader.attributes("href")} <= set(ids)
    assert all(attrs.get("alt") for tag, attrs in reader.tags if tag == "img")
    return reader


def runs_its_own_scripts_alone(source: str) -> None:
    """The policy of a page names the digest of each of its scripts, and they are those that lie beside the code."""
    beside = {part_of_page("page.js"), play_script()}
    for attributes, script in re.findall(r"<script([^>]*)>(.*?)</script>", source, re.DOTALL):
        if 'type="application/json"' in attributes:
            assert json.loads(script)
            continue
        assert not attributes
        assert script in beside
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in source.partition("</head>")[0]


# The report of vqkit compare


def test_the_report_holds_every_picture_claim_and_number(tmp_path: Path) -> None:
    document = result()
    made = put_pictures(tmp_path, document)
    reader = render(document, tmp_path)
    shown = [attrs for _, attrs in reader.tags if attrs.get("src")]
    dark = [attrs for attrs in shown if "dark" in str(attrs.get("class"))]
    assert len(dark) == 4  # the latent maps, in the dark
    embedded = [base64.b64decode(str(attrs["src"]).split(",", 1)[1]) for attrs in shown if attrs not in dark]
    assert sorted(embedded) == sorted(made.values())
    for words in (
        "digits: PCA, Autoencoder, VAE and VQ-VAE at 441 bits",
        "into 441 bits, 10 times fewer than the 4,410 bits",
        "vqkit compare digits --seed 0",
        "✓ Holds The VAE's samples win. 61 against 210",
        "✗ Contradicted The VQ-VAE is sharp. 0.8 against 0.7",
        "VQ-VAE, uniform prior 0.500 2.700 3.200 prior of VQ-VAE",
        "VQ-VAE, learned prior 0.400 2.700 3.100 gated PixelCNN",
        "VAE, IWAE (64 samples) - - 3.777 -",
        "classifier (accuracy 0.91), 64 numbers an item",
        "A note on Autoencoder.",
        "What a code does: a grid filled with it",
        "What a latent number does: a row for each",
        "50.0% of the codebook is used.",
        "coarsest uniform quantisation, entropy-coded, that costs less than 0.1 dB",
    ):
        assert words in reader.text, words
    assert [value for tag, value in reader.tags if tag == "svg" and value.get("class") == "chart"]
    assert sum(tag == "section" for tag, _ in reader.tags) == 10


def test_what_comes_from_outside_is_escaped(tmp_path: Path) -> None:
    document = result()
    put_pictures(tmp_path, document)
    document["data"] |= {"name": HOSTILE, "description": HOSTILE}
    document["command"] = document["date"] = document["features"]["frechet"] = HOSTILE
    document["story"][0] |= {"claim": HOSTILE, "numbers": HOSTILE}
    document["pictures"]["originals"] = HOSTILE
    document["rungs"][0] |= {"title": HOSTILE, "notes": [HOSTILE], "key": HOSTILE, "latent_shape": [HOSTILE]}
    document["rungs"][1] |= {"status": "failed", "error": HOSTILE}
    document["rungs"][2] |= {"other_bounds": {HOSTILE: 1.0}}
    document["rungs"][3]["bits_per_dim"]["how"] = HOSTILE
    reader = render(document, tmp_path)
    assert '<script>alert(\'x\')</script>"&<b onload="y">??' in reader.text
    assert "\x00" not in reader.text


def test_a_failed_rung_shows_its_error_and_the_others_stand(tmp_path: Path) -> None:
    document = result()
    document["rungs"][1] = {"key": "ae", "title": "Autoencoder", "status": "failed", "error": "NaN at step 7 <kl>"}
    put_pictures(tmp_path, document)
    reader = render(document, tmp_path)
    assert "Autoencoder failed ; its section says why" in reader.text
    assert "This rung failed; the others stand. What it said: NaN at step 7 <kl>" in reader.text
    assert "Autoencoder (failed) - - - - - - -" in reader.text
    assert reader.attributes("class").count("bar") == 2 * 6  # two for each of the three that stand
    assert reader.attributes("class").count("point") == 2 * 6
    assert "PCA 441 2,048 0.01200 18.80 18.30 0.667 81.0" in reader.text


def test_values_and_pictures_may_be_missing(tmp_path: Path) -> None:
    document = result()
    bare = {"key": "pca", "title": "PCA", "status": "done"}
    document["rungs"] = [bare, dict.fromkeys(rung("ae", "", 1.0)) | {"key": "ae", "title": "AE", "status": "done"}]
    document["rungs"].append(rung("vae", "VAE", 1.0))
    for key in ("story", "pictures", "features", "budget_bits", "steps", "batch_size", "command"):
        document[key] = None
    for key in ("description", "train_items", "raw_bits", "class_names"):
        del document["data"][key]
    (tmp_path / "vae_samples.png").write_bytes(png()[:40])
    (tmp_path / "vae_latent_map.png").write_bytes(b"no picture")
    (tmp_path / "vae_traversals.png").write_bytes(png())
    reader = render(document, tmp_path)
    assert len(reader.attributes("src")) == 1
    assert "No picture vae_samples.png (VAE: samples): it cannot be read." in reader.text
    assert "No picture vae_latent_map.png (VAE: latent map): it cannot be read." in reader.text
    assert "No picture vae_interpolations.png (VAE: interpolations): it is not there." in reader.text
    assert "nan" not in reader.text.lower().split()
    assert "None" not in reader.text


@pytest.mark.parametrize("count", [0, 1])
def test_one_rung_or_none_has_no_best(tmp_path: Path, count: int) -> None:
    document = result()
    document["rungs"] = document["rungs"][3 : 3 + count]
    put_pictures(tmp_path, document)
    reader = render(document, tmp_path)
    best = [attrs for tag, attrs in reader.tags if attrs.get("class") == "best"]
    assert len(best) == count  # the learned prior beats the uniform one
    assert "Frechet distances" in reader.text


def test_a_rung_off_the_budget_is_named(tmp_path: Path) -> None:
    document = result()
    document["rungs"][2]["latent_bits"] = 882.0
    document["rungs"][0]["latent_bits"] = 442.0
    assert "Not at equal bits: VAE 2.00 times the budget." in render(document, tmp_path).text
    document["rungs"][2]["latent_bits"] = 441.0
    assert "Not at equal bits" not in render(document, tmp_path).text


def test_a_document_of_another_kind_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no result of vqkit compare: 'rungs' is missing"):
        write_report({"data": {}}, tmp_path, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


# Pages


def cells(shown: str) -> list[str]:
    return re.findall(r"<td[^>]*>(.*?)</td>", shown)


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        (Column(title="a", better="low", digits=2), [1.0, 0.5, None], ["1.00", "*0.50", "-"]),
        (Column(title="a", better="high", digits=1), [1.0, 2.0, 2.04, math.nan], ["1.0", "*2.0", "*2.0", "nan"]),
        (Column(title="a", better="high", digits=1), [1.0, math.inf], ["1.0", "inf"]),
        (Column(title="a", better="low", digits=1), [1.0, 1.01], ["1.0", "1.0"]),
        (Column(title="a", better="low"), [0.00123, 12.0], ["*0.00123", "12.00000"]),
        (Column(title="a"), [1234567, 5], ["1,234,567", "5"]),
        (Column(title="a", percent=True, better="high", digits=1), [0.5, 0.25], ["*50.0", "25.0"]),
        (Column(title="a", digits=1), [-0.001], ["0.0"]),
        (Column(title="a", better="low"), [None, None], ["-", "-"]),
        (Column(title="a", better="low"), [0.0, 0.0], ["0.00", "0.00"]),
        (Column(title="a"), ["<x>", None], ["&lt;x&gt;", "-"]),
    ],
)
def test_cells_and_the_best_of_a_column(column: Column, values: list[Any], expected: list[str]) -> None:
    shown = page.table([Column(title="row"), column], [["r", value] for value in values])
    Reader(shown)
    assert [re.sub(r"<strong>(.*)</strong>", r"*\1", cell) for cell in cells(shown)] == expected


def test_headers_name_unit_and_direction() -> None:
    shown = Reader(page.table([Column(title="Rung"), Column(title="PSNR", unit="dB", better="high")], [["a", 1.0]]))
    assert shown.text == "Rung PSNR dB ↑ a 1.00"
    assert shown.attributes("scope") == ["col", "col", "row"]


def test_pictures_become_png_and_keep_their_pixels() -> None:
    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8))
    buffer = io.BytesIO()
    image.save(buffer, format="BMP")
    for picture in (image, buffer.getvalue()):
        reader = Reader(page.figure(picture, alt="a < b", caption="c & d", scale=4))
        address = reader.attributes("src")[0]
        assert address.startswith("data:image/png;base64,")
        back = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
        assert back.format == "PNG"
        assert np.array_equal(np.asarray(back), np.asarray(image))
        assert (reader.attributes("width"), reader.attributes("height")) == (["32"], ["24"])
        assert reader.attributes("alt") == ["a < b"]
        assert "c & d" in reader.text
    with pytest.raises(DataError, match="samples: not a picture"):
        page.figure(b"", alt="samples")


def test_sections_of_one_name_have_their_own_anchors() -> None:
    sections = [Section(title, [page.paragraph("x")]) for title in ("A b", "A b", "A-b", "<>", "<>", "a-b-1", "A b")]
    reader = Reader(page.document("T", [], sections, footer="f"))
    assert len(set(reader.attributes("id"))) == len(sections)
    assert [value[1:] for value in reader.attributes("href")] == reader.attributes("id")


def test_blocks_nest_and_escape() -> None:
    blocks = [page.details("<s>", page.code("a < b"), page.bullets(["<i>"]), page.definitions([("<w>", "<m>")]))]
    blocks.append(page.claims([("<c>", None, "<n>")]))
    reader = Reader(join(*blocks, page.strong("<x>"), text(Html("<u>kept</u>"))))
    assert reader.text == "<s> a < b <i> <w> <m> ≈ Within the noise <c> <n> <x> kept"
    assert page.bullets([]) == page.claims([]) == page.beside(Html("")) == ""


# Charts


def parsed(svg: str) -> ElementTree.Element:
    root = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", svg))
    assert root.find("title") is not None
    assert root.find("desc") is not None
    for node in root.iter():
        for value in node.attrib.values():
            assert "nan" not in value
            assert not re.search(r"\binf\b", value)
    return root


def scale(root: ElementTree.Element, kind: str, log: bool = False) -> tuple[float, float]:
    """Offset and slope from value to place, by the tick labels alone."""
    side = "x" if kind == "x" else "y"
    found = [(float((node.text or "").replace(",", "")), float(node.attrib[side])) for node in root.iter("text")
             if node.get("class") == kind]  # fmt: skip
    values, places = np.array(found).T
    slope, offset = np.polyfit(np.log10(values) if log else values, places - (4.5 if kind == "y" else 0), 1)
    return float(offset), float(slope)


def places(root: ElementTree.Element) -> list[tuple[float, float]]:
    moves = [node.attrib["transform"] for node in root.iter("path") if node.get("class") == "point"]
    return [tuple(map(float, re.findall(r"-?[\d.]+", move))) for move in moves]  # type: ignore[misc]


def line(points: list[tuple[float, float]], **options: Any) -> ElementTree.Element:
    series = [charts.Series("a & b", points, "pca")]
    return parsed(charts.line_chart(series, title="t <", description="d &", x_label="x", y_label="y", **options))


@pytest.mark.parametrize("log_x", [False, True])
def test_points_land_where_the_ticks_say(log_x: bool) -> None:
    points = [(3.0, -0.2), (40.0, 0.15), (900.0, 0.7), (5000.0, 0.1)]
    root = line(points[::-1], log_x=log_x, at_x={"budget": 441.0})
    (x0, dx), (y0, dy) = scale(root, "x", log_x), scale(root, "y")
    for (x, y), (across, down) in zip(points, places(root), strict=True):
        assert across == pytest.approx(x0 + dx * (math.log10(x) if log_x else x), abs=0.05)
        assert down == pytest.approx(y0 + dy * y, abs=0.05)
    assert dx > 0 > dy
    dashed = [node for node in root.iter("line") if node.get("stroke-dasharray") != "none"]
    assert float(dashed[0].attrib["x1"]) == pytest.approx(x0 + dx * (math.log10(441) if log_x else 441), abs=0.05)
    path = next(node.attrib["d"] for node in root.iter("path") if node.get("stroke-linejoin"))
    assert path == "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in places(root))


@pytest.mark.parametrize("log_x", [False, True])
@pytest.mark.parametrize(
    ("points", "drawn"),
    [
        ([], 0),
        ([(math.nan, 1.0), (1.0, math.inf), (-math.inf, 2.0)], 0),
        ([(5.0, 5.0)], 1),
        ([(5.0, 5.0), (5.0, 5.0), (5.0, math.nan)], 2),
        ([(1e-90, 1e-320), (1e-90, 0.0)], 2),
        ([(1e9, 1e99), (2e9, -1e99)], 2),
        ([(7.001, 1.0), (7.002, 1.0000001)], 2),
        ([(1.0, 1e15), (1e30, 1e15 + 1)], 2),
    ],
)
def test_no_points_make_a_chart_crash(points: list[tuple[float, float]], drawn: int, log_x: bool) -> None:
    root = line(points, log_x=log_x)
    assert len(places(root)) == drawn
    for across, down in places(root):
        assert 0 < across < 640
        assert 0 < down < 400


def test_ticks_are_where_it_is_said_and_do_not_run_into_each_other() -> None:
    sizes = [4.0, 6.0, 512.0, 100_000.0, 110_000.0]
    root = line([(size, 30.0) for size in sizes], log_x=True, x_ticks=sizes, y_range=(0, 100))
    told = [node.text for node in root.iter("text") if node.get("class") == "x"]
    assert told == ["4", "6", "512", "100,000"]
    (y0, dy) = scale(root, "y")
    assert [round(y0 + dy * value) for value in (0, 30, 100)] == [354, round(places(root)[0][1]), 36]
    assert "a & b: 30 at 4 to 30 at 1.1e+05." in (root.findtext("desc") or "")


def test_a_chart_for_phones_fits_them_with_letters_of_the_same_size() -> None:
    both = charts.for_screens(
        charts.bar_chart, [charts.Bars("Autoencoder", [3.0, 10.0], errors=[0.5, 1.5])], ("one", "two"), title="t",
        description="d", x_label="x",
    )  # fmt: skip
    wide, narrow = (parsed(svg) for svg in re.findall(r"<svg.*?</svg>", both, re.DOTALL))
    assert [root.get("font-size") for root in (wide, narrow)] == ["13", "13"]
    assert (wide.get("width"), narrow.get("width")) == ("640", "350")
    for node in narrow.iter("text"):
        if node.get("class") == "value":
            assert float(node.attrib["x"]) + 7.2 * len(node.text or "") <= 350
    assert "Autoencoder: 3 ± 0.5, 10 ± 1.5." in (narrow.findtext("desc") or "")


def test_a_sheet_becomes_rows_with_text_and_a_drawing_has_a_dark_one() -> None:
    pictures = list(torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    sheet = before_after_sheet([("one <", pictures), ("", pictures)], title="a title", columns=3)
    shown = page.figure(sheet, alt="what it is", caption="below")
    reader = Reader(shown)
    assert reader.text == "a title one < below"
    assert reader.attributes("alt") == [f"what it is: {row}{count}" for row in ("one <, ", "")
                                        for count in ("5 pictures", "more")]  # fmt: skip
    first = Image.open(io.BytesIO(base64.b64decode(reader.attributes("src")[0].split(",")[1])))
    assert first.size == (3 * 64 + 2 * 6, 64)
    array, expected = np.asarray(first.convert("RGBA")), to_uint8(torch.stack(pictures[:1]))[0].transpose(1, 2, 0)
    assert np.array_equal(array[4:64:8, 4:64:8, :3], expected)
    assert (array[:, 64:70, 3] == 0).all(), "what lies between is transparent"
    drawing = Image.new("RGB", (4, 2), "white")
    drawing.paste((255, 0, 0), (0, 0, 1, 1))
    drawing.info[KEPT_LIGHT] = json.dumps([[2, 0, 4, 2]])
    dark = np.asarray(in_the_dark(drawing))
    assert dark[0, 1].tolist() == [21, 21, 21]
    assert dark[0, 2].tolist() == [255, 255, 255], "a picture in it stays"
    assert dark[0, 0].tolist() == [231, 21, 21], "its hue stays"


def test_the_words_of_a_sheets_columns_stand_by_its_pictures_as_text() -> None:
    grey = [torch.full((1, 8, 8), 0.5)] * 5
    rows = [("same <items>", []), ("a", grey), ("b", grey)]
    sheet = before_after_sheet(rows, columns=3, heads=["one &", "", "3", "4", "5"], notes=["1 dB", "2 dB"])
    found = sheet_rows(sheet)
    assert found is not None
    assert [(row.caption, row.count) for row in found.rows] == [("same <items>", 0), ("a", 5), ("b", 5)]
    assert Reader(page.figure(sheet, alt="x")).text == (
        "same <items> a one & 3 From left to right: one &, -, 3. 4 5 From left to right: 4, 5. "
        "b 1 dB 2 dB Below each, from left to right: 1 dB, 2 dB."
    )
    styles = re.findall(r"repeat\((\d),1fr\);max-width:(\d+)px", page.figure(sheet, alt="x"))
    assert styles == [("3", "204"), ("2", "134"), ("3", "204")]


def test_large_pictures_are_jpeg_and_the_page_says_so() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    address = address_of(Image.fromarray(noise))
    assert address.startswith("data:image/jpeg")
    image = Html(f'<img alt="x" src="{address}">')
    assert "large pictures of this page are JPEG" in page.document("t", [], [Section("s", [image])], footer="f")
    assert "JPEG" not in page.document("t", [], [], footer="f")


def test_zero_has_no_place_on_a_logarithmic_axis() -> None:
    assert len(places(line([(0.0, 1.0), (1e-300, 1.0), (10.0, 2.0)], log_x=True, at_x={"none": 0.0}))) == 1
    assert len(places(line([(0.0, 1.0), (-1.0, 1.0), (10.0, 2.0)]))) == 3


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_and_inside(low: float, span: float) -> None:
    high = low + span
    if high - low < 1e-4 * abs(low):  # the step is read off the ticks: too few digits are left
        return
    found = charts.ticks(low, high)
    assert 2 <= len(found) <= 8
    step = (found[-1] - found[0]) / (len(found) - 1)
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-6)
    assert min(abs(mantissa - whole) for whole in (1, 2, 5, 10)) < 1e-3
    for value in found:
        assert low - 1e-6 * span <= value <= high + 1e-6 * span
        assert abs(value / step - round(value / step)) < 1e-3


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (30, 1300, [50, 100, 200, 500, 1000]),
        (1, 100, [1, 2, 5, 10, 20, 50, 100]),
        (1, 1e6, [1, 10, 100, 1e3, 1e4, 1e5, 1e6]),
        (300, 420, [300, 320, 340, 360, 380, 400, 420]),
    ],
)
def test_logarithmic_ticks(low: float, high: float, expected: list[float]) -> None:
    assert charts.log_ticks(low, high) == pytest.approx(expected)
    assert len(charts.log_ticks(1e-30, 1e30)) <= 8


def bars(groups: list[charts.Bars], names: tuple[str, ...] = ("one", "two")) -> ElementTree.Element:
    return parsed(charts.bar_chart(groups, names, title="t", description="d", x_label="x"))


def test_bars_are_as_long_as_their_values() -> None:
    root = bars([charts.Bars("PCA", [3.0, 47.5], "pca"), charts.Bars("<VAE>", [0.0, 20.25], "vae")])
    offset, slope = scale(root, "x")
    found = [node for node in root.iter("rect") if node.get("class") == "bar"]
    for node, value in zip(found, [3.0, 47.5, 0.0, 20.25], strict=True):
        assert float(node.attrib["x"]) == pytest.approx(offset, abs=0.05)
        assert float(node.attrib["width"]) == pytest.approx(slope * value, abs=0.05)
    assert [node.text for node in root.iter("text") if node.get("class") == "value"] == ["3", "47.5", "0", "20.2"]
    assert [node.attrib["fill"] for node in found] == ["#0072b2"] * 2 + ["#009e73"] * 2
    assert [node.attrib["fill-opacity"] for node in found] == ["0.30", "1.00"] * 2


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([None, None], 0),
        ([math.nan, math.inf], 0),
        ([None, 4.0], 1),
        ([0.0, 0.0], 2),
        ([-3.0, 1e300], 1),
        ([-3.0, 2.0], 2),
    ],
)
def test_no_values_make_bars_crash(values: list[float | None], drawn: int) -> None:
    root = bars([charts.Bars("a", values)])
    found = [node for node in root.iter("rect") if node.get("class") == "bar"]
    assert len(found) == drawn
    assert all(float(node.attrib["x"]) > 0 and float(node.attrib["width"]) >= 0 for node in found)
    assert len([node for node in root.iter("text") if node.get("class") == "value"]) in (0, 2)


def test_no_groups_and_one_series() -> None:
    bars([])
    assert next(bars([charts.Bars("a", [1.0])], ("one",)).iter("rect")).get("fill-opacity") == "1.00"


def test_a_rung_has_one_colour_everywhere_and_it_is_seen_on_light_and_dark() -> None:
    keys = ["vqvae", "pca", "vae", "ae"]
    series = [charts.Series(key, [(1.0, 2.0)], key) for key in keys]
    root = parsed(charts.line_chart(series, title="t", description="d", x_label="x", y_label="y"))
    in_lines = [node.attrib["fill"] for node in root.iter("path") if node.get("class") == "point"]
    in_bars = [node.attrib["fill"] for node in bars([charts.Bars(key, [1.0, 2.0], key) for key in keys]).iter("rect")][
        ::2
    ]
    in_text = [re.findall(r'fill="(#\w+)"', charts.marker(key))[0] for key in keys]
    assert in_lines == in_bars == in_text
    assert len(set(in_lines)) == 4
    papers = re.findall(r"--paper:(#\w+)", page.document("t", [], []))
    assert len(papers) == 2
    for paper in papers:
        for colour in [*in_lines, *(re.findall(r'fill="(#\w+)"', charts.marker("", place))[0] for place in range(9))]:
            assert contrast(colour, paper) >= 3, (colour, paper)  # WCAG 2.1, 1.4.11


def contrast(one: str, other: str) -> float:
    def light(code: str) -> float:
        code = "#" + "".join(2 * letter for letter in code[1:]) if len(code) == 4 else code
        parts = np.array([int(code[place : place + 2], 16) / 255 for place in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)


def test_long_legends_wrap() -> None:
    series = [charts.Series(f"a series with a long name {number}", [(1.0, 1.0)]) for number in range(8)]
    root = parsed(charts.line_chart(series, title="t", description="d", x_label="x", y_label="y"))
    names = [node for node in root.iter("text") if (node.text or "").startswith("a series")]
    assert max(float(node.attrib["x"]) for node in names) < 500
    assert len({node.attrib["y"] for node in names}) == 4


# The latent map


def coloured(image: Image.Image, colour: tuple[int, int, int], plane: int = 440) -> np.ndarray:
    array = np.asarray(image)[:, :plane]
    return np.argwhere(np.all(array == colour, axis=2))


def test_the_latent_map_puts_classes_in_their_places_and_is_the_same_again() -> None:
    points = np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0]])
    image = latent_map(points, [0, 1, 2], ["<low>", "high", "right"])
    assert image.mode == "RGB"
    assert image.width > 440 == image.height
    low, high = coloured(image, (0x33, 0x22, 0x88)).mean(axis=0), coloured(image, (0xCC, 0x66, 0x77)).mean(axis=0)
    assert low == pytest.approx([424, 16], abs=2)  # row, column: up is up
    assert high == pytest.approx([16, 424], abs=2)
    cloud = np.random.default_rng(1).normal(size=(500, 2))
    labels = np.arange(500) % 30
    again = [latent_map(cloud, labels, None).tobytes() for _ in range(2)]
    assert again[0] == again[1]
    broken, whole = (latent_map(points, [0, 0, 0], [name]).tobytes() for name in ("a\n b", "a b"))
    assert broken == whole


def test_both_axes_of_the_latent_map_have_one_scale() -> None:
    image = latent_map(np.array([[0.0, 0.0], [4.0, 1.0]]), None)
    assert image.size == (440, 440)
    found = coloured(image, (0x33, 0x22, 0x88))
    first, second = found[found[:, 1] < 220].mean(axis=0), found[found[:, 1] > 220].mean(axis=0)
    assert abs(second[1] - first[1]) / abs(second[0] - first[0]) == pytest.approx(4, abs=0.1)


def test_the_words_of_the_axes_stand_around_the_plane() -> None:
    points = np.array([[0.0, 0.0], [4.0, 1.0]])
    plain, named = latent_map(points, None), latent_map(points, None, axes=("across", "upwards"))
    assert named.size == (464, 464)
    assert named.crop((24, 0, 464, 440)).tobytes() == plain.tobytes()
    dark = np.asarray(named.convert("L")) < 128
    below, aside = np.argwhere(dark[440:]), np.argwhere(dark[:, :24])
    assert below[:, 1].mean() == pytest.approx(24 + 220, abs=4)
    assert aside[:, 0].mean() == pytest.approx(220, abs=4)
    assert np.ptp(aside[:, 0]) > 3 * np.ptp(aside[:, 1])  # written along the edge


def test_what_the_eye_sees_is_said_and_that_it_sees_nothing_too(tmp_path: Path) -> None:
    document = result()
    assert "Where the eye" not in render(document, tmp_path).text
    document["eye"] = [{"statement": "The <eye> tells them apart.", "numbers": "0.4 against 0.9"}]
    assert "The <eye> tells them apart. (0.4 against 0.9.)" in render(document, tmp_path).text
    document["eye"] = []
    assert "Nowhere: rungs that the distances put close" in render(document, tmp_path).text


@pytest.mark.parametrize(
    ("points", "labels"),
    [
        (np.zeros((0, 2)), None),
        (np.zeros((0, 2)), []),
        (np.full((4, 2), np.nan), [0, 1, 2, 3]),
        (np.full((4, 2), 7.0), [0, 0, 0, -50]),
        (np.array([[0.0, 1.0], [np.inf, 2.0], [3.0, np.nan]]), [0, 1, 2]),
        (np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32), np.arange(300)),
    ],
)
def test_no_points_make_the_latent_map_crash(points: np.ndarray, labels: Any) -> None:
    image = latent_map(points, labels, ["名前\n\x00" * 40, "b"])
    assert image.height == 440
    assert image.width < 800
    missing = int((~np.isfinite(points).all(axis=1)).sum())
    assert bool(missing) <= (image.width > 440)

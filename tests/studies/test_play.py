"""What a report lets its readers play with: exact by other code than its own, and by hand in Chromium."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import vqkit
from tests.browsers import AXE
from tests.results.cases import check
from tests.studies.test_report import put_pictures, result
from vqkit.data import ArraySource
from vqkit.models import Model
from vqkit.pictures import before_after_sheet, to_uint8
from vqkit.signals import signal_kind
from vqkit.studies.beta.report import write_report as write_beta
from vqkit.studies.ladder.report import write_report
from vqkit.studies.play.blocks import plane_in_words
from vqkit.studies.play.making import keep_play, plane_play, read_play
from vqkit.studies.play.sprites import reduced, sprite
from vqkit.studies.play.tokens import token_play
from vqkit.studies.report.pictures import save

SHAPE: dict[str, Any] = {"channels": 1, "hidden_channels": 8, "residual_channels": 4, "downsampling": 2}


def digits(count: int = 60) -> Tensor:
    return torch.from_numpy(vqkit.load_source("builtin:digits").gather(range(count)))


def models() -> dict[str, Model]:
    """The rungs, untrained."""
    torch.manual_seed(0)
    pca = vqkit.PCA(8, size=(8, 8), channels=1)
    pca.fit(lambda: [digits()])
    vqvae = vqkit.VQVAE(16, code_dim=4, **SHAPE)
    vqvae.prepare([digits()])
    return {"pca": pca, "ae": vqkit.Autoencoder(6, size=(8, 8), **SHAPE).eval(),
            "vae": vqkit.VAE(2, size=(8, 8), **SHAPE).eval(), "vqvae": vqvae.eval()}  # fmt: skip


@dataclass(frozen=True)
class Played:
    """A page with what it was made of."""

    folder: Path
    models: dict[str, Model]

    def found(self, key: str) -> dict[str, Any]:
        return read_play(self.folder / key)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The report of a comparison of untrained rungs."""
    folder = tmp_path_factory.mktemp("played")
    source, made, document = vqkit.load_source("builtin:digits").subset(range(60)), models(), result()
    for key, model in made.items():
        keep_play(folder / key, model, source)
    (folder / "pictures").mkdir()
    put_pictures(folder / "pictures", document)
    rows = [(name, list(digits(10))) for name in ("original", "PCA: again")]
    save(before_after_sheet(rows, title="the same <images>"), folder / "pictures" / "four.png")
    document["data"]["class_names"] = [str(number) for number in range(10)]
    write_report(document, folder / "pictures", folder / "report.html")
    return Played(folder, made)


def tiles(made: dict[str, Any]) -> np.ndarray:
    """The pictures of a sprite, ``[count, height, width]``."""
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(made["address"].partition(",")[2]))))
    (high, wide), columns = made["tile"], made["columns"]
    return np.stack([
        sheet[number // columns * high :, number % columns * wide :][:high, :wide] for number in range(made["count"])
    ])  # fmt: skip


def _tile(made: dict[str, Any], number: int) -> np.ndarray:
    """One picture of a sprite, ``[channels, height, width]``."""
    found = tiles(made)[number]
    return found[None] if found.ndim == 2 else found.transpose(2, 0, 1)


# What is decoded beforehand


@pytest.mark.parametrize("key", ["pca", "ae", "vae", "vqvae"])
def test_what_is_kept_is_what_its_schema_says(played: Played, key: str) -> None:
    found = played.found(key)
    check("play", found)
    assert bool(found.get("tokens")) == (key == "vqvae")


def test_the_middle_of_a_plane_is_what_the_mean_latents_decode_to(played: Played) -> None:
    autoencoder = played.models["ae"]
    plane = played.found("ae")["plane"]
    latents = autoencoder.encode(digits())
    expected = to_uint8(autoencoder.decode(latents.mean(dim=0, keepdim=True), (8, 8)))[0, 0]
    middle = plane["side"] ** 2 // 2
    assert np.abs(tiles(plane["sprite"])[middle].astype(int) - expected).max() <= 1
    points = np.array(plane["points"])
    assert points.std(axis=0) == pytest.approx([1, 1], abs=0.02)
    assert plane["explained"][0] >= plane["explained"][1]


def test_a_place_of_two_latent_numbers_is_decoded_there() -> None:
    two: Any = vqkit.PCA(2, size=(8, 8), channels=1)
    two.fit(lambda: [digits()])
    plane = plane_play(two, digits())
    assert plane_in_words(plane).startswith("All of the latent space: it has two numbers.")
    latents = two.encode(digits()).flatten(1).double().numpy()
    values, vectors = np.linalg.eigh(np.cov(latents.T, bias=True))
    vectors = vectors[:, ::-1] * np.sign(vectors[:, ::-1][np.abs(vectors[:, ::-1]).argmax(axis=0), [0, 1]])
    side, reach = plane["side"], plane["reach"]
    row, column = 3, side - 2
    place = np.array([(column + 0.5) / side * 2 - 1, 1 - (row + 0.5) / side * 2]) * reach
    lifted = latents.mean(axis=0) + vectors @ (place * np.sqrt(values[::-1]))
    expected = to_uint8(two.decode(torch.tensor(lifted, dtype=torch.float32)[None], (8, 8)))[0, 0]
    assert np.abs(tiles(plane["sprite"])[row * side + column].astype(int) - expected).max() <= 1


def test_each_replacement_is_the_whole_grid_decoded(played: Played) -> None:
    model: Any = played.models["vqvae"]
    tokens = played.found("vqvae")["tokens"]
    base, window = tiles(tokens["pictures"]), tokens["window"]
    indices = model.encode(digits())
    assert tokens["indices"] == indices[: len(tokens["indices"])].flatten(1).tolist()
    counts = torch.bincount(indices.flatten(), minlength=16)
    assert tokens["counts"] == {str(code): int(counts[code]) for code in range(16) if counts[code]}
    assert sum(tokens["counts"].values()) == indices.numel()
    assert tokens["codes"][0] == int(counts.argmax())
    for item, place, number in ((0, 0, 1), (3, 5, 0), (2, 15, len(tokens["codes"]) - 1)):
        grid = indices[item].flatten().clone()
        grid[place] = tokens["codes"][number]
        expected = to_uint8(model.decode(grid.view(1, 4, 4), (8, 8)))[0, 0]
        shown, (top, left) = base[item].copy(), tokens["starts"][place]
        part = tiles(tokens["changes"][item])[place * len(tokens["codes"]) + number]
        shown[top : top + window[0], left : left + window[1]] = part
        assert np.array_equal(shown, expected)


def test_a_replacement_far_away_changes_nothing_here() -> None:
    torch.manual_seed(0)
    model = vqkit.VQVAE(8, code_dim=4, channels=3, hidden_channels=4, residual_channels=2, downsampling=2)
    images = torch.rand(2, 3, 28, 32)
    model.prepare([images])
    found = token_play(model.eval(), images)
    assert found is not None
    assert found["window"][0] < 28  # the part that changes alone is kept
    assert found["window"][1] < 32
    item, place, number, (high, wide) = 0, 3 * 16 + 9, 1, found["window"]  # row 3, column 9 of 14 by 16
    grid = torch.tensor(found["indices"][item])
    grid[place] = found["codes"][number]
    expected = to_uint8(model.decode(grid.view(1, 14, 16), (28, 32)))[0]
    shown = to_uint8(model.decode(torch.tensor(found["indices"][item]).view(1, 14, 16), (28, 32)))[0]
    assert not np.array_equal(shown, expected)
    top, left = found["starts"][place]
    shown[:, top : top + high, left : left + wide] = _tile(found["changes"][item], place * len(found["codes"]) + number)
    assert np.abs(shown.astype(int) - expected).max() <= (0 if found["changes"][item]["exact"] else 12)
    assert token_play(vqkit.VQVAE(8, code_dim=4, num_codebooks=2, **SHAPE).eval(), digits(4)) is None


def test_sprites_and_what_is_no_picture(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 3, 200, 200), dtype=np.uint8)
    assert not sprite(noise, 2)["exact"]
    assert reduced(noise, 96).shape == (4, 3, 67, 67)
    assert np.array_equal(tiles(sprite(noise[:, :1, :9, :7], 3)), noise[:, 0, :9, :7])
    sounds = ArraySource(np.zeros((4, 1, 64), dtype=np.float32), kind=signal_kind("sound"))
    keep_play(tmp_path / "ae", models()["ae"], sounds)
    assert not (tmp_path / "ae").exists()
    assert read_play(tmp_path) == {}
    one = plane_play(vqkit.Autoencoder(1, size=(8, 8), **SHAPE).eval(), digits(8))
    assert plane_in_words(one).startswith("The one latent number")


# The page in Chromium


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file; afterwards nothing may have been asked for, and no script may have failed."""
    contexts, requests, faults = [], [], []

    def opened(file: Path, *, phone: bool = False, dark: bool = False, scripts: bool = True) -> Any:
        size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 900}
        scheme = "dark" if dark else "light"
        context = chromium.new_context(viewport=size, color_scheme=scheme, java_script_enabled=scripts)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def pixels(canvas: Any) -> np.ndarray:
    """The grey values of a canvas, whose page is a file: read through its drawing context."""
    values = canvas.evaluate("c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]")
    high, wide = canvas.evaluate("c => [c.height, c.width]")
    return np.array(values, dtype=np.uint8).reshape(high, wide, 4)[..., 0]


def test_a_point_is_dragged_and_moved_by_keys(visit: Any, played: Played) -> None:
    page = visit(played.folder / "report.html")
    cards = page.locator(".plane-card")
    plane = played.found("vae")["plane"]
    drawn, side, card = tiles(plane["sprite"]), plane["side"], cards.nth(2)
    card.locator("canvas").wait_for()
    page.wait_for_function("document.querySelectorAll('.where')[3].textContent")
    assert np.array_equal(pixels(card.locator("canvas")), drawn[side * side // 2])
    pad = card.locator(".pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.999, box["y"] + box["height"] * 0.001, steps=4)
    page.mouse.up()
    assert np.array_equal(pixels(card.locator("canvas")), drawn[side - 1])
    places = [text.split(". ")[0] for text in cards.locator(".where").all_inner_texts()]
    assert len(set(places)) == 1, "all points move together"
    page.get_by_label("Move all points together").uncheck()
    page.get_by_role("button", name="To the middle").click()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "application"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    first = tiles(played.found("pca")["plane"]["sprite"])
    side = played.found("pca")["plane"]["side"]
    expected = first[(side // 2 + 4) * side + side // 2 + 1]
    assert np.array_equal(pixels(cards.first.locator("canvas")), expected)
    assert np.array_equal(pixels(card.locator("canvas")), drawn[len(drawn) // 2])


def test_codes_take_each_other_s_place_by_mouse_and_keys(visit: Any, played: Played) -> None:
    page = visit(played.folder / "report.html")
    model: Any = played.models["vqvae"]
    tokens = played.found("vqvae")["tokens"]
    cells = page.get_by_role("gridcell")
    cells.nth(5).click()
    own = tokens["indices"][0]
    assert page.locator(".grid .same").count() == own.count(own[5]) - 1
    everywhere = sum(grid.count(own[5]) for grid in tokens["indices"])
    assert page.locator(".marks .same").count() == everywhere
    told = page.locator(".tokens .told")
    assert f"code {own[5]}, at {own.count(own[5])} of the 16 positions here" in told.inner_text()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == f"row 3, column 2: code {own[9]}"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    chosen = tokens["codes"][0]
    grid = torch.tensor(own)
    grid[9] = chosen
    expected = to_uint8(model.decode(grid.view(1, 4, 4), (8, 8)))[0, 0]
    assert np.array_equal(pixels(page.locator(".grid canvas")), expected)
    if chosen != own[9]:
        assert f"Replaced by code {chosen}" in told.inner_text()
    page.locator(".items button").nth(1).click()
    assert "Picture 2, row 3, column 2" in told.inner_text()


def test_rungs_hide_columns_sort_and_only_what_scrolls_is_a_tab_stop(visit: Any, played: Played) -> None:
    page = visit(played.folder / "report.html", phone=True, dark=True)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.get_by_label("Autoencoder", exact=True).uncheck()
    assert page.locator("[data-part=ae]").filter(visible=True).count() == 0
    assert page.locator("[data-part=vae]").filter(visible=True).count() > 5
    table = page.locator("table").first
    column = [cell.strip() for cell in table.locator("tbody tr td:nth-child(4)").all_inner_texts()]
    for order, sign in (("ascending", 1), ("descending", -1)):
        table.get_by_role("button", name="MSE").press("Enter")
        head = table.locator("th:nth-child(4)")
        assert head.get_attribute("aria-sort") == order
        seen = table.locator("tbody tr td:nth-child(4)").all_text_contents()
        assert seen == sorted(seen, key=float)[::sign]
        assert sorted(column) == sorted(seen)
    stops = page.evaluate(
        "[...document.querySelectorAll('.scroll')].map(b => [b.tabIndex, b.scrollWidth > b.clientWidth + 1])"
    )
    assert {True, False} == {scrolls for _, scrolls in stops}
    assert all((stop == 0) == scrolls for stop, scrolls in stops)
    assert page.locator("svg.chart").filter(visible=True).first.evaluate("s => s.getBoundingClientRect().width") <= 360
    page.emulate_media(media="print")
    assert page.locator(".narrow").filter(visible=True).count() == 0


def test_without_its_script_the_page_is_read(visit: Any, played: Played) -> None:
    page = visit(played.folder / "report.html", scripts=False)
    planes = page.locator(".plane-card img").filter(visible=True)
    assert planes.count() == 4
    assert "21 by 21 places" in planes.first.get_attribute("alt")
    assert page.locator("button, input, canvas, select").filter(visible=True).count() == 0
    assert page.get_by_text("the same <images>").is_visible()


def test_a_page_is_printed_on_white_with_all_that_is_seen(visit: Any, played: Played) -> None:
    page = visit(played.folder / "report.html", dark=True)
    page.locator("[role=grid] [role=gridcell]").first.click()
    assert page.locator("img.light").filter(visible=True).count() == 0
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("img.dark").filter(visible=True).count() == 0
    assert page.locator("img.light").filter(visible=True).count() == page.locator("img.light").count() > 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".tokens canvas").filter(visible=True).count() > 2
    assert page.locator(".chooser, .play-bar").filter(visible=True).count() == 0


def test_a_slider_goes_over_beta(visit: Any, tmp_path: Path) -> None:
    entries = [
        {"key": f"plain-{beta}", "title": f"beta {beta}", "variant": "plain", "beta": beta, "status": "done",
         "kl_bits": 8.0 / beta, "kl_bits_each": [4.0, 2.0], "active_units": 2, "latent_dim": 2, "psnr_db": 20.0 - beta,
         "snr_db": 3.0}
        for beta in (1.0, 4.0, 16.0)
    ]  # fmt: skip
    rows = [(each["title"], list(digits(10))) for each in entries]
    save(before_after_sheet(rows), tmp_path / "samples.png")
    save(before_after_sheet([("original", list(digits(10))), *rows]), tmp_path / "reconstructions.png")
    names = {name: f"{name}.png" for name in ("samples", "reconstructions")}
    write_beta({"data": {"name": "digits"}, "entries": entries, "pictures": names}, tmp_path, tmp_path / "beta.html")
    page = visit(tmp_path / "beta.html")
    slide = page.get_by_role("slider", name="Beta")
    assert "PSNR 19.00 dB, 8.0 bits an item" in page.locator(".beta .told").inner_text()
    slide.press("ArrowRight")
    slide.press("ArrowRight")
    assert "Beta 16, plain VAE: PSNR 4.00 dB, 0.5 bits an item" in page.locator(".beta .told").inner_text()
    assert slide.get_attribute("aria-valuetext") == "beta 16"
    assert page.locator(".beta img").filter(visible=True).count() == 3


def test_axe_finds_nothing(visit: Any, played: Played) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm install --no-save axe-core (or name axe.min.js: AXE=path)")
    for dark in (False, True):
        page = visit(played.folder / "report.html", dark=dark, phone=dark)
        page.get_by_role("gridcell").first.wait_for()
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run().then(r => r.violations)")
        told = [(each["id"], each["help"], [node["html"][:200] for node in each["nodes"][:3]]) for each in found]
        assert told == [], json.dumps(told, indent=1)

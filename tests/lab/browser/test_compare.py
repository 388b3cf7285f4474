"""The page Compare in Chromium: examples and drops of each kind, errors in one line, users apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.lab.browser.conftest import choose, choose_model, overflows, panel
from tests.lab.test_uploads import HOSTILE, png, tone

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_an_example_is_compared(visit: Any, picture: Any, phone: bool) -> None:
    page = visit("Compare", phone=phone)
    if phone:
        choose_model(page, "stack")
    choose(page, "or an example", "cat")
    panel(page).get_by_text("dB PSNR").wait_for()
    panel(page).get_by_role("cell", name="1", exact=True).wait_for()
    panel(page).get_by_text("so far").wait_for(state="detached")
    panel(page).locator(".vq-working").wait_for(state="detached")
    assert panel(page).locator(".vq-slider img").count() >= 2
    assert not overflows(page)
    picture(page, f"compare{'-phone' if phone else ''}")


def test_a_picture_is_dropped(visit: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(png(120, 80))
    page = visit("Compare")
    drop(page, tmp_path / "photo.png", "image/png")
    panel(page).get_by_text("120x80").wait_for()
    panel(page).get_by_text("600 tokens on a grid of 20 x 30").wait_for()


def drop(page: Any, file: Path, kind: str) -> None:
    """Drop a file on the field, as from the desktop."""
    transfer = page.evaluate_handle(
        """([bytes, name, type]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
            return transfer;
        }""",
        [list(file.read_bytes()), file.name, kind],
    )
    target = panel(page).locator("button", has_text="Drop File Here").first
    for event in ("dragenter", "dragover", "drop"):
        target.dispatch_event(event, {"dataTransfer": transfer})


def give(page: Any, *files: Path) -> None:
    """Choose files in the field."""
    panel(page).locator("input[type=file]").first.set_input_files([str(file) for file in files])


def test_a_sound_and_vectors(visit: Any, picture: Any, tmp_path: Path) -> None:
    page = visit("Compare", dark=True)
    choose_model(page, "voices")
    give(page, tone(tmp_path / "tone.wav", 0.5))
    panel(page).get_by_text("0.5 s", exact=True).wait_for()
    panel(page).get_by_role("cell", name="3", exact=True).wait_for()
    assert panel(page).get_by_label("Play").count() >= 2
    picture(page, "compare-sound-dark")
    choose_model(page, "vectors")
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32))
    give(page, tmp_path / "rows.npy")
    panel(page).get_by_text("The first 8 of 9 vectors").wait_for()


@pytest.mark.parametrize("name", ["empty.png", "bomb.png", "drawing.png", "half.png"])
def test_what_is_no_picture_is_said_in_one_line(visit: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(HOSTILE[name][0])
    page = visit("Compare")
    give(page, tmp_path / name)
    said = panel(page).get_by_role("alert").filter(has_text=name)
    said.wait_for()
    assert str(tmp_path) not in page.content()
    (tmp_path / "good.png").write_bytes(png(64, 64))  # and the page goes on
    panel(page).get_by_label("Remove").first.or_(panel(page).get_by_label("Clear").first).first.click()
    give(page, tmp_path / "good.png")
    panel(page).get_by_text("64x64").wait_for()
    said.wait_for(state="detached")


def test_two_users_do_not_mix(visit: Any) -> None:
    one, other = visit("Token grid"), visit("Token grid")
    choose(one, "or an example", "cat")
    choose(other, "or an example", "rocket")
    for page in (one, other):
        panel(page).locator("canvas.vq-grid").wait_for()
    panel(one).get_by_label("Code here").fill("9")
    panel(one).get_by_role("button", name="Put this code").click()
    panel(one).get_by_text("1 change so far").wait_for()
    panel(other).get_by_label("Code here").fill("11")
    panel(other).get_by_role("button", name="Put this code").click()
    panel(other).get_by_text("1 change so far").wait_for()
    assert "code 11" in panel(other).locator(".vq-cell").inner_text()
    panel(one).get_by_role("button", name="Undo").click()
    panel(one).get_by_text("so far").wait_for(state="detached")
    assert "1 change" in panel(other).locator(".vq-cell").inner_text()
    assert "37 x 64" in panel(one).locator(".vq-summary").inner_text()

"""The pages Codebook and Side by side in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lab.browser.conftest import choose, open_tab, overflows, panel
from tests.lab.test_uploads import png

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.browser


def test_the_map_and_the_places_of_a_code(visit: Any, picture: Any) -> None:
    page = visit("Codebook")
    choose(page, "Model", "stack")
    panel(page).get_by_role("button", name="Count the codes").click()
    dots = panel(page).locator("canvas.vq-map")
    dots.wait_for()
    panel(page).locator(".vq-codes img").first.wait_for()
    assert panel(page).get_by_role("cell", name="3", exact=True).first.is_visible()
    first = panel(page).locator(".vq-cell").inner_text()
    picture(page, "codebook")
    box = dots.bounding_box()
    dots.click(position={"x": box["width"] * 0.9, "y": box["height"] * 0.5})
    page.wait_for_function(
        "old => [...document.querySelectorAll('.vq-cell')].every(e => e.innerText !== old)", arg=first
    )
    dots.focus()
    for key in ("ArrowLeft", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    chosen = panel(page).locator(".vq-map-told").inner_text().partition(":")[0].removeprefix("code ")
    panel(page).locator(".vq-cell", has_text=f"Code {chosen}:").wait_for()


def give(page: Any, files: list[Path], told: str) -> None:
    """Choose files in the field until the page tells of them: those given while it is still being made are lost."""
    for patience in (10_000, 20_000, 60_000):
        panel(page).locator("input[type=file]").first.set_input_files([str(file) for file in files])
        try:
            panel(page).get_by_text(told).wait_for(timeout=patience)
        except playwright.TimeoutError:
            page.reload()
            open_tab(page, "Codebook")
        else:
            return
    raise AssertionError(f"the page never told: {told}")


def test_own_files_on_a_phone(visit: Any, picture: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(64, 64))
    (tmp_path / "b.png").write_bytes(png(32, 64))
    page = visit("Codebook", phone=True, dark=True)
    give(page, [tmp_path / "a.png", tmp_path / "b.png"], "2 of your files: 384 positions")
    assert not overflows(page)
    picture(page, "codebook-phone-dark")
    field = panel(page).get_by_label("Code", exact=True)
    field.fill("999")
    field.press("Enter")
    panel(page).get_by_role("alert").filter(has_text="0 to 63").wait_for()


def test_models_side_by_side(visit: Any, picture: Any) -> None:
    page = visit("Side by side")
    choose(page, "or an example", "cup of coffee")
    panel(page).get_by_role("cell", name="stack").wait_for()
    panel(page).locator(".vq-runs img").nth(2).wait_for()
    panel(page).locator(".vq-working").wait_for(state="detached")
    assert not overflows(page)
    picture(page, "runs")
    panel(page).get_by_label("sounds").check()
    panel(page).get_by_label("voices").wait_for()
    choose(page, "or an example", "One by one")
    panel(page).get_by_role("cell", name="voices").wait_for()

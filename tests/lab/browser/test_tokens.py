"""The page of the token grid in Chromium: click, keyboard alone, nearest codes, undo, sounds, phone, dark."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.browser.conftest import choose, choose_model, overflows, panel

pytestmark = pytest.mark.browser


def opened(page: Any, example: str) -> Any:
    choose(page, "or an example", example)
    canvas = panel(page).locator("canvas.vq-grid")
    canvas.wait_for()
    panel(page).locator(".vq-codes img").first.wait_for()
    return canvas


def pixel(canvas: Any, x: float, y: float) -> list[int]:
    """The colour at a part of the grid."""
    return list(
        canvas.evaluate(
            "(c, [x, y]) => [...c.getContext('2d').getImageData(c.width * x, c.height * y, 1, 1).data]", [x, y]
        )
    )


def test_a_code_is_put_and_taken_back_by_click(visit: Any, picture: Any) -> None:
    page = visit("Token grid")
    choose_model(page, "stack")
    canvas = opened(page, "cat")
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 10.5 / 32, "y": box["height"] * 7.5 / 19})
    panel(page).get_by_text("Row 8, column 11").wait_for()
    before = pixel(canvas, 10.3 / 32, 7.3 / 19)
    panel(page).locator(".vq-codes button").nth(5).click()
    panel(page).get_by_text("1 change so far").wait_for()
    page.wait_for_function(
        "([x, y, old]) => { const c = [...document.querySelectorAll('canvas.vq-grid')].find(e => e.offsetParent);"
        " const d = c.getContext('2d').getImageData(c.width * x, c.height * y, 1, 1).data;"
        " return old.some((v, i) => v !== d[i]); }",
        arg=[10.3 / 32, 7.3 / 19, before],
    )
    picture(page, "tokens")
    choose(page, "Codebook (of a residual stack: the stage)", "2")
    panel(page).get_by_text("codebook 2 of 3").wait_for()
    panel(page).get_by_role("button", name="Undo").click()
    panel(page).get_by_text("so far").wait_for(state="detached")


def test_by_keyboard_alone(visit: Any) -> None:
    page = visit("Token grid")
    canvas = opened(page, "cat")
    canvas.focus()
    assert canvas.evaluate("e => getComputedStyle(e).outlineStyle") != "none"
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    panel(page).locator(".vq-cell", has_text="column 3").wait_for()
    assert page.evaluate("document.activeElement.classList.contains('vq-grid')")
    field = panel(page).get_by_label("Code here")
    for _ in range(12):
        page.keyboard.press("Tab")
        if field.evaluate("e => e === document.activeElement"):
            break
    page.keyboard.press("Control+A")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    panel(page).locator(".vq-cell", has_text="code 7").wait_for()
    field.fill("64")
    field.press("Enter")
    panel(page).get_by_role("alert").filter(has_text="0 to 63").wait_for()


def test_a_sound_on_a_phone_in_the_dark(visit: Any, picture: Any) -> None:
    page = visit("Token grid", phone=True, dark=True)
    choose_model(page, "voices")
    opened(page, "One by one")
    assert panel(page).get_by_text("grid of 631 x 3 codebooks").is_visible()
    assert not overflows(page)
    picture(page, "tokens-sound-phone-dark")

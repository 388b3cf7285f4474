"""The page of the prior in Chromium: a mask painted, frames as the grid fills, stop; keyboard alone, phone, dark."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.lab.browser.conftest import choose, overflows, panel
from tests.lab.browser.played import Played, played

__all__ = ["played"]
pytestmark = pytest.mark.browser


def marked(page: Any) -> str:
    return str(panel(page).locator("#prior-mask .told").inner_text())


def started(page: Any, model: str = "digits") -> Any:
    """The page with a model, and the canvas of its mask."""
    canvas = panel(page).locator("#prior-mask canvas")
    canvas.wait_for()
    if model != "digits":
        choose(page, "Model", model)
    return canvas


def with_example(page: Any, number: int = 0) -> None:
    panel(page).get_by_label("or an example").first.click()
    page.get_by_role("option").nth(number).click()
    panel(page).locator("#prior-mask .told", has_text="4 of 16").wait_for()


def paint(page: Any, canvas: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] * start[0], box["y"] + box["height"] * start[1])
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end[0], box["y"] + box["height"] * end[1], steps=4)
    page.mouse.up()


def test_a_part_is_painted_and_drawn_frame_by_frame(visit: Any, played: Played, picture: Any) -> None:
    page = visit("Prior", address=played.address)
    canvas = started(page)
    assert "16 of 16" in marked(page)  # nothing is held yet
    with_example(page)
    paint(page, canvas, (0.1, 0.9), (0.9, 0.9))
    assert "8 of 16" in marked(page)
    panel(page).get_by_role("button", name="Draw", exact=True).click()
    done = panel(page).locator("[data-frame]", has_text="done, 8 of 16 positions")
    done.wait_for()
    assert int(done.get_attribute("data-frame")) >= 3
    panel(page).locator("#prior-drawn img").wait_for()
    seed = panel(page).get_by_label("Seed").element_handle()
    page.wait_for_function("seed => seed.value === '1'", arg=seed)
    assert panel(page).get_by_label("Guidance").first.is_visible()
    picture(page, "prior")
    panel(page).get_by_role("button", name="Hold all").click()
    panel(page).get_by_role("button", name="Draw", exact=True).click()
    panel(page).get_by_role("alert").filter(has_text="nothing to draw").wait_for()


def test_by_keyboard_alone(visit: Any, played: Played) -> None:
    page = visit("Prior", address=played.address)
    canvas = started(page)
    with_example(page)
    canvas.focus()
    for key in ("ArrowRight", "Space", "Shift+ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)
    # row 1 column 2 is marked, then painted down over two that the middle had marked already
    assert "5 of 16" in marked(page)
    for _ in range(3):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim() === 'Draw'"):
            break
    page.keyboard.press("Enter")
    panel(page).locator("[data-frame]", has_text="done, 5 of 16 positions").wait_for()


def test_a_drawing_is_stopped(visit: Any, played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    if played.trained:
        pytest.skip("of the small models")
    prior, calls = played.priors["digits"], []
    real = prior._features

    def slow(*given: Any) -> Any:
        calls.append(time.monotonic())
        time.sleep(1.5)
        return real(*given)

    monkeypatch.setattr(prior, "_features", slow)
    page = visit("Prior", address=played.address)
    started(page)
    panel(page).get_by_role("button", name="Draw", exact=True).click()
    panel(page).locator("[data-frame='1']").wait_for()
    panel(page).get_by_role("button", name="Stop").click()
    panel(page).get_by_text("Stopped.").wait_for()
    time.sleep(4)
    assert len(calls) < prior.steps


def test_a_model_without_a_prior_says_how_to_get_one(visit: Any, played: Played) -> None:
    page = visit("Prior", address=played.address)
    started(page, "no prior")
    panel(page).get_by_text("Train one with: vqkit prior RUN --kind masked").wait_for()
    assert not panel(page).locator("#prior-draw").is_visible()
    choose(page, "Model", "digits")
    panel(page).locator("#prior-draw").wait_for()


def test_a_sound_is_drawn_on_a_phone_in_the_dark(visit: Any, played: Played, picture: Any) -> None:
    page = visit("Prior", address=played.address, phone=True, dark=True)
    started(page, "voices")
    panel(page).locator("#prior-mask .told", has_text="32 of 32").wait_for()
    panel(page).get_by_role("button", name="Draw", exact=True).click()
    panel(page).locator("[data-frame]", has_text="done, 32 of 32 positions").wait_for()
    panel(page).get_by_text("Drawn sound").first.wait_for()
    assert not overflows(page)
    picture(page, "prior-sound-phone-dark")


def test_two_users_have_masks_of_their_own(visit: Any, played: Played) -> None:
    one, other = visit("Prior", address=played.address), visit("Prior", address=played.address)
    started(one)
    started(other)
    with_example(one)
    assert "16 of 16" in marked(other)
    panel(other).get_by_role("button", name="Draw", exact=True).click()
    panel(other).locator("[data-frame]", has_text="done, 16 of 16 positions").wait_for()
    panel(one).get_by_role("button", name="Draw", exact=True).click()
    panel(one).locator("[data-frame]", has_text="done, 4 of 16 positions").wait_for()

"""The page of the ladder in Chromium: trained at first use, dragged, sampled from; keyboard alone, phone, dark."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.browser.conftest import overflows, panel
from tests.lab.browser.played import Played, played

__all__ = ["played"]
pytestmark = pytest.mark.browser


def begun(page: Any) -> Any:
    """The cards of the four rungs; they are trained first where they are not there."""
    train = panel(page).locator("#ladder-train")
    cards = panel(page).locator(".rung")
    train.or_(cards.first).first.wait_for()
    if train.is_visible():
        train.click()
    cards.nth(3).wait_for()
    return cards


def drag(page: Any, card: Any, to: tuple[float, float]) -> None:
    pad = card.locator(".pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * to[0], box["y"] + box["height"] * to[1], steps=6)
    page.mouse.up()


def changed(page: Any, image: Any, before: str) -> None:
    page.wait_for_function("([image, old]) => image.src !== old", arg=[image.element_handle(), before])


def test_a_point_is_dragged_and_each_rung_decodes_it(visit: Any, played: Played, picture: Any) -> None:
    page = visit("Ladder", address=played.address)
    cards = begun(page)
    titles = cards.locator("h3").all_inner_texts()
    assert [title.partition(",")[0] for title in titles] == ["PCA", "Autoencoder", "VAE", "VQ-VAE"]
    assert titles[3].endswith("4 x 4 codes")
    for number in range(4):
        image = cards.nth(number).locator(".out img")
        before = image.get_attribute("src")
        drag(page, cards.nth(number), (0.9, 0.12))
        changed(page, image, before)
    cards.nth(3).get_by_text("of 16 codes differ").wait_for()
    for number in range(4):
        cards.nth(number).get_by_role("button", name="Sample from this latent space").click()
        cards.nth(number).locator(".new img").nth(7).wait_for()
    assert "N(0, I)" in cards.nth(2).inner_text()
    picture(page, "ladder")
    cards.nth(1).locator(".new button").nth(2).click()
    cards.nth(1).get_by_text("sample 3: at").wait_for()
    panel(page).locator("select.axes").select_option("1")
    panel(page).locator(".name", has_text="item 0 of 449 held out, class").wait_for()
    name = panel(page).locator(".name").inner_text()
    panel(page).get_by_role("button", name="Another item").click()
    page.wait_for_function("old => document.querySelector('#ladder .name').textContent !== old", arg=name)


def test_by_keyboard_alone(visit: Any, played: Played) -> None:
    page = visit("Ladder", address=played.address)
    card = begun(page).nth(2)
    pad = card.locator(".pad")
    for _ in range(40):
        page.keyboard.press("Tab")
        if pad.evaluate("pad => pad === document.activeElement"):
            break
    assert pad.evaluate("pad => pad === document.activeElement && getComputedStyle(pad).outlineStyle !== 'none'")
    before, image = card.locator(".out img").get_attribute("src"), card.locator(".out img")
    for key in ("ArrowRight", "Shift+ArrowRight", "Shift+ArrowUp", "Shift+ArrowUp"):
        page.keyboard.press(key)
    changed(page, image, before)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    card.locator(".new img").nth(7).wait_for()


def test_on_a_phone_in_the_dark(visit: Any, played: Played, picture: Any) -> None:
    page = visit("Ladder", address=played.address, phone=True, dark=True)
    card = begun(page).first
    assert not overflows(page)
    image, pad = card.locator(".out img"), card.locator(".pad")
    before = image.get_attribute("src")
    pad.tap(position={"x": 12, "y": 14})
    changed(page, image, before)
    picture(page, "ladder-phone-dark")

"""The page Compare in Chromium."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.browser.conftest import overflows


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_an_example_is_compared(visit: Any, picture: Any, phone: bool) -> None:
    page = visit("Compare", phone=phone)
    page.get_by_label("or an example").click()
    page.get_by_role("option", name="cat").click()
    page.get_by_text("dB PSNR").wait_for()
    page.get_by_role("table").wait_for()
    assert not overflows(page)
    picture(page, f"compare-{'phone' if phone else 'desktop'}")

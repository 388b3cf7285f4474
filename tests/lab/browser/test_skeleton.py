"""The page as a whole: tabs, no request off the machine, phone width, files of the server closed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.browser.conftest import choose, open_tab, overflows, panel


@pytest.mark.parametrize("phone", [False, pytest.param(True, marks=pytest.mark.browser)], ids=["desktop", "phone"])
def test_the_page_opens(visit: Any, picture: Any, phone: bool) -> None:
    page = visit(phone=phone)
    assert page.title() == "vqkit lab"
    assert page.get_by_role("tab", name="Compare").is_visible()
    assert not overflows(page)
    picture(page, f"start-{'phone' if phone else 'desktop'}")
    if not phone:  # one page of all of them, so that the browser is tried in each run of the tests
        open_tab(page, "Token grid")
        choose(page, "or an example", "cat")
        panel(page).locator("canvas.vq-grid").wait_for()

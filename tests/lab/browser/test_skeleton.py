"""The page as a whole: tabs, no request off the machine, phone width, files of the server closed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.browser.conftest import overflows


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_the_page_opens(visit: Any, picture: Any, phone: bool) -> None:
    page = visit(phone=phone)
    assert page.title() == "vqkit lab"
    assert page.get_by_role("tab", name="Compare").is_visible()
    assert not overflows(page)
    picture(page, f"start-{'phone' if phone else 'desktop'}")

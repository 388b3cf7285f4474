"""A lab that is served once, and pages whose every request must stay on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from PIL import Image

from tests.browsers import CHROMIUM

pytest.importorskip("gradio", reason="gradio is not installed: pip install 'vqkit[lab]'")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATIENCE_MS = 1000 * int(os.environ.get("VQKIT_LAB_PATIENCE", "90"))
MOST_BYTES = 150_000
IMAGES = Path(__file__).parents[3] / "docs" / "images" / "lab"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="Chromium is not installed (or name it: CHROMIUM=path)"))


@pytest.fixture
def visit(chromium: Any, lab: str) -> Iterator[Callable[..., Any]]:
    """Opens a page of the lab as a new user; afterwards no request may have left the machine, and no script failed."""
    contexts, requests, faults = [], [], []

    def opened(name: str | None = None, *, phone: bool = False, dark: bool = False, address: str | None = None) -> Any:
        context = chromium.new_context(
            viewport=PHONE if phone else DESKTOP,
            color_scheme="dark" if dark else "light",
            has_touch=phone,
            accept_downloads=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address or lab)
        page.get_by_role("tab").first.wait_for()
        if name is not None:
            open_tab(page, name)
        return page

    yield opened
    for context in contexts:
        context.close()
    outside = [url for url in requests if urlparse(url).hostname not in ("127.0.0.1", None)]
    assert outside == [], "requests that left the machine"
    assert faults == [], "errors of scripts"


def open_tab(page: Any, title: str) -> None:
    """Go to a page by its tab, which may be behind the button for more tabs on a narrow screen."""
    tab = page.get_by_role("tab", name=title, exact=True).filter(visible=True)
    more = page.get_by_role("button", name="More tabs").filter(visible=True)
    tab.or_(more).first.wait_for()
    if not tab.count():
        more.first.click()
        page.locator(".overflow-dropdown button", has_text=title).first.click()
        return
    tab.first.click()


@pytest.fixture
def picture() -> Callable[..., None]:
    """Writes a screenshot for the docs where VQKIT_LAB_PICTURES is set; else does nothing."""

    def taken(page: Any, name: str, **options: Any) -> None:
        folder = os.environ.get("VQKIT_LAB_PICTURES")
        if folder is None:
            return
        place = IMAGES if folder == "docs" else Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(500)  # of what fades in
        seen = Image.open(BytesIO(page.screenshot(full_page=True, **options))).convert("RGB")
        seen.thumbnail((1000, 4000), Image.Resampling.LANCZOS)
        for quality in range(84, 30, -6):
            seen.save(place / f"{name}.jpg", quality=quality, optimize=True, progressive=True)
            if (place / f"{name}.jpg").stat().st_size < MOST_BYTES:
                break

    return taken


def panel(page: Any) -> Any:
    """The part of the page that belongs to the chosen tab."""
    return page.get_by_role("tabpanel").filter(visible=True)


def choose(page: Any, field: str, option: str) -> None:
    """Choose an option of a dropdown of the chosen tab."""
    panel(page).get_by_label(field).first.click()
    page.get_by_role("option", name=option).first.click()


def choose_model(page: Any, name: str) -> None:
    """Choose a model, and wait until the page is ready for a signal of it."""
    choose(page, "Model", name)
    panel(page).locator(".vq-ready", has_text=f"{name}:").wait_for()


def overflows(page: Any) -> bool:
    """Whether the page is wider than the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth + 1"))

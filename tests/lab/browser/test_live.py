"""The page of a training that runs now, in Chromium: it begins later, goes on, is killed, ends; phone and dark."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from tests.lab.browser.conftest import overflows, panel
from tests.lab.browser.played import Played, log, played, settings
from vqkit.storage.lock import folder_lock

__all__ = ["played"]
pytestmark = pytest.mark.browser


def train(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "kind": "train",
        "loss": 3.0 * 0.99**step + 0.2,
        "psnr_db": 12 + step / 20,
        "usage": 0.25 + step / 200,
        "perplexity": 10 + step / 4,
        "restarts": 3,
        "signals_per_second": 512.0,
        "seconds": float(step),
    }


def test_a_run_that_begins_later_is_followed_to_its_end(visit: Any, played: Played, picture: Any) -> None:
    page = visit("Live", address=played.address)
    run = played.runs / "mine"
    panel(page).get_by_text("begins there is shown here by itself").wait_for()
    with folder_lock(run, "training"):
        settings(run, 100)
        log(run, *(train(step) for step in range(5, 50, 5)), rest='{"step": 50, "ki')
        live = panel(page).locator("#live")
        live.get_by_text("running", exact=True).wait_for()
        live.get_by_text("step 45 of 100").wait_for()
        live.get_by_text("34 of 64").wait_for()  # dead codes: 1 - (0.25 + 45/200) of 64
        assert live.locator("svg.chart").count() == 4
        (run / "pictures").mkdir()
        Image.new("RGB", (96, 32), "teal").save(run / "pictures" / "step_000000045.png")
        warning = {"step": 50, "kind": "warning", "message": "<b>the codebook is collapsing</b>"}
        validation = {"step": 50, "kind": "validation", "loss": 2.1, "psnr_db": 14.0, "usage": 0.6, "perplexity": 20.0}
        log(run, warning, {**validation, "step": 40}, validation, rest="")
        log(run)
        (run / "log.jsonl").write_text((run / "log.jsonl").read_text().replace('{"step": 50, "ki{', "{"))
        live.get_by_text("<b>the codebook is collapsing</b>").wait_for()
        panel(page).locator("#live-picture img").wait_for()
        picture(page, "live")
    live.get_by_text("not running: it was stopped or killed").wait_for()
    (run / "model").mkdir()
    (run / "model" / "config.json").write_text("{}")
    log(run, train(100), {"step": 100, "kind": "final", "loss": 1.0, "psnr_db": 17.5})
    live.get_by_text("finished", exact=True).wait_for()
    live.get_by_text("17.50 dB").wait_for()


def test_on_a_phone_in_the_dark(visit: Any, played: Played, picture: Any) -> None:
    run = played.runs / "mine"
    if not run.exists():
        settings(run, 100)
        log(run, *(train(step) for step in range(5, 50, 5)))
    page = visit("Live", address=played.address, phone=True, dark=True)
    panel(page).locator("#live svg.chart").first.wait_for()
    assert not overflows(page)
    picture(page, "live-phone-dark")

"""What the script of the page Ladder asks the server for, and requests that no page sends; without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import vqkit

pytest.importorskip("gradio", reason="gradio is not installed: pip install 'vqkit[lab]'")
from vqkit.lab.acts.ladder.ladders import OWN_NAME, Ladder, Rung
from vqkit.lab.pages.ladder import Shelf
from vqkit.studies.play.planes import LatentPlane

ASKED = {"ladder": OWN_NAME, "key": "pca", "pair": 0, "item": 3, "x": 0.5, "y": -0.5}


@pytest.fixture(scope="module")
def asked() -> Any:
    """The functions by name, of a shelf with one ladder that is open already."""
    digits = vqkit.load_source("builtin:digits")
    signals = torch.from_numpy(digits.gather(range(40)))
    pca = vqkit.PCA(8, size=(8, 8), channels=1)
    pca.fit(lambda: [signals])
    plane = LatentPlane(pca.eval(), signals)
    labels = None if digits.labels is None else [-1, *map(int, digits.labels[1:40])]
    shelf = Shelf(iter([]))
    shelf.is_there = lambda name: name == OWN_NAME  # type: ignore[method-assign]
    shelf._open[OWN_NAME] = Ladder({"pca": Rung("pca", "PCA", plane)}, signals, labels, digits.class_names)
    return {function.__name__: function for function in shelf.functions()}


def test_the_first_answer_holds_all_that_is_shown(asked: Any) -> None:
    answer = asked["begin"]({"ladder": OWN_NAME, "pair": 1, "item": 43})
    assert (answer["item"], answer["name"]) == (3, "item 3 of 40 held out, class 3")
    assert answer["pairs"] == ["1 and 2", "3 and 4", "5 and 6"]
    assert len(answer["labels"]) == len(answer["rungs"][0]["points"]) == 40
    assert set(answer["labels"]) <= set(range(10))
    assert answer["rungs"][0]["title"] == "PCA, 8 numbers"
    assert asked["begin"]({"ladder": OWN_NAME, "pair": 0, "item": 0})["name"] == "item 0 of 40 held out"


def test_a_point_and_samples_are_pictures(asked: Any) -> None:
    point = asked["decode"](ASKED)
    assert point["picture"].startswith("data:image/png;base64,")
    assert point["text"] == "at 0.50, -0.50"
    drawn = asked["sample"]({**ASKED, "seed": 1})
    assert len(drawn["points"]) == 8
    assert "variances of the scores" in drawn["from"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ladder": "../../etc"}, "no ladder '../../etc' is open here"),
        ({"ladder": None}, "no ladder None"),
        ({"key": "vae"}, "no rung of this ladder"),
        ({"key": ["pca"]}, "no rung of this ladder"),
        ({"item": "x"}, "item='x' is no whole number"),
        ({"item": True}, "item=True is no whole number"),
        ({"x": "1"}, "x='1' is no number"),
    ],
)
def test_requests_that_no_page_sends_get_one_line(asked: Any, changes: dict[str, Any], said: str) -> None:
    answer = asked["decode"]({**ASKED, **changes})
    assert said in answer["error"]
    assert "\n" not in answer["error"]


def test_requests_without_what_they_need(asked: Any) -> None:
    for request in (None, [1], "x", {}):
        assert "the request lacks 'ladder'" in asked["begin"](request)["error"]
    far = asked["decode"]({**ASKED, "pair": 10**9, "item": -(10**12), "x": 1e300, "y": float("nan")})
    assert far["picture"].startswith("data:image/png;base64,")


def test_folders_are_looked_into_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path))
    shelf = Shelf(iter([tmp_path]))
    assert shelf.names() == [OWN_NAME]
    assert not shelf.is_there(OWN_NAME)
    assert "no ladder" in shelf.functions()[0]({"ladder": OWN_NAME})["error"]

"""``vqkit probe``: runs and data in one line, labels by commas, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.cases import SMALL, refused
from vqkit.models import PCA, VQVAE

FEW = ("--validation", 0.3, "--set", "parts=1", "--set", "permutations=1", "--set", "resamples=50")


@pytest.fixture
def here(vq: Any, tmp_path: Path) -> Path:
    """Images in two class folders, labels beside them, and two models that were not trained, one with a codebook."""
    for number in range(60):
        file = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 60 + 100 * (number % 2)).save(file)
    about = {str(number): {"side": "ab"[number % 2], "third": number % 3} for number in range(60)}
    (tmp_path / "data" / "about.json").write_text(json.dumps(about))
    torch.manual_seed(0)
    model = VQVAE(16, channels=1, **SMALL)
    grays = torch.tensor([60, 160], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 8, 8).repeat(20, 1, 1, 1)
    model.prepare([grays])  # the codebook is the k-means of what the images become
    model.save_pretrained(tmp_path / "vq")
    PCA(2, size=(8, 8), channels=1).save_pretrained(tmp_path / "pca")
    return tmp_path


def test_runs_then_data(vq: Any, here: Path) -> None:
    found = vq("probe", "vq", "pca", "data", "--labels", "about.json:side,about.json:third", "-o", "p", *FEW)
    assert found.status == 0, found.err
    for word in ("side: 2 classes", "third: 3 classes", "indices of vq, mapping", "latents of pca", "permuted"):
        assert word in found.out, word
    assert "holds: The indices of vq tell the side better than chance." in found.out
    assert "report:  p/report.html" in found.out
    assert "probing for third" in found.err
    document = json.loads(Path("p/probe.json").read_text())
    assert document["command"].startswith("vqkit probe vq pca data --labels about.json:side,about.json:third")
    assert [each["name"] for each in document["models"]] == ["vq", "pca"]
    assert Path("p/pictures/codes-0-1-0.png").is_file()
    again = vq("probe", "vq", "pca", "data", "-l", "about.json:side", "-l", "about.json:third", "-o", "p", *FEW)
    assert again.status == 0
    assert json.loads(Path("p/probe.json").read_text())["label_sets"] == document["label_sets"]


def test_without_labels_the_class_folders_are(vq: Any, here: Path) -> None:
    found = vq("probe", "vq", "data", *FEW)
    assert found.status == 0, found.err
    assert "label: 2 classes, 42 training and 18 held-out items" in found.out
    assert Path("runs/probe/report.html").is_file()


def test_errors(vq: Any, here: Path) -> None:
    np.save("plain.npy", np.zeros((40, 8, 8), np.uint8))
    (here / "mine").mkdir()
    (here / "mine" / "thesis.txt").write_text("mine")
    refused(vq("probe", "vq"), "vqkit probe RUN DATA")
    refused(vq("probe", "data", "vq"), "data")
    refused(vq("probe", "vq", "nowhere"), "'nowhere' does not exist")
    refused(vq("probe", "vq", "plain.npy"), "has no labels", "--labels")
    refused(vq("probe", "vq", "plain.npy", "--labels", "digit"), "--labels digit")
    refused(vq("probe", "vq", "data", "--labels", "about.json"), "about.json:side")
    refused(vq("probe", "vq", "data", "--labels", "about.json:zap"), "no 'zap'", "side, third")
    refused(vq("probe", "vq", "data", "--labels", "about.json:side,about.json:side"), "once")
    refused(vq("probe", "vq", "data", "--validation", "last:2"), "2 held-out items", "--validation")
    refused(vq("probe", "vq", "data", "--validation", "1.5"), "validation")
    refused(vq("probe", "vq", "data", "--set", "parts=0"), "--set parts=0", "1 or more")
    refused(vq("probe", "vq", "data", "--set", "zap=1"), "--set zap=1", "resamples")
    refused(vq("probe", "vq", "data", "--out", "mine", *FEW), "mine holds something that is not a probe")
    assert (here / "mine" / "thesis.txt").read_text() == "mine"

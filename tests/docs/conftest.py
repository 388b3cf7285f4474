"""What tests of pages share: a folder with data under the names of the pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.cases import photos
from tests.pretrained.standins import write_standins
from vqkit.pretrained import reference


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the data that the pages name."""
    rng = np.random.default_rng(0)
    photos(tmp_path / "photos", 12, height=16, width=16)
    np.save(tmp_path / "images.npy", rng.integers(0, 256, (24, 16, 16, 3), dtype=np.uint8))
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    monkeypatch.setattr(reference, "WEIGHTS", tmp_path / ".models")  # pages do not wait for the real ones
    write_standins(tmp_path / ".models")
    monkeypatch.chdir(tmp_path)
    return tmp_path

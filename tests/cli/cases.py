"""What tests of the command line share: small options, the outcome of a command, a folder of images, a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2}
TINY = [
    "--hidden-channels",
    "8",
    "--residual-channels",
    "4",
    "--code-dim",
    "4",
    "-f",
    "2",
    "-k",
    "16",
    "--batch-size",
    "8",
    "--no-tensorboard",
]


class Outcome:
    """What one command did."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err


def photos(folder: Path, count: int = 4, *, height: int = 16, width: int = 12, mode: str = "RGB") -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        shape = (height, width, 3) if mode == "RGB" else (height, width)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def refused(outcome: Outcome, *words: str) -> None:
    """Status 2 and, last on standard error, one line that holds the words."""
    assert outcome.status == 2
    last = outcome.err.strip().splitlines()[-1]
    assert last.startswith("vqkit: ")
    assert sum(line.startswith("vqkit: ") for line in outcome.err.splitlines()) == 1
    for word in words:
        assert word in last, last

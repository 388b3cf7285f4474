"""A tracker of one's own: the events of a run as rows of a CSV file, as Weights & Biases or MLflow would get them.

Run it: ``python examples/extend/callback.py``. One class, given to ``train`` and ``resume``; nothing to register.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import vqkit


class CSVTracker(vqkit.Callback):
    """A table ``step, name, value`` of every number of the log.

    With Weights & Biases, ``on_start`` is ``wandb.init``, ``on_metrics`` is ``wandb.log(numbers, step=step)``, and
    ``on_end`` is ``wandb.finish``.

    Args:
        path: of the table; rows of a resumed run are appended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_start(self, run: vqkit.Run) -> None:
        """Write the header, unless the run is resumed."""
        del run
        if not self.path.exists():
            self._write([("step", "name", "value")])

    def on_metrics(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Write a row for each number."""
        numbers = {name: value for name, value in values.items() if isinstance(value, float)}
        self._write([(step, f"{kind}/{name}", value) for name, value in numbers.items()])

    def on_end(self, run: vqkit.Run) -> None:
        """Say how the run ended."""
        print(f"{self.path.name}: the run is {'finished' if run.finished else 'to be resumed'}")

    def _write(self, rows: list[tuple[Any, ...]]) -> None:
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)


def main() -> None:
    """Train with it, resume with it, read the table."""
    data = vqkit.load_source("digits")
    model = vqkit.VQVAE.for_source(data, 16, code_dim=8, downsampling=2, hidden_channels=8, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        tracker = CSVTracker(out / "metrics.csv")
        options: dict[str, Any] = {"quiet": True, "callbacks": [tracker]}
        vqkit.train(model, data, out=out / "run", steps=20, log_every=10, tensorboard=False, **options)
        vqkit.resume(out / "run", steps=40, **options)
        with tracker.path.open(encoding="utf-8", newline="") as file:
            losses = [row for row in csv.DictReader(file) if row["name"] == "train/loss"]
    assert [int(row["step"]) for row in losses][-1] == 40
    print("loss:", ", ".join(f"{float(row['value']):.3f} at step {row['step']}" for row in losses))


if __name__ == "__main__":
    main()

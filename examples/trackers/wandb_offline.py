"""Weights & Biases: a training logged to a folder of this machine; ``wandb sync FOLDER`` sends it later, if ever.

Run it: ``pip install wandb``, then ``python examples/trackers/wandb_offline.py``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from PIL import Image

import vqkit


class WandbTracker(vqkit.Callback):
    """Sends numbers and pictures to a run of Weights & Biases, which nobody else has to know of."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.client = wandb.init(dir=str(folder), mode="offline", **options)

    def on_metrics(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Send numbers as ``train/loss``, ``validation/psnr_db``."""
        numbers = {f"{kind}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
        self.client.log({"step": step, **numbers})

    def on_picture(self, step: int, name: str, picture: Image.Image) -> None:
        """Send a sheet of originals and reconstructions."""
        self.client.log({"step": step, name: wandb.Image(picture)})

    def on_end(self, run: vqkit.Run) -> None:
        """Send the last measures, and close."""
        self.client.summary.update({key: value for key, value in run.evaluation.items() if isinstance(value, float)})
        self.client.finish()


def main() -> None:
    """Train with it."""
    data = vqkit.load_source("digits")
    model = vqkit.VQVAE.for_source(data, 64, hidden_channels=16, residual_channels=8, downsampling=2)
    tracker = WandbTracker(Path(), project="vqkit")
    settings = {"steps": 60, "log_every": 10, "evaluations": 2, "quiet": True, "tensorboard": False}
    vqkit.train(model, data, callbacks=[tracker], **settings)
    print(f"logged to {tracker.client.dir}")


if __name__ == "__main__":
    main()

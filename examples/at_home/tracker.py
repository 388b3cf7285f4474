"""An experiment tracker: a callback that sends what Weights & Biases, MLflow or a table of one's own would be sent.

Run it: ``python examples/at_home/tracker.py``. ``client`` is the tracker's own run; here it is a list.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

import vqkit


class Tracker(vqkit.Callback):
    """Sends numbers, pictures and files to a client with ``append`` (of W&B: ``log``)."""

    def __init__(self, client: list[dict[str, Any]]) -> None:
        self.client = client

    def on_start(self, run: vqkit.Run) -> None:
        """Send the folder; called again where a run is resumed."""
        self.client.append({"folder": str(run.path)})

    def on_metrics(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Send numbers as ``train/loss``, ``validation/psnr_db``."""
        numbers = {f"{kind}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
        self.client.append({"step": step, **numbers})

    def on_picture(self, step: int, name: str, picture: Image.Image) -> None:
        """Send a sheet of originals and reconstructions."""
        self.client.append({"step": step, name: picture})

    def on_checkpoint(self, step: int, path: Path) -> None:
        """Send what a crash would be resumed from."""
        self.client.append({"step": step, "checkpoint": path.name})

    def on_end(self, run: vqkit.Run) -> None:
        """Send the last measures of a run that is finished."""
        self.client.append({"finished": run.finished, "measures": run.evaluation})


def main() -> None:
    """Train with it."""
    data = vqkit.load_source("digits")
    client: list[dict[str, Any]] = []
    model = vqkit.VQVAE.for_source(data, 64, hidden_channels=16, residual_channels=8, downsampling=2)
    settings = {"steps": 60, "log_every": 10, "evaluations": 2, "quiet": True, "tensorboard": False}
    vqkit.train(model, data, callbacks=[Tracker(client)], **settings)
    losses = [sent["train/loss"] for sent in client if "train/loss" in sent]
    assert losses[-1] < losses[0]
    print(f"{len(client)} messages; the loss went from {losses[0]:.2f} to {losses[-1]:.2f}")


if __name__ == "__main__":
    main()

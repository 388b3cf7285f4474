"""trackio: a training logged to a database of this machine; ``trackio show`` opens it in the browser.

Run it: ``pip install trackio``, then ``python examples/trackers/trackio_local.py``. ``TRACKIO_DIR`` says where it goes.
"""

from collections.abc import Mapping
from typing import Any

import trackio

import vqkit


class TrackioTracker(vqkit.Callback):
    """Sends numbers to a run of trackio."""

    def __init__(self, project: str = "vqkit") -> None:
        self.client = trackio.init(project=project)

    def on_metrics(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Send numbers as ``train/loss``, ``validation/psnr_db``."""
        numbers = {f"{kind}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
        trackio.log(numbers, step=step)

    def on_end(self, run: vqkit.Run) -> None:
        """Close."""
        trackio.finish()


def main() -> None:
    """Train with it."""
    data = vqkit.load_source("digits")
    model = vqkit.VQVAE.for_source(data, 64, hidden_channels=16, residual_channels=8, downsampling=2)
    tracker = TrackioTracker()
    settings = {"steps": 60, "log_every": 10, "evaluations": 2, "quiet": True, "tensorboard": False}
    vqkit.train(model, data, callbacks=[tracker], **settings)
    print(f"logged as {tracker.client.name}")


if __name__ == "__main__":
    main()

"""MLflow: a training logged to a database of this machine.

``mlflow ui --backend-store-uri sqlite:///mlflow.db`` shows it.

Run it: ``pip install mlflow-skinny sqlalchemy alembic``, then ``python examples/trackers/mlflow_local.py``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow

import vqkit


class MlflowTracker(vqkit.Callback):
    """Sends numbers to a run of MLflow; its names may hold no other signs than letters, digits and ``_-. /``."""

    def __init__(self, store: str, experiment: str = "vqkit") -> None:
        mlflow.set_tracking_uri(store)
        mlflow.set_experiment(experiment)
        self.client = mlflow.start_run()

    def on_start(self, run: vqkit.Run) -> None:
        """Say where the run lies."""
        mlflow.set_tag("folder", str(run.path))

    def on_metrics(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Send numbers as ``train/loss``, ``validation/psnr_db``."""
        numbers = {f"{kind}/{name}": float(value) for name, value in values.items() if isinstance(value, int | float)}
        mlflow.log_metrics(numbers, step=step)

    def on_end(self, run: vqkit.Run) -> None:
        """Close."""
        mlflow.end_run()


def main() -> None:
    """Train with it."""
    data = vqkit.load_source("digits")
    model = vqkit.VQVAE.for_source(data, 64, hidden_channels=16, residual_channels=8, downsampling=2)
    tracker = MlflowTracker(f"sqlite:///{Path('mlflow.db').absolute()}")
    settings = {"steps": 60, "log_every": 10, "evaluations": 2, "quiet": True, "tensorboard": False}
    vqkit.train(model, data, callbacks=[tracker], **settings)
    print(f"logged as {tracker.client.info.run_id}")


if __name__ == "__main__":
    main()

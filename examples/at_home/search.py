"""A search over settings in which hopeless trials are stopped early: the median rule, by a callback.

Run it: ``python examples/at_home/search.py``. With Optuna: ``trial.report`` and ``trial.should_prune`` in the callback.
"""

import itertools
import statistics
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import vqkit


class MedianPruner(vqkit.Callback):
    """Stops a trial whose PSNR is below the median of the earlier trials at the same step.

    Args:
        earlier: measures of the earlier trials by step; this trial's are added.
    """

    def __init__(self, earlier: dict[int, list[float]]) -> None:
        self.earlier = earlier

    def on_evaluation(self, step: int, values: Mapping[str, Any]) -> None:
        """Compare, and remember."""
        others, own = self.earlier[step], values["psnr_db"]
        if len(others) > 1 and own < statistics.median(others):
            self.stop(f"{own:.1f} dB are below the median")
        others.append(own)


def main() -> None:
    """Try six settings."""
    data = vqkit.load_source("digits")
    earlier: dict[int, list[float]] = defaultdict(list)
    found: list[tuple[float, str]] = []
    for rate, size in itertools.product((3e-3, 3e-4, 3e-5), (64, 16)):
        model = vqkit.VQVAE.for_source(data, size, seed=0, hidden_channels=16, residual_channels=8, downsampling=4)
        settings = {"steps": 60, "learning_rate": rate, "evaluations": 3, "quiet": True, "tensorboard": False}
        run = vqkit.train(model, data, callbacks=[MedianPruner(earlier)], **settings)
        assert run.evaluation is not None  # a stopped trial is finished, saved and judged as well
        found.append((run.evaluation["psnr_db"], f"learning_rate={rate}, codebook_size={size}, {run.step} steps"))
        print(f"{found[-1][0]:.2f} dB: {found[-1][1]}{' (stopped)' * (run.step < 60)}")
    print(f"the best: {max(found)[1]}")


if __name__ == "__main__":
    main()

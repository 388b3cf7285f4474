"""The learning rate over a run."""

from __future__ import annotations

import math

FINAL_FRACTION = 0.01
"""The cosine ends at this fraction of the peak."""


def learning_rate_factor(step: int, progress: float, warmup_steps: int) -> float:
    """Linear warm-up (by steps, at most a tenth of the run) times a cosine by progress: a fraction of the peak.

    Args:
        step: steps done so far.
        progress: fraction of the run that is done, in [0, 1]: by steps, or by the clock.
        warmup_steps: steps until the peak.
    """
    warmup = min(1.0, max((step + 1) / (warmup_steps + 1), 10 * progress))
    cosine = 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
    return warmup * (FINAL_FRACTION + (1 - FINAL_FRACTION) * cosine)

"""Looks at a codebook while it trains: how far the latents are from their codes, the codes from each other, restarts.

``CodebookMonitor`` counts which codes are used; this measures where they are. Both say in a sentence what is off and
what to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vqkit.checking import check_fields
from vqkit.quantizers import Quantizer
from vqkit.quantizers.base import flatten_grid
from vqkit.quantizers.codebook.base import CodebookQuantizer
from vqkit.spelling import option, setting
from vqkit.training.diagnostics.advice import another_quantizer

_LATENTS, _CODES, _BLOCK = 512, 256, 8192
EDGES = [2.0**power for power in range(-12, 3)]
"""Edges of the histograms' bins; what lies beyond counts in the first and in the last one."""
_FAR, _SMALL, _TOGETHER, _RESTLESS = 1.0, 0.5, 1e-3, 0.25
_TOLD = 2
"""Looks in a row after which a trouble is told."""
_EARLY, _RESTLESS_FROM = 500, 1000
"""Steps before which nothing is told: an encoder that still moves fast leaves codes behind, and restarts mend it."""


class Doctor:
    """One look every few steps; each trouble is told once, after it has been seen twice in a row (from step 500 on).

    Args:
        codebook_size: K.
        num_codebooks: C.
    """

    def __init__(self, codebook_size: int, num_codebooks: int = 1) -> None:
        self.codes = codebook_size * num_codebooks
        self.restarts = 0
        self.step = 0
        self.seen: dict[str, int] = {}

    def look(self, quantizer: Quantizer, latents: Tensor, step: int) -> tuple[dict[str, Any], list[str]]:
        """Return measures of latents ``[batch, D, *grid]`` for the log, and warnings to show.

        Values: ``code_distance``, the median over latents of the squared distance to the code over the latents'
        variance; ``code_distances``, its histogram over the bins of ``EDGES``; ``code_spacings``, the histogram of the
        squared distance from a code to the nearest other one over the codes' variance (for quantizers with a table);
        ``restarts_per_100_steps``, as a share of all codes.
        """
        values: dict[str, Any] = {}
        troubles: dict[str, str] = {}
        parts = [module for module in quantizer.modules() if isinstance(module, Quantizer)]
        if all(part.follows_latents for part in parts):
            distances = relative_distances(quantizer, latents)
            median = float(distances.median()) if len(distances) else 0.0
            values = {"code_distance": median, "code_distances": histogram(distances)}
            fixed = any(part.fixed_scale for part in parts)
            if fixed and median > _SMALL:
                troubles["small"] = (
                    "the latents are small beside the spacing of the quantizer's fixed codes, so few of these are used "
                    f"(median squared distance {median:.1f} of the variance). Try more steps, a higher learning rate"
                    + another_quantizer(f", or {option('quantizer', 'ema')}, whose codes go where the latents are")
                    + "."
                )
            if not fixed and median > _FAR:
                troubles["far"] = (
                    "the codes do not follow the latents: half of the latents are farther from their code than from "
                    f"the latents' mean (median squared distance {median:.1f} of the variance). Try "
                    f"{setting('cosine', True)}, {another_quantizer(option('quantizer', 'ema') + ', ')}a larger beta, "
                    "or a lower learning rate."
                )
        spacings = code_spacings(quantizer)
        if spacings is not None:
            values["code_spacings"] = histogram(spacings)
            together = float((spacings < _TOGETHER**2).float().mean())
            if together > 0.2:
                troubles["together"] = (
                    f"{together:.0%} of the codes lie on top of another code, so their indices say nothing. Try fewer "
                    "codes, or data with more variety"
                    + another_quantizer(f"; gradient codebooks: {option('quantizer', 'ema')}")
                    + "."
                )
        passed = step - self.step
        if quantizer.restarts >= self.restarts and passed > 0:
            rate = 100 * (quantizer.restarts - self.restarts) / self.codes / passed
            values["restarts_per_100_steps"] = rate
            if rate > _RESTLESS and step >= _RESTLESS_FROM:
                troubles["restless"] = (
                    f"{rate:.0%} of the codes are restarted every 100 steps: they lose their latents as fast as they "
                    "find them. Try a larger batch, fewer codes, a lower learning rate, or a smaller restart_below."
                )
        self.restarts, self.step = quantizer.restarts, step
        before = self.seen
        told = {name: count for name, count in before.items() if count >= _TOLD}  # never again, even if it comes back
        self.seen = told | {name: before.get(name, 0) + 1 for name in troubles if step >= _EARLY}
        return values, [
            sentence
            for name, sentence in troubles.items()
            if self.seen.get(name) == _TOLD and before.get(name) == _TOLD - 1
        ]

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint, as JSON values."""
        return {"restarts": self.restarts, "step": self.step, "seen": dict(self.seen)}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of ``state``.

        Raises:
            ValueError: no such state.
        """
        check_fields(state, {"restarts": int, "step": int, "seen": Mapping[str, int]})
        self.restarts, self.step, self.seen = state["restarts"], state["step"], dict(state["seen"])


@torch.no_grad()
def relative_distances(quantizer: Quantizer, latents: Tensor) -> Tensor:
    """Squared distance of latents to their codes over the latents' variance: ``[n]``, n <= 512.

    Args:
        quantizer: any.
        latents: ``[batch, D, *grid]``.
    """
    placed = flatten_grid(quantizer.place(latents.detach()))
    every = max(1, len(placed) // _LATENTS)
    placed = placed[::every][:_LATENTS]
    raw = flatten_grid(latents.detach())[::every][:_LATENTS]
    codes = quantizer.lookup(quantizer.encode(raw))
    variance = placed.var(dim=0, correction=0).sum() if len(placed) else placed.new_ones(())
    return (placed - codes).square().sum(dim=1) / variance.clamp_min(1e-20)


@torch.no_grad()
def code_spacings(quantizer: Quantizer) -> Tensor | None:
    """Squared distance of some codes to the nearest other code over the codes' variance; None without a table."""
    found = []
    for module in quantizer.modules():
        if not isinstance(module, CodebookQuantizer):
            continue
        table = module.table().detach()
        every = max(1, len(table) // _CODES)
        rows = torch.arange(0, len(table), every, device=table.device)[:_CODES]
        nearest = torch.full((len(rows),), torch.inf, device=table.device, dtype=table.dtype)
        for start in range(0, len(table), _BLOCK):
            part = table[start : start + _BLOCK]
            apart = torch.cdist(table[rows], part, compute_mode="donot_use_mm_for_euclid_dist").square()
            own = (rows >= start) & (rows < start + len(part))
            apart[own, rows[own] - start] = torch.inf
            nearest = torch.minimum(nearest, apart.amin(dim=1))
        found.append(nearest / table.var(dim=0, correction=0).sum().clamp_min(1e-20))
    return torch.cat(found) if found else None


def histogram(values: Tensor) -> list[int]:
    """Return the number of values in each bin of ``EDGES``."""
    edges = torch.tensor(EDGES[1:-1], device=values.device, dtype=values.dtype)
    bins = torch.bucketize(torch.nan_to_num(values, nan=torch.inf), edges)
    return [int(count) for count in torch.bincount(bins, minlength=len(EDGES) - 1)]

"""Looks at discriminators while they train: saturated, collapsed, useless or overflowing, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vqkit.checking import check_fields

_SURE, _LOST, _LARGE = 0.99, 0.55, 50.0
_TOLD = 3
"""Lines of the log in a row after which a trouble is told."""


class DiscriminatorDoctor:
    """Reads what the log says of discriminators; each trouble is told once, after three lines in a row.

    Example:
        >>> from vqkit.training.diagnostics.discriminators import DiscriminatorDoctor
        >>> doctor = DiscriminatorDoctor()
        >>> line = {"a_real_accuracy": 1.0, "a_made_accuracy": 1.0, "a_real_logit": 3.0, "a_made_logit": -3.0}
        >>> [len(doctor.look(line)) for _ in range(4)]
        [0, 0, 1, 0]
    """

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def look(self, values: Mapping[str, Any]) -> list[str]:
        """Return warnings to show, of the numbers of a line of the log."""
        troubles: dict[str, str] = {}
        for key in values:
            name, found, _ = key.partition("_real_accuracy")
            if not found or f"{name}_made_accuracy" not in values:
                continue
            real, made = values[key], values[f"{name}_made_accuracy"]
            logits = [values.get(f"{name}_{kind}_logit", 0.0) for kind in ("real", "made")]
            trouble = _trouble(real, made, logits)
            if trouble is not None:
                troubles[f"{name}/{trouble[0]}"] = f"the discriminator of {name!r} {trouble[1]}"
        told = {each: count for each, count in self.seen.items() if count >= _TOLD}
        before, self.seen = self.seen, told | {each: self.seen.get(each, 0) + 1 for each in troubles}
        return [
            sentence
            for each, sentence in troubles.items()
            if self.seen[each] == _TOLD and before.get(each, 0) == _TOLD - 1
        ]

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint, as JSON values."""
        return dict(self.seen)

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of ``state``.

        Raises:
            ValueError: no such state.
        """
        self.seen = dict(check_fields({"seen": dict(state)}, {"seen": Mapping[str, int]})["seen"])


def _trouble(real: float, made: float, logits: list[float]) -> tuple[str, str] | None:
    if max(abs(each) for each in logits) > _LARGE:
        return "large", (
            f"gives logits of {max(logits, key=abs):.3g}: it is running away. Try a lower learning_rate of it, or a "
            "larger r1."
        )
    if min(real, made) > _SURE:
        return "saturated", (
            f"is always right ({real:.0%} of signals, {made:.0%} of reconstructions), so that what it says helps "
            "little. Try a lower learning_rate of it, a larger r1 or augment, or lecam=0.1."
        )
    if max(real, made) > _SURE and min(real, made) < 1 - _SURE:
        return "collapsed", (
            "says the same of signals and of reconstructions. Try a lower learning_rate of it, and a longer warmup."
        )
    if max(real, made) < _LOST:
        return "useless", (
            f"guesses ({real:.0%} of signals right, {made:.0%} of reconstructions). Try a higher learning_rate or "
            "width of it, or less r1; reconstructions that cannot be told from signals need no adversary."
        )
    return None

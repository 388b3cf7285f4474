"""Items of a data set that could not be used: their names, the reasons, and when there are too many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vqkit.errors import DataError, shown


@dataclass(frozen=True)
class Skipped:
    """One item that could not be used: its name as it can be printed, and the reason in words.

    Example:
        >>> from vqkit.data import Skipped
        >>> Skipped("photos/broken.jpg", "ends early")
        Skipped(name='photos/broken.jpg', reason='ends early')
    """

    name: str
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", shown(self.name))
        object.__setattr__(self, "reason", shown(self.reason))


def skip_lines(skipped: Sequence[Skipped], limit: int) -> list[str]:
    """Return "name: reason" for the first ``limit`` skipped items, and a count of the rest."""
    lines = [f"{each.name}: {each.reason}" for each in skipped[:limit]]
    if len(skipped) > limit:
        lines.append(f"and {len(skipped) - limit:,} more")
    return lines


def check_enough_readable(name: str, kept: int, skipped: Sequence[Skipped], what: str = "images") -> None:
    """Raise DataError if nothing is readable, or if more than half is not; the message names up to five."""
    total = kept + len(skipped)
    if kept > 0 and 2 * len(skipped) <= total:
        return
    amount = "none" if kept == 0 else f"only {kept:,}"
    reasons = "; ".join(skip_lines(skipped, 5))
    raise DataError(
        f"{name}: {amount} of {total:,} {what} can be used; at least half must be, or something is wrong "
        f"with the whole set. Repair or remove these: {reasons}."
    )

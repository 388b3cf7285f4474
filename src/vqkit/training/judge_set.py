"""What judges of priors share: a few held-out items along the way, all of them at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from vqkit.data import Source


class SetJudge(ABC):
    """Judges on a held-out set; makes no pictures.

    Args:
        source: the validation items.
        batch_size: items at a time.
        items: how many to take along the way; the last evaluation takes all.
    """

    def __init__(self, source: Source, batch_size: int, items: int) -> None:
        self.source = source
        self.few = source if len(source) <= items else source.subset(list(range(items)))
        self.batch_size = batch_size

    def along_the_way(self, prior: Any, step: int) -> tuple[dict[str, Any], None]:
        """Evaluate on the first ``items``."""
        del step
        return self._judge(prior, self.few), None

    def at_the_end(self, prior: Any) -> tuple[dict[str, Any], None]:
        """Evaluate on the whole set."""
        return self._judge(prior, self.source), None

    @abstractmethod
    def _judge(self, prior: Any, source: Source) -> dict[str, Any]:
        """The numbers of one evaluation; the prior's mode is as before afterwards."""

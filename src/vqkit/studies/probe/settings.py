"""Settings of a probe study: the split, the features, the random parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from vqkit.checking import from_values
from vqkit.errors import ConfigError
from vqkit.seeds import check_seed
from vqkit.spelling import setting


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """Settings of ``vqkit.probe``.

    Attributes:
        validation: the items that probes are judged on: a fraction by a permutation that depends on the seed, or
            ``"last:N"``, as in a training (with its defaults these are the items that it held out); or other data.
        seed: of the split, of what is drawn of many items, of permuted labels and of the bootstrap.
        parts: equal parts of every axis that features are averaged in; None: 8 of sound, 4 x 4 of images, 2 x 2 x 2 of
            video. Beside them stands the average of the whole item.
        training_items: that probes are fitted to at most.
        test_items: that they are judged on at most.
        permutations: of the training labels, for what a probe finds by chance.
        resamples: of the bootstrap.
        batch_size: signals of one size that are encoded at a time.

    Raises:
        ConfigError: a value out of range.
    """

    validation: Any = 0.1
    seed: int = 0
    parts: int | None = None
    training_items: int = 5000
    test_items: int = 5000
    permutations: int = 3
    resamples: int = 1000
    batch_size: int = 64

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for name in ("parts", "training_items", "test_items", "resamples", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{setting(name, value)}: give 1 or more")
        if self.permutations < 0:
            raise ConfigError(f"{setting('permutations', self.permutations)}: give 0 or more")
        if self.parts is not None and self.parts > 64:
            raise ConfigError(f"{setting('parts', self.parts)}: give 64 at most")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from JSON values.

        Raises:
            ConfigError: an unknown key (the valid ones are listed), or a value of the wrong type or out of range.
        """
        return from_values(cls, values, "a probe")

    def as_dict(self) -> dict[str, Any]:
        """All settings as strict JSON values; held-out data that has no name by its description."""
        plain = isinstance(self.validation, str | int | float)
        return {**self.__dict__, "validation": self.validation if plain else str(self.validation)}

"""Model whose decoder may have a condition: given with each call, or for a block of code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import numpy as np
from torch import Tensor

from vqkit.data.arrays.items import signal_and_label
from vqkit.data.batches import batches_or_long
from vqkit.data.classes import all_names
from vqkit.data.source import Source
from vqkit.errors import ConfigError, DataError
from vqkit.models.conditions.layer import DecoderCondition
from vqkit.priors.conditions import Conditions
from vqkit.priors.labels import Labels, labels_for, picked
from vqkit.spelling import option, spelled

_conditions: ContextVar[Mapping[int, Any]] = ContextVar("conditions")


class Conditional:
    """What models share about the condition of their decoder, in which they may differ by their config alone.

    Attributes:
        decoder_condition: what appends it to the latents; None: the decoder reads the latents alone.
    """

    decoder_condition: DecoderCondition | None
    device: Any

    @property
    def conditions(self) -> Conditions:
        """The kind of condition that the decoder has, false where it has none."""
        return Conditions() if self.decoder_condition is None else self.decoder_condition.conditions

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes that the decoder knows; None: they go by their numbers, or there are none."""
        return None if self.decoder_condition is None else self.decoder_condition.class_names

    def conditioned_on(self, condition: Any = None) -> AbstractContextManager[None]:
        """Within the block, and its thread, the decoder decodes under this condition, where a call says no other.

        Args:
            condition: a class by its name or id, or a vector, for all items; or one for each item of the batches that
                are decoded (see ``DecoderCondition.read``). None: as it is outside.

        Raises:
            DataError: an unknown class, or a decoder that has no condition.

        Example:
            >>> import torch, vqkit
            >>> model = vqkit.VQVAE(16, hidden_channels=8, classes=2, class_names=["day", "night"]).eval()
            >>> indices = torch.zeros(1, 4, 4, dtype=torch.int64)
            >>> with model.conditioned_on("night"):
            ...     image = model.decode(indices)
            >>> torch.equal(image, model.decode(indices, condition="night"))
            True
        """
        if condition is None:
            return nullcontext()
        if self.decoder_condition is None:
            raise DataError(
                "got a condition, but this model's decoder has none: train one with "
                f"{option('conditional', True)}, or leave it out"
            )
        return _assumed(self, self.decoder_condition.parse(condition))

    @property
    def _condition(self) -> Any:
        """What ``conditioned_on`` says here."""
        return _conditions.get({}).get(id(self))

    def _told(self, latents: Tensor) -> Tensor:
        """What the decoder reads of latents: they and the condition."""
        layer = self.decoder_condition
        return latents if layer is None else layer.append(latents, self._condition)

    def read_condition(self, condition: Any, count: int) -> Tensor:
        """Class ids int64 ``[count]``, or vectors ``[count, D]``, of whatever ``conditioned_on`` takes.

        Raises:
            DataError: a condition that is missing, unknown, or of a decoder without.
        """
        with self.conditioned_on(condition):
            if self.decoder_condition is None:
                raise DataError("this model's decoder has no condition")
            return self.decoder_condition.read(self._condition, count)

    def count_conditions(self, condition: Any) -> int | None:
        """How many items have one of these conditions each; None: it is one for all, or there is none.

        Raises:
            DataError: an unknown class.
        """
        layer = self.decoder_condition
        found = None if layer is None or condition is None else layer.parse(condition)
        return None if found is None or found.ndim == (self.conditions.dim is not None) else len(found)

    def conditions_of(self, source: Source) -> Labels | None:
        """Return the class, or the vector, of each item; None for a decoder without conditions. See ``labels_for``."""
        return labels_for(self, source)

    def known_conditions_of(self, source: Source) -> Labels | None:
        """The same for data to be judged: None also where the data have none and the decoder can do without."""
        missing = source.labels is None if self.conditions.dim is None else source.vectors is None
        return None if missing and self.conditions.dropout else self.conditions_of(source)

    def forward_arguments(self, x: Tensor, *condition: Tensor) -> tuple[Any, ...]:
        """See ``Trainable.forward_arguments``: the mask stands between them."""
        return (x, None, *condition) if condition else (x,)

    def finishing_pass(self, batch: Any) -> None:
        """See ``Trainable.finishing_pass``: a reconstruction."""
        for signals, condition in self._with_conditions([batch]):
            self.reconstruct(signals, condition)  # type: ignore[attr-defined]

    def with_condition(self, batch: Tensor, *condition: Tensor) -> Any:
        """See ``Trainable.with_condition``: as loaders give signals and labels."""
        return (batch, *condition) if condition else batch

    def _with_conditions(self, batches: Iterable[Any]) -> list[tuple[Any, Any]]:
        """The signals of batches, and their conditions: None where they have none, or the decoder takes none."""
        several = [batches] if isinstance(batches, Tensor | np.ndarray) else batches
        pairs = [signal_and_label(batch, f"batch {number}") for number, batch in enumerate(several)]
        return [(signals, label if self.conditions else None) for signals, label in pairs]


@contextmanager
def _assumed(model: Conditional, condition: Any) -> Iterator[None]:
    token = _conditions.set({**_conditions.get({}), id(model): condition})
    try:
        yield
    finally:
        _conditions.reset(token)


def conditioned_batches(model: Conditional, source: Source, batch_size: int = 64) -> Iterator[tuple[Any, ...]]:
    """Yield ``(numbers, signals)`` of a source in order, with the conditions of the decoder where it has some.

    See ``batches_or_long``.

    Raises:
        ConfigError: labels that the model does not know, or none for a decoder that cannot do without.

    Example:
        >>> import vqkit
        >>> from vqkit.models.conditions.model import conditioned_batches
        >>> digits = vqkit.load_source("builtin:digits").subset(range(64))
        >>> model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8, conditional=True)
        >>> [part.shape for part in next(conditioned_batches(model, digits))]
        [(64,), torch.Size([64, 1, 8, 8]), torch.Size([64])]
    """
    labels = model.known_conditions_of(source)
    for numbers, signals in batches_or_long(source, batch_size):
        yield numbers, signals, *picked(labels, numbers, model.device)


def conditional_options(source: Source) -> dict[str, Any]:
    """The settings of a model whose decoder has the labels of a source (or its vectors) for a condition.

    Raises:
        ConfigError: data without labels.
    """
    if source.labels is None and source.vectors is not None:
        return {"condition_dim": int(source.vectors.shape[1])}
    if source.labels is None or int(source.labels.max()) < 0:
        given = spelled(python="load_source(data, labels=...)", command="--labels")
        raise ConfigError(
            f"{option('conditional', True)}: {source.describe()} have no labels to condition on; say where they are "
            f"({given}), or sort the files into a folder for each class"
        )
    names = all_names(source.labels, source.class_names)
    return {"classes": len(names), **({} if source.class_names is None else {"class_names": names})}

"""Evaluation mode for a moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Within the block every part of the modules is in evaluation mode; afterwards each is in the mode it was in.

    (``module.train(was_training)`` would put parts into training mode that were held in evaluation mode.) A module that
    is in evaluation mode throughout is not touched, so that what it has derived from its parameters stays.

    Example:
        >>> from torch import nn
        >>> from vqkit.ops import evaluating
        >>> layer = nn.Dropout()
        >>> with evaluating(layer):
        ...     layer.training
        False
        >>> layer.training
        True
    """
    training = [(module, [part for part in module.modules() if part.training]) for module in modules]
    for module, parts in training:
        if parts:
            module.eval()
    try:
        yield
    finally:
        for _, parts in training:
            for part in parts:
                part.training = True

"""Conversion: the same codes decoded under another condition, such as another speaker's voice."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vqkit.models.base import Model
from vqkit.ops import evaluating


@torch.no_grad()
def convert(model: Model, signals: Any, *, to: Any) -> Tensor:
    """Signals ``[batch, channels, *size]`` as the decoder makes them under another class: ``decode(encode(x))``.

    What the codes hold stays (what is said), what the decoder is told changes (who says it): van den Oord et al. 2017
    (arXiv 1711.00937, section 4.4). How much the codes hold of the class is a matter of their rate: the fewer bits, the
    more is left to the condition.

    Args:
        model: whose decoder has a condition (``classes`` or ``condition_dim`` in its config); the mode stays as it is.
        signals: as ``Model.encode`` takes them.
        to: the class by its name or id, or the vector, for all signals; or one for each. Of one signal also several:
            it is encoded once, and converted to each.

    Raises:
        DataError: signals that the model does not read, an unknown class, or a decoder without a condition.

    Example:
        >>> import torch
        >>> import vqkit
        >>> model = vqkit.VQVAE(16, hidden_channels=8, classes=2, class_names=["day", "night"])
        >>> vqkit.convert(model, torch.rand(2, 3, 16, 16), to="night").shape
        torch.Size([2, 3, 16, 16])
        >>> vqkit.convert(model, torch.rand(1, 3, 16, 16), to=["day", "night"]).shape
        torch.Size([2, 3, 16, 16])
    """
    with evaluating(model):
        x = model.read_signals(signals)
        count = (model.count_conditions(to) if len(x) == 1 else None) or len(x)
        condition = model.read_condition(to, count)
        codes = model.encode(x)
        return model.decode(codes.expand(count, *codes.shape[1:]), x.shape[2:], condition=condition)

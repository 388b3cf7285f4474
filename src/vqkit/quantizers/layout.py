"""The axis of the vectors: the second one, and a warning where the last one could be meant."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from torch import Tensor


def is_last(shape: Sequence[int], code_dim: int) -> bool:
    """Return whether latents are ``[batch, *grid, code_dim]``."""
    return len(shape) > 1 and shape[-1] == code_dim


def check_last(latents: Tensor, code_dim: int) -> None:
    """Raise ``ValueError`` for latents of another shape than ``[batch, *grid, code_dim]``."""
    if not is_last(latents.shape, code_dim):
        raise ValueError(
            f"latents have shape {tuple(latents.shape)}; expected [batch, *grid, {code_dim}], since "
            f"code_dim={code_dim} (with channels in the second axis, call the quantizer itself)"
        )


def is_ambiguous(shape: Sequence[int], code_dim: int) -> bool:
    """Return whether both the second and the last axis of latents ``[batch, ...]`` have ``code_dim`` numbers."""
    return len(shape) > 2 and shape[1] == shape[-1] == code_dim


def warn_ambiguous(axes: int, code_dim: int) -> None:
    """Warn at the line of the user's own program; once a line, as warnings are. Also while torch compiles it."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("torch", "vqkit"):
        level, frame = level + 1, frame.f_back
    shape = ", ".join(["batch", str(code_dim), *["..."] * (axes > 3), str(code_dim)])
    warnings.warn(
        f"the latents are [{shape}]: the second and the last axis have code_dim={code_dim}, and the second was taken "
        "for the vectors; for the last use ChannelsLast(layer), or say that the second is meant: "
        "layer.channels_first = True",
        stacklevel=level,
    )


warn_ambiguous._dynamo_marked_constant = True  # type: ignore[attr-defined]
# what torch.compiler.assume_constant_result sets: called while the graph is made, and no break of it

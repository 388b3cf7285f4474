"""Stretches of sounds drawn anew: in-fills and continuations, by a prior over the indices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.coding import per_axis
from vqkit.data.conversion import as_tensor
from vqkit.errors import ConfigError, DataError
from vqkit.generation.editing import draw_unknown
from vqkit.generation.sampling import check_pair, decode_all
from vqkit.models import IndexModel
from vqkit.priors import Prior


@torch.no_grad()
def redraw_stretch(
    model: IndexModel,
    prior: Prior,
    sound: Any,
    start: int,
    stop: int,
    count: int,
    condition: Tensor | None = None,
    *,
    fade: int | None = 0,
    **options: Any,
) -> Tensor:
    """Draw a stretch of a signal of one axis anew, or go on with it beyond its end.

    Every frame that holds a sample of the stretch is drawn by the prior, given the frames around it that it sees (see
    ``inpaint``), window by window of the prior's grid where the signal is longer than that.

    Args:
        model: the tokenizer, of signals of one axis.
        prior: over its indices.
        sound: ``[channels, time]`` as ``Model.read_signals`` takes it, of the prior's grid or longer.
        start: the first sample that is drawn.
        stop: the sample behind the last one; beyond the end of the sound the sound is continued.
        count: how many versions.
        condition: of each version, as ``Prior.sample`` takes it.
        fade: outside the stretch the sound's own samples stay, blended with decoded ones over so many samples on each
            side; None: decoded samples everywhere.
        **options: of ``prior.sample``.

    Returns:
        ``[count, channels, max(time, stop)]`` float32.

    Raises:
        ConfigError: a prior of another model, or signals of several axes.
        DataError: an empty stretch, one that begins beyond the end, or a sound shorter than the prior's grid.

    Example:
        >>> import torch
        >>> import vqkit
        >>> from vqkit.generation import redraw_stretch
        >>> model = vqkit.VQVAE(16, axes=1, channels=1, hidden_channels=8).eval()
        >>> prior = vqkit.MaskedPrior(16, (8,), hidden_channels=16, layers=1, heads=2).eval()
        >>> sound = torch.rand(1, 40) - 0.5
        >>> versions = redraw_stretch(model, prior, sound, 30, 52, 2)
        >>> versions.shape, torch.equal(versions[0, :, :30], sound[:, :30])
        (torch.Size([2, 1, 52]), True)
    """
    check_pair(model, prior)
    if model.axes != 1:
        raise ConfigError(f"the model reads signals of {model.axes} axes; stretches are of signals of 1, such as sound")
    sound = model.read_signals([as_tensor(sound, "the sound")])[0].cpu()
    length = sound.shape[1]
    if not 0 <= start < stop or start > length:
        raise DataError(f"a stretch of the samples {start} to {stop}: give one that begins within the {length} samples")
    step = per_axis(model.downsampling, 1)[0]
    indices = model.encode(sound.unsqueeze(0)).cpu()[0]
    frames, total = len(indices), max(length, stop)
    every = -(-total // step)
    if every < prior.grid[0]:
        raise DataError(
            f"the sound has {every} frames, fewer than the {prior.grid[0]} that the prior draws at once: give a longer "
            f"one, of {prior.grid[0] * step} samples or more"
        )
    whole = indices.new_zeros(count, every, *indices.shape[1:])
    whole[:, :frames] = indices
    known = torch.arange(every) < frames
    known[start // step : -(-stop // step)] = False
    if length < stop:
        known[length // step :] = False  # a frame that was filled up at the end holds what was not heard
    draw_unknown(prior, whole, known, condition, **options)
    made = decode_all(model, whole, (total,)).cpu()
    return made if fade is None else _blended(sound, made, start, stop, fade)


def _blended(sound: Tensor, made: Tensor, start: int, stop: int, fade: int) -> Tensor:
    """The sound's own samples outside a stretch, and decoded ones inside, with linear fades outside of it."""
    places = torch.arange(made.shape[2])
    away = torch.maximum(start - places, places - (stop - 1)).clamp_min(0)
    own = (away / (fade + 1)).clamp(0, 1)
    own = torch.where(places < sound.shape[1], own, own.new_zeros(()))
    original = functional.pad(sound, (0, made.shape[2] - sound.shape[1]))
    return original * own + made * (1 - own)

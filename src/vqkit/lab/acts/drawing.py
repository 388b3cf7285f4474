"""Drawing by a prior, watched: some positions of a grid are held, the others fill step by step."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from vqkit.codec.entropy.known_priors import of_another_state
from vqkit.coding import per_axis
from vqkit.errors import ConfigError, DataError, VqkitError
from vqkit.generation import check_pair, decode_all
from vqkit.generation.editing import resized
from vqkit.lab.acts.uploads import Upload
from vqkit.lab.workshop import OpenModel
from vqkit.models import IndexModel
from vqkit.pretrained.folder import CONFIG
from vqkit.priors import Prior, StepwisePrior, load_prior
from vqkit.priors.stepwise import PartialSample

FRAMES = 24
"""Pictures of one drawing, at most."""
MOST_VERSIONS = 4
_VEIL = 0.82
_PAPER = 0.5
_BESIDE = ("prior", "context", "masked", "transformer", "pixelcnn")


def priors_of(opened: OpenModel) -> dict[str, Prior]:
    """The priors that were trained for a model and fit it, by their kind: those in its run, the one saved with it."""
    model = opened.model
    if not isinstance(model, IndexModel):
        return {}
    found: dict[str, Prior] = {}
    for place in _places(opened.run):
        with suppress(VqkitError):
            if not of_another_state(place, model):
                prior = load_prior(place).to(model.device).eval()
                check_pair(model, prior)
                found.setdefault(str(prior.model_type), prior)
    own = model.prior
    if isinstance(own, Prior):
        found.setdefault(str(own.model_type), own)
    return found


def _places(run: Path | None) -> list[Path]:
    """Folders of priors in a run: the usual ones first, then any other that holds the run of one."""
    if run is None:
        return []
    homes = [run / name for name in _BESIDE]
    with suppress(OSError):
        homes += sorted(each for each in run.iterdir() if each not in homes and not each.name.startswith("."))
    return [home / "run" for home in homes if (home / "run" / "model" / CONFIG).is_file()]


@final
@dataclass(frozen=True)
class Canvas:
    """What is drawn on: a signal of the size that a prior draws, as codes, or nothing.

    Attributes:
        size: positions of the signal on each axis.
        signal: ``[channels, *size]`` float32; None: all is new.
        indices: int64 ``[*grid]`` or ``[*grid, codebooks]``; None: all is new.
    """

    size: tuple[int, ...]
    signal: Tensor | None = None
    indices: Tensor | None = None


@torch.no_grad()
def canvas_of(opened: OpenModel, prior: Prior, upload: Upload | None) -> Canvas:
    """Cut and scale a picture (cut a sound) to the size that a prior draws, and encode it.

    Raises:
        DataError: a sound that is shorter than the prior's grid.
    """
    model = _model(opened)
    size = signal_size(model, prior)
    if upload is None:
        return Canvas(size)
    given = torch.from_numpy(np.ascontiguousarray(upload.signals[0]))
    if opened.kind == "image":
        fitted = resized(given, (size[0], size[1]))
    else:
        if given.shape[1] < size[0]:
            have, want = (length / (model.kind.rate or 1) for length in (given.shape[1], size[0]))
            raise DataError(
                f"{upload.name}: {have:.2f} seconds, and the prior draws {want:.2f} at once: give a longer sound"
            )
        fitted = given[:, : size[0]].float()
    with opened.lock:
        return Canvas(size, fitted, model.encode(fitted[None])[0].cpu())


def signal_size(model: IndexModel, prior: Prior) -> tuple[int, ...]:
    """The size of the signals that a prior's grids decode to: that of the training data, if it has such a grid."""
    known = tuple(int(length) for length in model.signal_size)
    if 0 not in known and tuple(model.grid(known)) == prior.grid:
        return known
    return tuple(side * step for side, step in zip(prior.grid, per_axis(model.downsampling, model.axes), strict=True))


@final
@dataclass(frozen=True)
class Drawing:
    """How to draw; what a prior cannot do is refused by it.

    Attributes:
        versions: how many.
        temperature, top_k, guidance: see ``Prior.sample``.
        class_id: of all versions; None: without.
        steps: of a prior that reveals its grid in a number of steps that can be chosen; None: its own.
        seed: of everything random.
    """

    versions: int = 1
    temperature: float = 1.0
    top_k: int | None = None
    guidance: float = 1.0
    class_id: int | None = None
    steps: int | None = None
    seed: int = 0


@final
@dataclass(frozen=True)
class DrawnFrame:
    """A drawing on its way.

    Attributes:
        signals: ``[versions, channels, *size]`` float32, decoded from what is there; where nothing is, from the codes
            nearby.
        filled: ``[versions, *grid]`` share of the codebooks of each position that are there, 0 to 1.
        fraction: of all indices that are there.
        indices: int64, of the versions.
    """

    signals: Tensor
    filled: Tensor
    fraction: float
    indices: Tensor

    @property
    def done(self) -> bool:
        """Whether all is there."""
        return self.fraction >= 1.0


def takes_steps(prior: Prior) -> bool:
    """Return whether the number of steps of a drawing can be chosen."""
    return "steps" in inspect.signature(prior.sample).parameters


def draw(
    opened: OpenModel, prior: Prior, canvas: Canvas, redraw: Tensor, how: Drawing, frames: int = FRAMES
) -> Iterator[DrawnFrame]:
    """Draw the marked positions and yield what is there on the way, the whole at last.

    Args:
        opened: the tokenizer.
        prior: of it.
        canvas: what is held comes from here.
        redraw: bool ``[*grid]``, True where something new goes; of an empty canvas everywhere.
        how: see there.
        frames: so many at most.

    Raises:
        ConfigError: a number out of range, or something that the prior cannot do.
        DataError: nothing is marked, or a mask of another grid.
    """
    model = _model(opened)
    if tuple(redraw.shape) != prior.grid:
        raise DataError(f"the mask is of {list(redraw.shape)} positions, the prior's grid of {list(prior.grid)}")
    if canvas.indices is None:
        redraw = torch.ones_like(redraw)
    if not bool(redraw.any()):
        raise DataError("no position is marked, so there is nothing to draw: mark some")
    if not 1 <= how.versions <= MOST_VERSIONS:
        raise ConfigError(f"versions={how.versions}: give 1 to {MOST_VERSIONS}")
    shown = -1
    for part in _steps(prior, canvas, redraw, how, opened):
        if part.fraction >= 1.0:  # what would follow is held
            yield _frame(opened, model, canvas, part)
            return
        new = part.filled[:, redraw].float().mean()
        stage = min(frames - 2, math.floor(float(new) * (frames - 1)))
        if stage > shown:
            shown = stage
            yield _frame(opened, model, canvas, part)


def _steps(prior: Prior, canvas: Canvas, redraw: Tensor, how: Drawing, opened: OpenModel) -> Iterator[PartialSample]:
    """The steps of the prior, each computed while nothing else computes with the model."""
    options: dict[str, Any] = {
        "temperature": how.temperature,
        "top_k": how.top_k,
        "guidance": how.guidance,
        "generator": torch.Generator().manual_seed(how.seed),
    }
    if how.steps is not None and takes_steps(prior):
        options["steps"] = how.steps
    if canvas.indices is not None:
        options["known"] = canvas.indices.expand(how.versions, *canvas.indices.shape)
        options["keep"] = (~redraw).expand(how.versions, *redraw.shape)
    told = None if how.class_id is None else torch.full((how.versions,), how.class_id)
    if not isinstance(prior, StepwisePrior):
        with opened.lock:
            whole = prior.sample(how.versions, told, **options)
        yield PartialSample(whole, torch.ones_like(whole, dtype=torch.bool))
        return
    steps = prior.sample_steps(how.versions, told, **options)
    while True:
        with opened.lock:
            part = next(steps, None)
        if part is None:
            return
        yield part


@torch.no_grad()
def _frame(opened: OpenModel, model: IndexModel, canvas: Canvas, part: PartialSample) -> DrawnFrame:
    indices, filled = part.indices.cpu(), part.filled.cpu()
    if not bool(filled.all()):
        indices = placeholders(indices, filled, canvas.indices, model.axes)
    with opened.lock:
        signals = decode_all(model, indices, canvas.size)
    share = filled.float()
    share = share.mean(dim=-1) if model.num_codebooks > 1 else share
    return DrawnFrame(signals, share, part.fraction, indices)


def placeholders(indices: Tensor, filled: Tensor, known: Tensor | None, axes: int) -> Tensor:
    """Indices with something where nothing is there yet: those of the canvas, or of the nearest position that is.

    Args:
        indices: ``[versions, *grid]`` or ``[versions, *grid, codebooks]``.
        filled: bool, the same shape.
        known: of the canvas.
        axes: of the grid.
    """
    if known is not None:
        return torch.where(filled, indices, known.expand_as(indices))
    grid = indices.shape[1 : 1 + axes]
    columns, there = (
        indices.reshape(len(indices), math.prod(grid), -1),
        filled.reshape(len(indices), math.prod(grid), -1),
    )
    places = torch.cartesian_prod(*[torch.arange(side) for side in grid]).view(math.prod(grid), axes).float()
    apart = torch.cdist(places, places)
    found = columns.clone()
    for version in range(len(columns)):
        for codebook in range(columns.shape[2]):
            have = there[version, :, codebook]
            if bool(have.any()):
                nearest = apart.masked_fill(~have, math.inf).argmin(dim=1)
                found[version, :, codebook] = columns[version, nearest, codebook]
    return found.view_as(indices)


def veiled(signal: Tensor, filled: Tensor) -> Tensor:
    """A picture ``[channels, height, width]`` with a grey veil over positions ``[*grid]`` that are not there yet."""
    height, width = signal.shape[1:]
    rows, columns = (-(-side // cells) for side, cells in zip((height, width), filled.shape, strict=True))
    over = functional.interpolate(filled[None, None], scale_factor=(rows, columns), mode="nearest")[0, 0]
    over = (1.0 - over[:height, :width]) * _VEIL
    return signal * (1 - over) + _PAPER * over


def strip(pictures: Sequence[Image.Image], gap: int = 6) -> Image.Image:
    """Pictures of one size beside each other."""
    width, height = pictures[0].size
    sheet = Image.new("RGB", (len(pictures) * (width + gap) - gap, height), (128, 128, 128))
    for number, each in enumerate(pictures):
        sheet.paste(each.convert("RGB"), (number * (width + gap), 0))
    return sheet


def _model(opened: OpenModel) -> IndexModel:
    if not isinstance(opened.model, IndexModel):
        raise DataError(f"{opened.name} has no codebook, so there are no codes to draw: choose another model")
    return opened.model

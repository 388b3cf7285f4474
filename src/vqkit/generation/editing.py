"""Images redrawn in part: some positions keep their indices, the prior draws the others."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.coding import per_axis
from vqkit.data.conversion import as_tensor
from vqkit.errors import ConfigError, DataError
from vqkit.generation.sampling import check_pair, decode_all
from vqkit.models import IndexModel
from vqkit.networks import grid_mask
from vqkit.priors import Prior
from vqkit.quantizers.base import Quantizer


def cells(redraw: Tensor, downsampling: int | Sequence[int]) -> Tensor:
    """Return the positions of the grid that hold a pixel to redraw.

    Args:
        redraw: ``[*size]`` bool.
        downsampling: pixels per position: of all axes, or one number for each.

    Returns:
        ``[*grid]`` bool.

    Example:
        >>> import torch
        >>> from vqkit.generation import cells
        >>> redraw = torch.tensor([[True, False, False, False], [False, False, False, False]])
        >>> cells(redraw, 2)
        tensor([[ True, False]])
    """
    return grid_mask(redraw.unsqueeze(0), downsampling)[0]


@torch.no_grad()
def inpaint(
    model: IndexModel,
    prior: Prior,
    image: Any,
    redraw: Any,
    count: int,
    condition: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """Draw the positions under a mask anew, given those around it.

    What the kept positions tell the new ones depends on the prior: a masked prior sees all of them, one that goes
    position by position (PixelCNN, transformer) those before each in reading order (see ``Prior.sample``).

    Args:
        model: the tokenizer.
        prior: over its indices.
        image: ``[channels, *size]`` as ``Model.read_signals`` takes it, of the prior's grid.
        redraw: ``[*size]`` bool, True where something new goes.
        count: how many versions.
        condition: of each version, as ``Prior.sample`` takes it.
        **options: of ``prior.sample``.

    Returns:
        ``[count, channels, *size]`` float32.

    Raises:
        ConfigError: a prior of another model.
        DataError: an image of another size than the prior's, a mask of another size than the image, an empty mask.

    Example:
        >>> import torch
        >>> import vqkit
        >>> from vqkit.generation import inpaint
        >>> model = vqkit.VQVAE(16, hidden_channels=8).eval()
        >>> prior = vqkit.MaskedPrior(16, (4, 4), hidden_channels=16, layers=1, heads=2).eval()
        >>> redraw = torch.zeros(16, 16, dtype=torch.bool)
        >>> redraw[8:] = True  # the lower half
        >>> inpaint(model, prior, torch.rand(3, 16, 16), redraw, 2).shape
        torch.Size([2, 3, 16, 16])
    """
    check_pair(model, prior)
    image = model.read_signals([image])[0]
    redraw = as_tensor(redraw, "the mask")
    size, kind = tuple(image.shape[1:]), model.kind
    if model.grid(size) != prior.grid:
        learned = [side * step for side, step in zip(prior.grid, per_axis(model.downsampling, model.axes), strict=True)]
        raise DataError(
            f"the image is {kind.describe_size(size)}, and the prior draws images of {kind.describe_size(learned)}: "
            "give one of the size that it learned"
        )
    if tuple(redraw.shape) != size:
        marked = kind.describe_size(redraw.shape)
        raise DataError(f"the mask is {marked}, the image {kind.describe_size(size)}: give one of its size")
    new = cells(redraw.bool(), model.downsampling)
    if not bool(new.any()):
        raise DataError("the mask keeps every pixel, so there is nothing to draw; mark some")
    indices = model.encode(image.unsqueeze(0)).cpu()
    known = indices.expand(count, *indices.shape[1:])
    keep = (~new).expand(count, *new.shape)
    drawn = prior.sample(count, condition, known=known, keep=keep, **options)
    return decode_all(model, drawn, size)


def blend(image: Tensor, edited: Tensor, redraw: Tensor) -> Tensor:
    """The image's own pixels outside the mask, the edited ones ``[count, channels, *size]`` inside it.

    Example:
        >>> import torch
        >>> from vqkit.generation import blend
        >>> blend(torch.zeros(1, 1, 2), torch.ones(3, 1, 1, 2), torch.tensor([[True, False]]))[0]
        tensor([[[1., 0.]]])
    """
    original = image.float() / 255 if image.dtype == torch.uint8 else image.float()
    return torch.where(redraw.bool(), edited, original.expand_as(edited))


@dataclass(frozen=True)
class Canvas:
    """Pixels to add on each side of an image.

    Example:
        >>> from vqkit.generation import Canvas
        >>> Canvas(right=16, bottom=8)
        Canvas(left=0, top=0, right=16, bottom=8)
    """

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


@torch.no_grad()
def extend(
    model: IndexModel,
    prior: Prior,
    image: Any,
    canvas: Canvas,
    count: int,
    condition: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """Draw on beyond the edges of an image, window by window of the prior's grid.

    Each window keeps what it covers of the image and of what has been drawn, and draws the rest; windows with the
    least to draw come first, half a window apart. The decoder then sees the whole grid at once, so there are no seams
    between windows.

    Args:
        model: the tokenizer, of images.
        prior: over its indices.
        image: ``[channels, height, width]``, of the prior's grid or larger.
        canvas: pixels to add; rounded up to whole positions.
        count: how many versions.
        condition: of each version, as ``Prior.sample`` takes it.
        **options: of ``prior.sample``.

    Returns:
        ``[count, channels, height, width]`` float32, larger.

    Raises:
        ConfigError: a prior of another model, or nothing to add.
        DataError: no image, or one smaller than the prior's grid.

    Example:
        >>> import torch
        >>> import vqkit
        >>> from vqkit.generation import Canvas, extend
        >>> model = vqkit.VQVAE(16, hidden_channels=8).eval()
        >>> prior = vqkit.MaskedPrior(16, (4, 4), hidden_channels=16, layers=1, heads=2).eval()
        >>> extend(model, prior, torch.rand(3, 16, 16), Canvas(right=8), 2).shape
        torch.Size([2, 3, 16, 24])
    """
    check_pair(model, prior)
    if not model.kind.converts:
        raise DataError(f"the model reads signals of {model.axes} axes; only images have a canvas")
    rows, columns = per_axis(model.downsampling, 2)
    left, right = -(-canvas.left // columns), -(-canvas.right // columns)
    top, bottom = -(-canvas.top // rows), -(-canvas.bottom // rows)
    if min(left, top, right, bottom) < 0 or left + top + right + bottom == 0:
        raise ConfigError(f"{canvas}: give 0 or more pixels for each side, and some for one")
    indices = model.encode([image]).cpu()
    height, width = indices.shape[1:3]
    if height < prior.grid[0] or width < prior.grid[1]:
        raise DataError(
            f"the image's grid is {height}x{width}, smaller than the prior's {_times(prior.grid)}: give a larger image"
        )
    known = torch.zeros(top + height + bottom, left + width + right, dtype=torch.bool)
    known[top : top + height, left : left + width] = True
    whole = indices.new_zeros(count, *known.shape, *indices.shape[3:])
    whole[:, top : top + height, left : left + width] = indices
    draw_unknown(prior, whole, known, condition, **options)
    return decode_all(model, whole)


def draw_unknown(prior: Prior, whole: Tensor, known: Tensor, condition: Tensor | None = None, **options: Any) -> None:
    """Draw the positions that are not known, window by window of the prior's grid, the least to draw first.

    Args:
        prior: over the indices.
        whole: ``[count, *grid]`` or ``[count, *grid, codebooks]`` on the CPU, of the prior's grid or larger; the drawn
            indices are written into it.
        known: ``[*grid]`` bool; all True in the end.
        condition: of each version, as ``Prior.sample`` takes it.
        **options: of ``prior.sample``.

    Example:
        >>> import torch
        >>> import vqkit
        >>> from vqkit.generation.editing import draw_unknown
        >>> prior = vqkit.MaskedPrior(16, (4,), hidden_channels=16, layers=1, heads=2).eval()
        >>> known, whole = torch.arange(10) < 6, torch.full((2, 10), 3)
        >>> draw_unknown(prior, whole, known)
        >>> bool(known.all()), whole[:, :6].unique().tolist()
        (True, [3])
    """
    while not bool(known.all()):
        window = _window(known, prior.grid)
        keep = known[window]
        here = whole[(slice(None), *window)]
        whole[(slice(None), *window)] = prior.sample(
            len(whole), condition, known=here.contiguous(), keep=keep.expand(len(whole), *keep.shape), **options
        ).cpu()
        known[window] = True


def _window(known: Tensor, grid: tuple[int, ...]) -> tuple[slice, ...]:
    """The window with the fewest unknown positions, but some; the first of several."""
    best: tuple[int, tuple[slice, ...]] | None = None
    for starts in itertools.product(*map(_starts, known.shape, grid)):
        window = tuple(slice(start, start + side) for start, side in zip(starts, grid, strict=True))
        unknown = int((~known[window]).sum())
        if unknown and (best is None or unknown < best[0]):
            best = unknown, window
    assert best is not None
    return best[1]


def _starts(length: int, window: int) -> list[int]:
    """Return the starts of windows along an axis, so that each step adds at least half a window."""
    half = max(1, window // 2)
    return sorted(
        {
            *range(0, length - window + 1, half),
            length - window,
            *range((length - window) % half, length - window + 1, half),
        }
    )


@torch.no_grad()
def interpolate(model: IndexModel, first: Any, second: Any, steps: int) -> Tensor:
    """From one image to another through the space of tokens.

    The latents of the two are mixed linearly, each mixture is quantised, and its indices are decoded: every picture on
    the way is one that the model has indices for.

    Args:
        model: the tokenizer.
        first: ``[channels, *size]``, float or uint8.
        second: the same size.
        steps: pictures, both ends included; 2 or more.

    Returns:
        ``[steps, channels, *size]`` float32.

    Raises:
        ConfigError: fewer than 2 steps.
        DataError: images of different sizes.

    Example:
        >>> import torch
        >>> from vqkit import VQVAE
        >>> from vqkit.generation import interpolate
        >>> model = VQVAE(16, hidden_channels=8).eval()
        >>> interpolate(model, torch.rand(3, 16, 16), torch.rand(3, 16, 16), 5).shape
        torch.Size([5, 3, 16, 16])
    """
    if steps < 2:
        raise ConfigError(f"steps={steps}: give 2 or more, both ends included")
    first, second = model.read_signals([first])[0], model.read_signals([second])[0]
    if first.shape != second.shape:
        sizes = [model.kind.describe_size(each.shape[1:]) for each in (first, second)]
        raise DataError(f"the images are {' and '.join(sizes)}: give equal sizes")
    pair = torch.stack([model.to_float(each) for each in (first, second)])
    latents = model.latents(pair).float()
    parts = torch.linspace(0, 1, steps, device=model.device).view(-1, *[1] * (latents.ndim - 1))
    quantizer: Quantizer = model.quantizer
    indices = quantizer.encode(torch.lerp(latents[:1], latents[1:], parts))
    return decode_all(model, indices, tuple(first.shape[1:]))


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """An image ``[channels, height, width]`` cut to its middle of this aspect and scaled to this size, float32."""
    values = image.float() / 255 if image.dtype == torch.uint8 else image.float()
    height, width = values.shape[1:]
    scale = max(size[0] / height, size[1] / width)
    inner = (min(height, round(size[0] / scale)), min(width, round(size[1] / scale)))
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    cut = values[:, top : top + inner[0], left : left + inner[1]]
    if tuple(cut.shape[1:]) == size:
        return cut
    found = functional.interpolate(cut[None], size=size, mode="bilinear", antialias=True, align_corners=False)
    return found[0].clamp(0, 1)


def _times(shape: Any) -> str:
    return "x".join(str(int(length)) for length in shape)

"""Images: 8-bit pixels in grey or in colour, written as PNG and cut into squares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from vqkit.errors import DataError
from vqkit.pictures import save_png
from vqkit.signals.base import SIGNALS, Array, Signal, median_side

_WHOLE_SIDE = 256
_DEFAULT_SIDE = 128
_SIDE_MULTIPLE = 16
_MIN_SIDE = 4


class Pixels(Signal):
    """Base of images and video: pixels of 256 levels, in [0, 1] as floats."""

    unit = "pixels"
    value_range = (0.0, 1.0)
    levels = 256
    from_bytes = True
    moments = (0.5, 0.25)
    flips = True
    channel_names: ClassVar[dict[int, str]] = {1: "grey", 3: "RGB"}

    def repair_range(self, low: float, high: float) -> str:
        """See ``Signal.repair_range``."""
        if low >= 0 and 1 < high <= 255:
            return "of 8-bit images divide by 255, or give uint8"
        return super().repair_range(low, high)

    def shows(self, channels: int) -> bool:
        """Return whether these are grey or RGB."""
        return channels in (1, 3)

    def default_crop(self, sizes: Array) -> int | None:
        """Return the side of square crops, or None where all items have one size of at most 256 a side.

        128, or the median of the shorter sides rounded down to a multiple of 16 (at least 16) where that is less: at
        most half of the items then have to be upscaled.
        """
        frames = sizes[:, -2:]
        if bool((sizes == sizes[0]).all()) and int(frames[0].max()) <= _WHOLE_SIDE:
            return None
        return median_side(frames.min(axis=1), _SIDE_MULTIPLE, _DEFAULT_SIDE)

    def as_bytes(self, item: Array) -> Array:
        """Return pixels as uint8, rounded to nearest."""
        if item.dtype == np.uint8:
            return item
        return np.rint(np.asarray(item, dtype=np.float32).clip(0, 1) * np.float32(255)).astype(np.uint8)

    def upscale(self, item: Array, side: int) -> Array:
        """Enlarge an image ``[C, H, W]`` by bicubic interpolation until its shorter side is ``side``, aspect kept.

        Larger images are returned as they are. uint8 stays uint8; float32 is clipped to the range.
        """
        _, height, width = item.shape
        shorter = min(height, width)
        if shorter >= side:
            return item
        new_height, new_width = (max(side, round(length * side / shorter)) for length in (height, width))
        planes = [
            np.asarray(Pillow.fromarray(plane).resize((new_width, new_height), Pillow.Resampling.BICUBIC))
            for plane in np.ascontiguousarray(item)
        ]
        large = np.stack(planes)
        return large if item.dtype == np.uint8 else large.clip(*self.value_range).astype(item.dtype)


@SIGNALS.register("image")
class Image(Pixels):
    """Images ``[C, height, width]``: uint8, or floats of [0, 1].

    Example:
        >>> import numpy as np
        >>> from vqkit.signals import Image
        >>> Image().show(np.zeros((3, 8, 12), np.uint8)).size
        (12, 8)
    """

    axes = 2
    noun = ("image", "images")
    suggested = True
    encoded = True
    converts = True
    transparency = True
    extensions = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
    measures = ("ssim",)
    layouts = f"[N, H, W], [N, H, W, C] or [N, C, H, W] with C = 1, 3 or 4 and sides of at least {_MIN_SIDE}"

    def describe_size(self, size: Sequence[int]) -> str:
        """Return width x height, as every image viewer writes it."""
        return "x".join(str(int(side)) for side in reversed(size))

    def channels_first(self, array: Array) -> Array | None:
        """See ``Signal.channels_first``; channels last wins where both readings are possible."""
        shape = array.shape
        if array.ndim == 3 and min(shape[1:]) >= _MIN_SIDE:
            return array[:, None]
        if array.ndim == 4 and shape[3] in (1, 3, 4) and min(shape[1:3]) >= _MIN_SIDE:
            return np.moveaxis(array, 3, 1)
        return array if array.ndim == 4 and shape[1] in (1, 3, 4) and min(shape[2:]) >= _MIN_SIDE else None

    def suffix(self, channels: int) -> str:
        """PNG for grey and RGB."""
        return ".png" if self.shows(channels) else super().suffix(channels)

    def read(self, path: Path) -> Array:
        """Return a file's pixels, uint8 in grey or RGB, upright; ``load_source`` reads more kinds of files.

        Raises:
            DataError: not an image, or one of more than 8 bits or with transparency.
        """
        if path.suffix.lower() == ".npy":
            return super().read(path)
        try:
            with Pillow.open(path) as opened:
                picture = ImageOps.exif_transpose(opened)
                if picture.mode not in ("1", "L", "RGB", "YCbCr", "CMYK"):
                    raise DataError(f"{path} is an image of mode {picture.mode}; use vqkit.load_source, which reads it")
                pixels = np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))
        except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
            raise DataError(f"{path}: not readable as an image ({error})") from error
        return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)

    def write(self, item: Array, path: Path, *, durable: bool = True, made: str | None = None) -> None:
        """Write a PNG (1 or 3 channels), or a ``.npy`` file."""
        if self.shows(len(item)):
            save_png(self.as_bytes(item), path, durable=durable, made=made)
        else:
            super().write(item, path, durable=durable, made=made)

    def enlarge(self, item: Array, size: tuple[int, ...]) -> Array:
        """Return the image, upscaled where its shorter side is less than that of the crop."""
        return self.upscale(item, max(size))

    def show(self, item: Array) -> Pillow.Image | None:
        """Return the image itself (1 or 3 channels)."""
        if not self.shows(len(item)):
            return None
        pixels = self.as_bytes(item)
        return Pillow.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))

    def example(self, count: int, generator: np.random.Generator) -> Array:
        """Return RGB noise of 16x16 pixels."""
        return generator.integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)


@SIGNALS.register("video")
@final
class Video(Pixels):
    """Video ``[C, frames, height, width]``: uint8, or floats of [0, 1]; arrays only as yet.

    Example:
        >>> from vqkit.signals import Video
        >>> Video().name, Video().axes
        ('video', 3)
    """

    axes = 3
    noun = ("video", "videos")
    unit = "frames"
    suggested = True
    layouts = "[N, C, T, H, W] or [N, T, H, W, C] with C = 1 or 3"
    strip = 8
    """Frames of a film strip at most."""

    def describe_size(self, size: Sequence[int]) -> str:
        """Return width x height, and frames."""
        return f"{int(size[2])}x{int(size[1])}, {int(size[0])} frame{'' if size[0] == 1 else 's'}"

    def channels_first(self, array: Array) -> Array | None:
        """See ``Signal.channels_first``; ``[N, T, H, W, C]`` is read where C = 1 or 3 and the second axis is not."""
        if array.ndim == 5 and array.shape[4] in (1, 3) and array.shape[1] not in (1, 3):
            return np.moveaxis(array, 4, 1)
        return super().channels_first(array)

    def crop_size(self, side: int, sizes: Array) -> tuple[int, ...]:
        """Squares of ``side`` pixels, of as many frames or, where a video is shorter, as many as that has."""
        return (min(side, int(sizes[:, 0].min())), side, side)

    def enlarge(self, item: Array, size: tuple[int, ...]) -> Array:
        """Return the video, its frames upscaled where their shorter side is less than that of the crop."""
        if min(item.shape[2:]) >= size[-1]:
            return item
        return np.stack([self.upscale(item[:, frame], size[-1]) for frame in range(item.shape[1])], axis=1)

    def show(self, item: Array) -> Pillow.Image | None:
        """Return a film strip: up to 8 frames, evenly spaced, beside each other (1 or 3 channels)."""
        if not self.shows(len(item)):
            return None
        frames = np.linspace(0, item.shape[1] - 1, min(self.strip, item.shape[1])).round().astype(int)
        return Image().show(np.concatenate([item[:, frame] for frame in frames], axis=2))

    def example(self, count: int, generator: np.random.Generator) -> Array:
        """Return grey noise of 8 frames of 8x8 pixels."""
        return generator.integers(0, 256, (count, 1, 8, 8, 8), dtype=np.uint8)

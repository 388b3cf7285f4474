"""Kinds of signals as objects: range, levels, layout, files, crops, pictures, measures and words of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from vqkit.checking import shown
from vqkit.errors import ConfigError, DataError
from vqkit.pictures import before_after_sheet
from vqkit.registry import Registry
from vqkit.storage import atomic

Array = npt.NDArray[Any]
Range = tuple[float, float]
HAIR = 1e-3
"""How far beyond its range a float may lie (rounding, resampling): it is taken for the bound."""
_CROP_SAMPLE = 4096


class Signal(ABC):
    """A kind of signal: all that depends on it, for data, models, files, pictures and words.

    Subclass it, set the class attributes, and register it: ``@SIGNALS.register("depth")``; ``signal_kind("depth")``
    gives one. Items are arrays ``[channels, *size]``. Objects of a kind hold what all signals of a source or a model
    share, such as the sample rate of sound, and two of them are equal where they hold the same; a kind with such a
    setting says it in its name, after ``@``, and reads it from there (``with_setting``).

    Attributes:
        rate: positions a second along the first axis (samples of sound), where that is known.
        axes: of an item, channels not counted: 0 (vectors) to 3 (video).
        noun: what an item is called, and its plural.
        unit: what positions are called, in the plural: pixels, samples.
        value_range: lowest and highest value of an item as floats; None: any finite number.
        levels: how many values there are: 256, or None: real numbers.
        from_bytes: whether uint8 stands for floats x / 255.
        moments: mean and standard deviation that a model assumes before it has measured them.
        extensions: of the files that ``read`` reads, in lower case.
        measures: of distortion, besides the squared error (and the PSNR of a kind with a range): ``"ssim"``,
            ``"sound"`` (see ``vqkit.evaluation.sound``).
        downsampling: the default of models, positions for each index and axis.
        suggested: whether arrays are read as of this kind where nobody says one.
        encoded: whether ``vqkit.data.images`` reads the files (it decodes when asked, and judges damaged ones).
        converts: whether grey and RGB can be made of each other.
        transparency: whether four channels are RGB with transparency, which is laid over white.
        gains: whether a louder or softer item (``amplify``) is as likely as the item.
        flips: whether a mirrored item (``flip``) is as likely as the item.
        channel_names: of items of so many channels: ``{1: "gray", 3: "RGB"}``.
        layouts: of arrays that hold many, for messages.
        gaps: whether NaN stands for a value that is missing: it is in no loss, no measure and no code.
        per_channel: whether a model takes the mean and the deviation of each channel for itself.

    Example:
        >>> from vqkit.signals import signal_kind
        >>> signal_kind("sound").axes, signal_kind("image").axes
        (1, 2)
    """

    rate: int | None = None
    axes: int
    noun: ClassVar[tuple[str, str]]
    unit: ClassVar[str] = "numbers"
    value_range: ClassVar[Range | None] = None
    levels: ClassVar[int | None] = None
    from_bytes: ClassVar[bool] = False
    moments: ClassVar[tuple[float, float]] = (0.0, 1.0)
    extensions: ClassVar[tuple[str, ...]] = (".npy",)
    measures: ClassVar[tuple[str, ...]] = ()
    downsampling: ClassVar[int] = 4
    suggested: ClassVar[bool] = False
    encoded: ClassVar[bool] = False
    converts: ClassVar[bool] = False
    transparency: ClassVar[bool] = False
    flips: ClassVar[bool] = False
    gains: ClassVar[bool] = False
    channel_names: ClassVar[dict[int, str]] = {}
    layouts: ClassVar[str] = "[N, C, *size]"
    gaps: ClassVar[bool] = False
    per_channel: ClassVar[bool] = False
    scaling: str = "standard"

    @property
    def name(self) -> str:
        """The name in ``SIGNALS``, which configs and commands use."""
        return SIGNALS.name_of(type(self)) or type(self).__name__

    @classmethod
    def with_setting(cls, text: str) -> Signal:
        """Return the kind with the setting that its name says after ``@``.

        Raises:
            ConfigError: a setting that it does not have.
        """
        raise ConfigError(f"kind={shown(f'{SIGNALS.name_of(cls)}@{text}')}: {cls.noun[1]} have no setting; leave out @")

    @property
    def tokenizer(self) -> dict[str, Any]:
        """Arguments of ``VQVAE.for_source`` that suit this kind, where nothing is given in their place."""
        return {}

    @property
    def conditional_tokenizer(self) -> dict[str, Any]:
        """The same for a decoder with a condition: so few bits that what the condition says does not pass them too."""
        return self.tokenizer

    @property
    def step(self) -> float | None:
        """How far apart neighboring values are, in the signal's units; None: real numbers, or evenly spaced levels."""
        return None

    @property
    def bounds(self) -> Range | None:
        """Lowest and highest value that can be written, where there are such beside ``value_range``."""
        return None

    @property
    def wide(self) -> bool:
        """Whether float32 does not hold the values exactly: float64 stands for them."""
        return False

    @property
    def number_type(self) -> str | None:
        """The type of numbers in which values within a bound are written (``Compressor.max_error``); None: none."""
        return None

    @property
    def common(self) -> Signal:
        """What of the kind is the same for all signals that one model reads."""
        return self

    def of_axes(self, axes: int) -> Signal:
        """Return the kind for signals of so many axes, of a kind that has any number of them; else itself."""
        del axes
        return self

    def of_file(self, path: Path) -> Signal:
        """Return the kind as it is in this file."""
        del path
        return self

    def expecting(self, said: Signal | None) -> Signal:
        """Return the kind that data are read as for a model of this kind; ``said``: what a person said, if it reads it.

        Sound of a model's sample rate is resampled to it.
        """
        return self if said is None or self.rate is not None else said

    def settled(self, array: Array, name: str, *, single: bool = False) -> tuple[Self, list[str]]:
        """Return the kind with what an array says beside it (its type, its layout), and notes on what was guessed.

        Args:
            array: of many items, or (``single``) of one, as it was loaded.
            name: of the data, for messages.
            single: whether it is one item.

        Raises:
            DataError: an array that the kind does not read.
        """
        del array, name, single
        return self, []

    def as_floats(self, block: Array) -> Array:
        """Return values of data as the floats that a model reads, NaN where one is missing (kinds with ``gaps``)."""
        return block.astype(np.float32)

    def as_values(self, floats: Array) -> Array:
        """Return floats that a model gives as values of the data, in their type (kinds with ``gaps``)."""
        return floats

    def as_written(self, items: Array) -> Array:
        """Return many items ``[N, C, *size]`` as the array that stands for them in a ``.npy`` file."""
        return items

    def reads(self, other: Signal) -> bool:
        """Return whether a model of this kind reads signals of another: of the same class, and no other setting."""
        return self == other

    def converts_channels(self, have: int, want: int) -> bool:
        """Return whether items of ``have`` channels can be made items of ``want`` (``Source.with_channels``)."""
        return have == want or (self.converts and {have, want} == {1, 3})

    @property
    def position(self) -> str:
        """What one position of an item is called: a pixel, a sample; of a vector, which has one, the vector."""
        if self.axes != 1:
            return "pixel" if self.axes else self.noun[0]
        return "position" if self.unit == Signal.unit else self.unit.removesuffix("s")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def describe(self, count: int, channels: int) -> str:
        """Return items of so many channels in words, without their number: ``"RGB images"``."""
        named = self.channel_names.get(channels, f"{channels}-channel" if channels > 1 or self.channel_names else "")
        return f"{named} {self.noun[count != 1]}".strip()

    def describe_size(self, size: Sequence[int]) -> str:
        """Return the size of an item in words: ``"640x480"`` (images: width x height), ``"16000 samples"``."""
        sides = "x".join(str(int(side)) for side in size)
        return f"{sides} {self.unit}"

    def channels_first(self, array: Array) -> Array | None:
        """Return an array of many items as a view ``[N, C, *size]``; None: it has no such layout."""
        if array.ndim == 1 + self.axes and self.axes:
            return array[:, None]
        return array if array.ndim == 2 + self.axes else None

    def repair_range(self, low: float, high: float) -> str:
        """Return the repair of floats beyond ``value_range``, in words; it never destroys what a fill value means."""
        assert self.value_range is not None
        suspect = low if low < self.value_range[0] else high
        return (
            f"first remove or mask fill values (numbers such as {suspect:g}, where they stand for missing data), then "
            "rescale: map the range that the quantity can have, one for the whole set, to "
            f"[{self.value_range[0]:g}, {self.value_range[1]:g}]"
        )

    def check_range(self, low: float, high: float, what: str) -> None:
        """Raise ``DataError`` where floats ``low..high`` lie beyond ``value_range`` by more than a hair."""
        if self.value_range is None:
            return
        bottom, top = self.value_range
        if low < bottom - HAIR or high > top + HAIR:
            raise DataError(
                f"{what} hold float values {low:g}..{high:g}; {self.noun[1]} lie in [{bottom:g}, {top:g}], and what "
                f"lies beyond could not come back: {self.repair_range(low, high)}"
            )

    def suffix(self, channels: int) -> str:
        """Return the extension of the files that ``write`` writes of items of so many channels."""
        return ".npy"

    def suffixes(self, channels: int) -> tuple[str, ...]:
        """Return the extensions of all files that ``write`` writes of such items, ``suffix`` first."""
        return (self.suffix(channels),)

    def read(self, path: Path) -> Array:
        """Return the item ``[C, *size]`` of a file, float32 or (kinds of 256 levels) uint8.

        Raises:
            DataError: no such item in it. In a folder the file is then skipped and named, as after any other exception.
        """
        try:
            array: Array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: not readable as a .npy array ({error})") from error
        return self.checked(array, str(path))

    def checked(self, array: Any, what: str) -> Array:
        """Return one item as it is kept: ``[C, *size]`` (a missing axis of channels is added), float32 or uint8.

        Raises:
            DataError: another number of axes, an empty axis, NaN, Inf, or values beyond the range.
        """
        item: Array = np.asarray(array)
        item = item[None] if self.axes and item.ndim == self.axes else item
        if item.ndim != 1 + self.axes or 0 in item.shape or item.dtype.kind not in "buif":
            raise DataError(
                f"{what} is an array of {item.dtype} {list(item.shape)}; one of the {self.noun[1]} is "
                f"[channels{''.join(f', size {axis}' for axis in range(1, self.axes + 1))}], of numbers"
            )
        if item.dtype == np.uint8 and self.levels is not None and self.from_bytes:
            return item
        if item.dtype.kind != "f" and self.value_range is not None:
            raise DataError(
                f"{what} is of {item.dtype}; {self.noun[1]} are floats of "
                f"[{self.value_range[0]:g}, {self.value_range[1]:g}]: scale the integers first"
            )
        low, high = float(item.min()), float(item.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise DataError(f"{what} holds NaN or Inf; every value must be a finite number: repair or drop it")
        self.check_range(low, high, what)
        floats = item.astype(np.float32)
        return floats if self.value_range is None else floats.clip(*self.value_range)

    def write(self, item: Array, path: Path, *, durable: bool = True, made: str | None = None) -> None:
        """Write an item ``[C, *size]`` as a file with the extension ``suffix(C)``; see ``atomic.write_file``.

        ``made`` says what result of vqkit's it is ("sample"), in formats that have room for such a mark.
        """
        array = item if item.dtype == np.uint8 else np.asarray(item, dtype=np.float32)
        atomic.write_file(path, lambda file: atomic.save_npy(file, array), durable=durable)

    def write_pieces(
        self, pieces: Iterable[Array], path: Path, *, durable: bool = True, made: str | None = None
    ) -> None:
        """Write an item whose pieces follow each other along its first axis, in memory for a piece if the kind can."""
        parts = list(pieces)
        self.write(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1), path, durable=durable, made=made)

    def crop_size(self, side: int, sizes: Array) -> tuple[int, ...]:
        """Return the size of the crops that ``crop=side`` asks for, of items of these sizes, int64 ``[N, axes]``."""
        return (side,) * self.axes

    def default_crop(self, sizes: Array) -> int | None:
        """Return a good ``crop`` for items of these sizes, int64 ``[N, axes]``; None: train on whole items."""
        return None

    def segment_length(self, sizes: Array) -> int | None:
        """Return the length of the segments that items of these sizes, int64 ``[N, axes]``, are trained and judged on.

        None: on whole items.
        """
        return None

    def enlarge(self, item: Array, size: tuple[int, ...]) -> Array:
        """Return an item that a crop of this size fits into: the item itself, or a larger one made from it.

        Zeros are added at the end of what is too short.
        """
        missing = [max(0, want - have) for want, have in zip(size, item.shape[1:], strict=True)]
        return np.pad(item, [(0, 0), *((0, more) for more in missing)]) if any(missing) else item

    def flip(self, items: Array) -> Array:
        """Return items mirrored along their last axis (kinds with ``flips``)."""
        return items[..., ::-1]

    def amplify(self, item: Array, factor: float) -> Array:
        """Return an item times a factor, or as much of it as its range allows (kinds with ``gains``)."""
        peak = float(np.abs(item).max(initial=0.0))
        most = 1.0 if self.value_range is None or not peak else max(1.0, self.value_range[1] / peak)
        return item * np.float32(min(factor, most))

    def show(self, item: Array) -> Pillow.Image | None:
        """Return a picture of an item ``[C, *size]``, or None for what no picture shows."""
        return None

    def sheet(self, rows: Sequence[tuple[str, Sequence[Array]]], columns: int | None = None) -> Pillow.Image | None:
        """Return pictures of items ``[C, *size]`` in rows with captions (of kinds that have pictures); else None.

        The first row are the originals, where there is a second: what a model makes of them; so many beside each other.
        """
        pictures = [(caption, [self.show(each) for each in items]) for caption, items in rows]
        if any(each is None for _, row in pictures for each in row):
            return None
        shown = [(caption, [each for each in row if each is not None]) for caption, row in pictures]
        return before_after_sheet(shown, columns=columns or 12)

    def shows(self, channels: int) -> bool:
        """Return whether ``show`` gives a picture of items of so many channels."""
        return False

    @abstractmethod
    def example(self, count: int, generator: np.random.Generator) -> Array:
        """Return small items to test with, ``[count, C, *size]``, in the range of the kind."""


SIGNALS: Registry[type[Signal]] = Registry("kind of signal", "vqkit.signals", Signal)
"""The kinds of signals by name."""


def signal_kind(given: str | Signal | type[Signal]) -> Signal:
    """Return the kind of a name (``"sound"``, ``"sound@16000"``), of a class, or as it is.

    Raises:
        ConfigError: an unknown name or setting, or something else.

    Example:
        >>> from vqkit.signals import signal_kind
        >>> signal_kind("sound").value_range
        (-1.0, 1.0)
    """
    if isinstance(given, Signal):
        return given
    if isinstance(given, str):
        name, said, setting = given.partition("@")
        kind = SIGNALS.get_part(name)
        return kind.with_setting(setting) if said else kind()
    if isinstance(given, type) and issubclass(given, Signal):
        return given()
    raise ConfigError(f"kind={shown(given)}: give a name ({', '.join(SIGNALS)}) or a vqkit.signals.Signal")


def median_side(shorter: Array, multiple: int, largest: int) -> int:
    """Return the median length, rounded down to a multiple (at least one), at most ``largest``."""
    places = np.linspace(0, len(shorter) - 1, min(_CROP_SAMPLE, len(shorter))).astype(int)
    median = int(np.median(shorter[places]))
    return min(largest, max(multiple, median // multiple * multiple))


def fill_words(low: float, high: float) -> str:
    """Return what to do first about numbers that stand for missing data."""
    suspect = low if low < 0 else high
    return f": first remove or mask fill values (numbers such as {suspect:g}, where they mean missing data)"

"""The ranges that floats of images, video and sound lie in, and what to do about values beyond."""

from __future__ import annotations

from vqkit.errors import DataError

Range = tuple[float, float]
HAIR = 1e-3
"""How far beyond its range a float may lie (rounding, resampling): it is taken for the bound."""
_KINDS = ("vectors", "sound", "images", "video")


def check_range(low: float, high: float, axes: int, signal_range: Range, what: str) -> None:
    """Raise ``DataError`` where values ``low..high`` lie beyond a signal's range by more than a hair."""
    if low < signal_range[0] - HAIR or high > signal_range[1] + HAIR:
        raise DataError(
            f"{what} hold float values {low:g}..{high:g}; {_KINDS[axes]} lie in [{signal_range[0]:g}, "
            f"{signal_range[1]:g}], and what lies beyond could not come back: {scale_words(low, high, axes)}"
        )


def scale_words(low: float, high: float, axes: int = 2) -> str:
    """The repair for floats out of range; it never destroys what a fill value stands for."""
    if axes == 1:
        return "16-bit samples are x / 32768, louder floats are turned down by one factor for all"
    if low >= 0 and 1 < high <= 255:
        return "of 8-bit images divide by 255, or give uint8"
    return (
        f"first remove or mask fill values (numbers such as {_suspect(low, high):g}, where they stand for missing "
        "data), then rescale: map the range that the quantity can have, one for the whole set, to [0, 1]"
    )


def fill_words(low: float, high: float) -> str:
    """What to do first about numbers that stand for missing data."""
    return f": first remove or mask fill values (numbers such as {_suspect(low, high):g}, where they mean missing data)"


def _suspect(low: float, high: float) -> float:
    return low if low < 0 else high

"""Kinds of signals: what images, sound, video and vectors each are, and the registry for others."""

from vqkit.errors import ConfigError
from vqkit.signals.assumed import assumed_kind, kind_assumed
from vqkit.signals.base import SIGNALS, Range, Signal, signal_kind
from vqkit.signals.fields.field import Field
from vqkit.signals.image import Image, Video
from vqkit.signals.sound import Sound
from vqkit.signals.vector import Vector

__all__ = [
    "Field",
    "Image",
    "Range",
    "SIGNALS",
    "Signal",
    "Sound",
    "Vector",
    "Video",
    "assumed_kind",
    "default_kind",
    "kind_assumed",
    "signal_kind",
]

_BY_AXES: tuple[Signal, ...] = (Vector(), Sound(), Image(), Video())


def default_kind(axes: int) -> Signal:
    """Return the kind of signals of so many axes that say nothing of themselves (arrays, models of older versions).

    Raises:
        ConfigError: more axes than any kind has.

    Example:
        >>> from vqkit.signals import default_kind
        >>> default_kind(1).name
        'sound'
    """
    if axes not in range(len(_BY_AXES)):
        raise ConfigError(f"axes={axes}: signals have 0 (vectors), 1 (sound), 2 (images) or 3 (video) axes")
    return _BY_AXES[axes]

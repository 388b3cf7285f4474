"""Options of fields (layout, number for gaps, scaling, depth) as a kind of signal."""

from __future__ import annotations

from typing import Any

from vqkit.errors import ConfigError
from vqkit.signals.base import Signal, signal_kind
from vqkit.signals.fields.field import Field
from vqkit.spelling import option, spelled


def field_named(
    kind: str | Signal | None,
    *,
    layout: str | None = None,
    nodata: float | None = None,
    scaling: str | None = None,
    depth: int | None = None,
    rgb: str | None = None,
) -> Signal | None:
    """Return the kind that a name and the options of fields say together.

    Raises:
        ConfigError: options of fields beside another kind, or a depth that pictures do not have.

    Example:
        >>> from vqkit.signals.fields.options import field_named
        >>> field_named("field", layout="NHWC", nodata=-9999).name, field_named(None, depth=16).name
        ('field@NHWC,nodata=-9999', 'field@2')
    """
    own = None if kind is None else signal_kind(kind)
    if depth not in (None, 8, 16):
        raise ConfigError(f"{spelled(python='depth=', command='--depth')} {depth}: 8 (as pictures), or 16 (as fields)")
    given: dict[str, Any] = {
        name: value for name, value in (("layout", layout), ("nodata", nodata), ("scaling", scaling)) if value
    }
    given |= {"nodata": nodata} if nodata is not None else {}
    given |= {"rgb": read_bands(rgb)} if rgb is not None else {}
    asked = bool(given) or depth == 16
    if not asked:
        return own
    if own is None:
        own = Field(2) if depth == 16 and layout is None else Field()
    if not isinstance(own, Field):
        raise ConfigError(
            f"kind={own.name!r}: a layout, a number for gaps, a scaling, bands to show and a depth of 16 are of "
            f"fields; give {spelled(python='kind=field', command='--kind field')}"
        )
    return own.with_(**given)


def read_bands(text: str) -> list[int]:
    """Return the channels, counted from 1, that a text lists between commas.

    Raises:
        ConfigError: it is no list of one or three of them.

    Example:
        >>> from vqkit.signals.fields.options import read_bands
        >>> read_bands("4,3,2")
        [4, 3, 2]
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (1, 3) or not all(part.isdecimal() and int(part) for part in parts):
        raise ConfigError(f"{option('rgb', text)}: give three channels, counted from 1, such as 4,3,2, or one of them")
    return [int(part) for part in parts]

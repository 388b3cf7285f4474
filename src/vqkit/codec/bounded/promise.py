"""What a file promises of its values, and the bound that what is added to it has to keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from vqkit.codec.bounded.bound import MaxError
from vqkit.coding import GroupHeader
from vqkit.coding.archive.access import open_access
from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.spelling import option


@final
@dataclass
class Promise:
    """What the signals of a file promise, together.

    Attributes:
        least: of each channel the smallest bound of a signal; empty: no signal has any.
        most: the largest: no value of the channel is farther from the one that was given.
        number_type: of the values.
        within: signals that have bounds.
        without: signals that have none, in a file of which others have.

    Example:
        >>> from vqkit.codec.bounded.promise import Promise
        >>> from vqkit.coding import GroupHeader
        >>> promise = Promise()
        >>> for bound in (0.5, 0.25):
        ...     promise.add(GroupHeader(signals=1, size=(8,), bounds=(bound,), number_type="float32"))
        >>> promise.line
        'every value (float32) to within 0.5, and some signals to within 0.25 and more'
    """

    least: tuple[float, ...] = ()
    most: tuple[float, ...] = ()
    number_type: str = ""
    within: int = 0
    without: int = 0

    def add(self, about: GroupHeader) -> None:
        """Count the signals of one more group that begins a signal."""
        if not about.bounds:
            self.without += about.signals
            return
        self.number_type = about.number_type
        self.least = tuple(map(min, self.least or about.bounds, about.bounds))
        self.most = tuple(map(max, self.most or about.bounds, about.bounds))
        self.within += about.signals

    @property
    def line(self) -> str:
        """The same for people; empty: nothing is promised."""
        if not self.within:
            return ""
        if self.without:
            return (
                f"{self.within:,} signals to within {shown_bounds(self.most)} ({self.number_type}), and of "
                f"{self.without:,} others nothing is promised"
            )
        said = f"every value ({self.number_type}) " + (
            "exactly" if not any(self.most) else f"to within {shown_bounds(self.most)}"
        )
        return (
            said
            if self.least == self.most
            else f"{said}, and some signals to within {shown_bounds(self.least)} and more"
        )

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "least": list(self.least),
            "most": list(self.most),
            "number_type": self.number_type,
            "signals": self.within,
            "signals_without": self.without,
        }


def kept_bound(path: Path, given: MaxError | None, model: IndexModel) -> MaxError | None:
    """The bound for what is added to a file: as the file has it, or one that was given and keeps what it promises.

    A file is within bounds throughout or not at all. Its first and its last signal are looked at, so that this takes
    no longer where more is there.

    Args:
        path: of the file; there need not be one.
        given: the bound that was asked for; None: none.
        model: of the file.

    Raises:
        ConfigError: what was asked for would break the promise, or nothing was and the signals differ in theirs.
        BitstreamError: the file is damaged.
    """
    if not path.exists():
        return given
    with path.open("rb") as file:
        access = open_access(file)
        if not access.signals:
            return given
        first, last = (access.group_header(access.place(number)[0]).bounds for number in (0, access.signals - 1))
        several = access.signals > 1
    name, flag = path.name, option("max_error")
    if not first or not last:
        if given is not None:
            raise ConfigError(
                f"{flag}: {name} was written without it and promises nothing of its values, and all that is in a file "
                "is alike; leave it out, or begin another file"
            )
        return None
    if given is None:
        if first != last:
            raise ConfigError(
                f"each signal of {name} has a bound of its own (the first {shown_bounds(first)}, the last "
                f"{shown_bounds(last)}): say the one for what is added, as {option('max_error', '0.1%')}"
            )
        return MaxError(first, (False,) * len(first))
    channels = model.channels
    sizes, parts = given.sizes * (channels // len(given.sizes)), given.relative * (channels // len(given.relative))
    for channel, (size, part, most) in enumerate(zip(sizes, parts, map(max, first, last), strict=True)):
        if size > most and not part:
            raise ConfigError(
                f"{flag}: {size:g} in channel {channel}, and {name} keeps it to within {most:g}, which is to hold "
                f"for all that is in it; give {most:g} or less, or leave it out"
            )
        if part and size and several and first == last:
            raise ConfigError(
                f"{flag}: a part of the range in channel {channel}, and {name} keeps it to within {most:g}, which that "
                f"part may exceed; give {most:g} or less, or leave it out"
            )
    return given


def shown_bounds(bounds: tuple[float, ...]) -> str:
    """Bounds of the channels for people, one where they are the same.

    Example:
        >>> from vqkit.codec.bounded.promise import shown_bounds
        >>> shown_bounds((0.5, 0.5)), shown_bounds((0.5, 2.0))
        ('0.5', '0.5, 2')
    """
    if len(set(bounds)) == 1:
        return f"{bounds[0]:g}"
    return ", ".join(f"{bound:g}" for bound in bounds[:6]) + ", ..." * (len(bounds) > 6)

"""Names of signals in a file: relative paths that cannot lead out of a folder, on any system."""

from __future__ import annotations

import re

from vqkit.coding.fields import Fields, varint
from vqkit.errors import ConfigError

MAX_NAME_BYTES = 1024
"""Longest name in UTF-8: what the strictest common systems allow for a whole path (macOS)."""

_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(\.|$)", re.IGNORECASE)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def check_name(name: str) -> str:
    """``name`` if it is a relative path with ``/`` between its parts that stays below any folder it is joined to.

    Refused, since a file may come from anyone: absolute paths, ``..`` and ``.``, empty parts, backslashes and colons
    (Windows: other folders, drives, streams), control characters, parts that end in a dot or a space and device names
    such as ``NUL`` (Windows would open something else), lone surrogates, more than 1024 bytes.

    Raises:
        ConfigError: it is none.
    """
    reason = _trouble(name)
    if reason:
        raise ConfigError(
            f"the name {name[:80]!r} {reason}: names in a .vqk file are relative paths that are safe on every system, "
            "because readers make files of these names; rename it"
        )
    return name


def storable_name(name: str) -> str:
    """``name`` with control characters and bytes that are no UTF-8 in percent-encoding (RFC 3986): ``%0A``, ``%E9``.

    They are hard to type, so that a person could hardly rename the file. What else ``check_name`` refuses stays.
    """
    return _UNSAFE.sub(lambda found: _percent(found[0]), name)


def shortened_names(names: tuple[str, ...]) -> bytes:
    """Names as what each has other than the one before it: incremental coding of their beginnings and ends.

    Three varints of each say how many bytes of UTF-8 it shares with it at the beginning, of the rest at the end, and
    how many are between, which follow.
    """
    found, before = bytearray(), b""
    for name in names:
        raw = name.encode("utf-8")
        head = _common(before, raw)
        tail = _common(before[head:][::-1], raw[head:][::-1])
        own = raw[head : len(raw) - tail]
        found += varint(head) + varint(tail) + varint(len(own)) + own
        before = raw
    return bytes(found)


def read_shortened_names(fields: Fields, count: int) -> tuple[str, ...]:
    """So many names out of ``shortened_names``, which are refused when they are not as short as they can be.

    Raises:
        BitstreamError: they are damaged.
    """
    found, before, start = [], b"", fields.place
    for _ in range(count):
        head = fields.varint("length of a name's beginning", 0, len(before))
        tail = fields.varint("length of a name's end", 0, len(before) - head)
        own = fields.take(fields.varint("length of a name", 0, MAX_NAME_BYTES - head - tail))
        before = before[:head] + own + before[len(before) - tail :]
        found.append(fields.decoded(before, "name"))
    if shortened_names(tuple(found)) != fields.since(start):
        raise fields.damage("has names written in more bytes than they need")
    return tuple(found)


def _common(one: bytes, other: bytes) -> int:
    """Bytes that both begin with."""
    most = min(len(one), len(other))
    return next((place for place in range(most) if one[place] != other[place]), most)


def _percent(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogateescape"))


def _trouble(name: str) -> str | None:
    """Return the reason why a name is refused, or None."""
    try:
        length = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return "is not Unicode text"
    if not 1 <= length <= MAX_NAME_BYTES:
        return f"has {length} bytes, allowed are 1 to {MAX_NAME_BYTES}"
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in name):
        return "holds a control character"
    if "\\" in name or ":" in name:
        return "holds a backslash or a colon"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return "is absolute or has an empty part, '.' or '..'"
        if part[-1] in ". ":
            return "has a part that ends in a dot or a space"
        if _DEVICES.match(part):
            return "has a part that is a device on Windows"
    return None

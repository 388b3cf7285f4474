"""Changes to JSON documents and safetensors headers such as a stranger, or a damaged disk, may make."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

ABSURD: list[Any] = [
    None, True, False, -1, 0, 1, 2, 3, 7, 255, 256, 65537, 10**6, 10**9, 10**12, 2**31, 2**32, 2**62, 2**63, 2**64,
    10**30, 10**400, -(10**12), 0.5, -0.0, 1e-300, 1e308, "", "x", "../x", "/etc/passwd", "\u0000", "\ud800", "16",
    "a" * 10**5, "vae", "vqvae", "pca", "context", "residual", "fsq", "lfq", "float32", [], [[]], [0], [-1], [1, 2],
    [10**9] * 2, [1] * 40, [8] * 10**5, ["x"], [None], {}, {"a": 1}, {"a": {"b": [1]}}, [[[[[[1]]]]]],
]  # fmt: skip
WORDS = [b"NaN", b"1e999", b"[" * 50_000, b"{" * 5, b'"', b",", b"\x00", b"\xff", b"9" * 5000, b"-", b"\n", b'"a":1,']


def changed_document(document: Any, random: Random) -> bytes:
    """The text of a JSON document with one to three changes."""
    document = copy.deepcopy(document)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        _change(document, random)
    data = json.dumps(document).encode()
    return changed_bytes(data, random) if random.random() < 0.25 else data


def changed_header(data: bytes, random: Random) -> bytes:
    """A safetensors file whose header is changed, and its length with it or not."""
    length = int.from_bytes(data[:8], "little")
    kind = random.random()
    if kind < 0.15:
        told = random.choice((0, 1, length - 1, length + 1, len(data), 1 << 31, 1 << 40, (1 << 64) - 1))
        return told.to_bytes(8, "little") + data[8:]
    if kind < 0.25:
        return changed_bytes(data, random)
    header = changed_document(json.loads(data[8 : 8 + length]), random)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def changed_bytes(data: bytes, random: Random) -> bytes:
    """Bytes with one changed, some cut off, or some put in between."""
    place = random.randrange(len(data) + 1)
    kind = random.randrange(3)
    if kind == 0 and place < len(data):
        return data[:place] + bytes([data[place] ^ (1 << random.randrange(8))]) + data[place + 1 :]
    return data[:place] if kind == 1 else data[:place] + random.choice(WORDS) + data[place:]


def _change(document: Any, random: Random) -> None:
    places = list(_places(document))
    if not places:
        return
    holder, key = random.choice(places)
    kind = random.random()
    value = holder[key]
    if kind < 0.1:
        del holder[key]
    elif kind < 0.2 and isinstance(holder, dict):
        holder[random.choice([*holder, "surprise", ""])] = holder.pop(key)
    elif kind < 0.3:
        other, name = random.choice(places)
        holder[key] = copy.deepcopy(other[name])
    elif kind < 0.5 and isinstance(value, int) and not isinstance(value, bool):
        holder[key] = random.choice(
            (
                value + 1,
                value - 1,
                -value,
                2 * value,
                1000 * value,
                10**9 * value,
                float(value) if abs(value) < 10**300 else 0.5,
            )
        )
    elif kind < 0.6 and isinstance(value, list):
        holder[key] = random.choice((value * 2, value[:-1], value[::-1], value * 1000, [value]))
    else:
        holder[key] = copy.deepcopy(random.choice(ABSURD))  # a later change must not change the list itself


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])

"""Truncated JPEG and JPEG 2000 streams with a valid end marker, whose missing pixels decoders fill in silently.

A JPEG is decoded a second time with noise inserted after the data of each scan: the pixels change only if the decoder
ran out of data. That is needed only for progressive files, and where the last block of the picture is flat, as filled
blocks are.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import numpy as np
from PIL import Image

from vqkit.errors import DataError

_NOISE = bytes((each * 89 + 17) % 251 for each in range(512))
_NEXT_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")
_SOS, _EOI, _DRI = 0xDA, 0xD9, 0xDD
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_EARLY = "damaged: the file ends before its last rows of pixels"


def check_jpeg(image: Image.Image, data: Callable[[], bytes]) -> None:
    """Check that the pixels of a decoded JPEG are all in its file.

    Args:
        image: decoded.
        data: returns the bytes of its file; called only where they are needed.

    Raises:
        DataError: the decoder filled in the end of the picture.
    """
    progressive = "progressive" in image.info or "progression" in image.info
    if not progressive and not _ends_flat(image):
        return
    whole = data()
    frame, scans = _scans(whole)
    if frame is None:
        return
    if progressive and not _all_refined(whole, frame, scans):
        raise DataError("damaged: the file ends before the last scans of a progressive JPEG")
    interval = _restart_interval(whole, scans)
    if interval and len(scans) == 1:
        found = len(_RESTART.findall(whole, scans[0][0], scans[0][1]))
        needed = -(-_units(whole, frame) // interval) - 1
        if found < needed:
            raise DataError(_EARLY)
    parts, place = [], 0
    for _, end in scans:
        parts += [whole[place:end], _NOISE]
        place = end
    with Image.open(io.BytesIO(b"".join([*parts, whole[place:], b"\xff\xd9"])), formats=("JPEG",)) as again:
        if not np.array_equal(np.asarray(again), np.asarray(image)):
            raise DataError(_EARLY)


def check_jpeg2000(data: bytes) -> None:
    """Check that the tile-parts of a JPEG 2000 codestream follow each other up to its end marker.

    Raises:
        DataError: a tile-part is cut short or missing.
    """
    place = data.find(b"\xff\x4f\xff\x51")
    if place < 0:
        return
    place += 2
    while data[place : place + 2] != b"\xff\x90":  # segments of the main header, up to the first tile
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if data[place : place + 1] != b"\xff" or length < 2:
            return
        place += 2 + length
    while data[place : place + 2] == b"\xff\x90":
        length = int.from_bytes(data[place + 6 : place + 10], "big")
        if length == 0:
            return
        place += length
    if data[place : place + 2] != b"\xff\xd9":
        raise DataError("damaged: the file ends before its last tiles")


def _ends_flat(image: Image.Image) -> bool:
    width, height = image.size
    last = np.asarray(image.crop((max(0, width - 8), max(0, height - 8), width, height)))
    return bool((last == last[:1, :1]).all())


def _scans(data: bytes) -> tuple[int | None, list[tuple[int, int]]]:
    """Return the offset of the frame header (None: not found), and (start, end) of each scan's coded data."""
    place, frame, scans = 2, None, []
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            break
        code = data[place + 1]
        if code == 0xFF:
            place += 1
            continue
        if code == _EOI:
            break
        if code in (*_SEQUENTIAL, _PROGRESSIVE):
            frame = place
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if code == _SOS:
            found = _NEXT_MARKER.search(data, place)
            end = len(data) if found is None else found.start()
            scans.append((place, end))
            place = end
    return frame, scans


def _restart_interval(data: bytes, scans: list[tuple[int, int]]) -> int:
    place, interval = 2, 0
    while scans and place < scans[0][0] and data[place] == 0xFF:
        if data[place + 1] == _DRI:
            interval = int.from_bytes(data[place + 4 : place + 6], "big")
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return interval


def _units(data: bytes, frame: int) -> int:
    """Return the number of minimum coded units (MCUs) of an interleaved scan."""
    height, width = (int.from_bytes(data[frame + at : frame + at + 2], "big") for at in (5, 7))
    count = data[frame + 9]
    factors = [data[frame + 11 + 3 * each] for each in range(count)]
    across, down = max(each >> 4 for each in factors), max(each & 15 for each in factors)
    if count == 1:
        across = down = 1
    return -(-width // (8 * across)) * -(-height // (8 * down))


def _all_refined(data: bytes, frame: int, scans: list[tuple[int, int]]) -> bool:
    """Return True if the scans refine every coefficient of the first component (luma) to its last bit."""
    first = data[frame + 10]
    missing = [13] * 64  # bits
    for start, _ in scans:
        count = _components(data, start)
        header = start - 4 - 2 * count
        chosen = [data[header + 1 + 2 * each] for each in range(count)]
        low, high, shift = data[start - 3], data[start - 2], data[start - 1] & 15
        if first in chosen:
            for each in range(low, min(high, 63) + 1):
                missing[each] = shift
    return not any(missing)


def _components(data: bytes, start: int) -> int:
    """Return the number of components n of the scan whose header ends at ``start``; its length is 6 + 2n bytes."""
    for count in range(1, 5):
        header = start - 4 - 2 * count
        if data[header] == count and int.from_bytes(data[header - 2 : header], "big") == 6 + 2 * count:
            return count
    return 1

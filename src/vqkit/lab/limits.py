"""Limits of the lab: how large an upload may be, what it may be, how many wait, how long a session is kept."""

from __future__ import annotations

from vqkit.data.source import byte_words

MOST_BYTES = 32_000_000
"""Bytes of one upload."""
MOST_FILES = 16
"""Files that are uploaded at once."""
MOST_UNPACKED = 1 << 29
"""Bytes of numbers that a file of vectors may hold, or a sound before it is cut, once it is unpacked."""
MOST_PIXELS = 40_000_000
"""Pixels that a picture may hold before it is made smaller: a photograph of any phone, no decompression bomb."""
SIDES = (256, 512, 1024, 2048)
"""Longest sides that a picture can be made smaller to, in pixels."""
MOST_SECONDS = 60.0
"""Of a sound; what is longer is cut there, which is said."""
GRID_SECONDS = 8.0
"""Of a sound whose tokens are changed, so that it is decoded anew at once."""
MOST_VECTORS = 20_000
"""Rows of a file of vectors."""
WAITING = 32
"""Requests that wait; a further one is refused."""
AT_ONCE = 4
"""Requests that are worked on at once; of one model one."""
SESSION_SECONDS = 3600
"""How long the state of a session is kept after it was last used."""
SESSIONS = 64
"""Sessions whose state is kept; the oldest are forgotten."""
FILES_SECONDS = 900
"""How long an uploaded file, or a made one, is kept."""


def told() -> str:
    """Return the limits of uploads in words, for the field that takes them."""
    return f"at most {byte_words(MOST_BYTES)}"

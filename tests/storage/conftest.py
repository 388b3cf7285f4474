"""What is written here is flushed to the disk in earnest, as it is outside of tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

_flush = os.fsync


@pytest.fixture(autouse=True)
def _in_earnest(_hurry: None) -> Iterator[None]:
    """Not by the test's own patch: that one ends before its files are removed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", _flush)
        yield

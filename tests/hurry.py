"""What makes tests quicker and changes nothing that they look at: no wait for the disk, short ends of trainings."""

from __future__ import annotations

import os
from typing import Any

import pytest

_WHOLE: dict[str, int] = {}
"""The limits as they are outside of tests."""


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone nothing waits for the disk, pictures are larger files, and endings are short."""
    patch.setattr(os, "fsync", lambda handle: None)
    _write_pictures_sooner(patch)
    shorten_endings(patch)


def shorten_endings(patch: pytest.MonkeyPatch) -> None:
    """The numbers that are fitted after the last step are fitted on fewer items, and pictures show fewer of them.

    For processes whose models are compared with this one's too.
    """
    for module, name, value in _endings():
        _WHOLE.setdefault(name, getattr(module, name))
        patch.setattr(module, name, value)


def restore_endings(patch: pytest.MonkeyPatch) -> None:
    """Endings are as long as they are outside of tests."""
    for module, name, _ in _endings():
        patch.setattr(module, name, _WHOLE[name])


def _endings() -> list[tuple[Any, str, int]]:
    """Limits of what is done after the last step, and the tests' own for them."""
    from vqkit.training import recalibration
    from vqkit.training.evaluators import models

    return [
        (recalibration, "_FINISHING_ITEMS", 256),
        (recalibration, "_LEAST_FINISHING_ITEMS", 64),
        (models, "_SHOWN", 4),
    ]


def _write_pictures_sooner(patch: pytest.MonkeyPatch) -> None:
    """Pictures of reports are the same pixels in larger files, which take a tenth of the time to write."""
    from PIL import Image

    Image.preinit()
    written = Image.SAVE["PNG"]

    def write(image: Any, *given: Any, **options: Any) -> None:
        if image.encoderinfo.get("optimize"):
            image.encoderinfo |= {"optimize": False, "compress_level": 1}
        written(image, *given, **options)

    patch.setitem(Image.SAVE, "PNG", write)

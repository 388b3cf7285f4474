"""The measurements of a study of rate and distortion: one line of JSON each, kept as they are made; and their sums."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch

from vqkit.errors import DataError
from vqkit.evaluation import ms_ssim, ms_ssim_db, psnr_db, squared_error
from vqkit.spelling import option
from vqkit.storage.reading import parse_json

Pixels = npt.NDArray[np.uint8]
Measure = Mapping[str, Any]
_MOST_DB = 100.0


def distortions(original: Pixels, decoded: Pixels) -> dict[str, float]:
    """Squared error (of values in [0, 1]) and MS-SSIM of one image, 8 bits, ``[channels, height, width]``."""
    if original.shape != decoded.shape:
        raise DataError(f"an image of shape {list(original.shape)} came back as {list(decoded.shape)}")
    x, y = (torch.from_numpy(each).unsqueeze(0).double() / 255 for each in (original, decoded))
    return {"mse": float(squared_error(x, y)), "ms_ssim": float(ms_ssim(x, y))}


@final
class MeasureLog:
    """Measurements in a file of JSON lines; what is in it is not made again.

    Args:
        path: the file; a line that was cut off by a crash is dropped.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        if not path.is_file():
            return
        whole, _, rest = path.read_bytes().rpartition(b"\n")
        if rest:
            os.truncate(path, len(whole) + 1 if whole else 0)
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                entry = parse_json(line)
                self._known[entry["key"]] = entry["measure"]
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{path}, line {number}: damaged ({error}); delete the line, or choose another {option('out')}"
                ) from error

    def __contains__(self, key: Sequence[Any]) -> bool:
        return json.dumps(list(key)) in self._known

    def measured(self, key: Sequence[Any], measure: Callable[[], Mapping[str, Any]]) -> Measure:
        """The measurement of a key (strict JSON values): out of the file, or made now and kept there."""
        name = json.dumps(list(key), allow_nan=False)
        if name not in self._known:
            found = dict(measure())
            line = json.dumps({"key": name, "measure": found}, allow_nan=False)
            with self._path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(line + "\n")
            self._known[name] = found
        return self._known[name]


def point(measures: Sequence[Measure]) -> dict[str, Any]:
    """One setting of one codec over all images.

    Rate: the bits of all files over the pixels of all images. PSNR: of the squared error over all values, and the mean
    of each image's own (an image without error counts as 100 dB). MS-SSIM: the mean over images, and the mean of each
    image's decibels. What a measurement says of bits becomes bits per pixel too.
    """
    pixels = sum(each["pixels"] for each in measures)
    mse = sum(each["mse"] * each["pixels"] for each in measures) / pixels
    found: dict[str, Any] = {
        "images": len(measures),
        "bytes": sum(each["bytes"] for each in measures),
        "bits_per_pixel": 8 * sum(each["bytes"] for each in measures) / pixels,
        "mse": mse,
        "psnr_db": _psnr(mse),
        "psnr_item_mean_db": _mean([_psnr(each["mse"]) for each in measures]),
        "ms_ssim": _mean([each["ms_ssim"] for each in measures]),
        "ms_ssim_db": _mean([ms_ssim_db(each["ms_ssim"]) for each in measures]),
    }
    if "bits" in measures[0]:
        names = list(measures[0]["bits"])
        found["bits_per_pixel_of"] = {name: sum(each["bits"][name] for each in measures) / pixels for name in names}
    return found


def _psnr(mse: float) -> float:
    return min(psnr_db(mse), _MOST_DB)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

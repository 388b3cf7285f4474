"""Where the eye and the numbers part: fine detail, which a reader sees at once and the judging measures may not.

Fine detail is the mean squared Laplacian of a picture. Blur takes it away and noise adds it; the reconstruction error
and the Frechet distance can be the same with much of it and with little.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.studies.spread import standard_error, verdict

_APART = 1.25
"""How many times the fine detail of another is more than the eye overlooks."""
_SAME_DB = 0.5
"""Decibels below which two reconstructions count as equally near."""


def fine_detail(images: Tensor) -> float:
    """The mean squared Laplacian of pictures ``[batch, channels, height, width]``, borders left out.

    Args:
        images: float, or uint8; sides of 3 pixels at least, else 0.

    Example:
        >>> import torch
        >>> from vqkit.studies.ladder.eye import fine_detail
        >>> fine_detail(torch.arange(5.0).expand(1, 1, 5, 5)), fine_detail(torch.eye(3).view(1, 1, 3, 3))
        (0.0, 16.0)
    """
    values = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    if min(values.shape[2:]) < 3:
        return 0.0
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).expand(values.shape[1], 1, 3, 3)
    return float(functional.conv2d(values, kernel, groups=values.shape[1]).square().mean())


def disagreements(rungs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What a reader will see in the pictures that the numbers beside them do not say, or say otherwise.

    Args:
        rungs: entries of ``compare``'s document.

    Returns:
        ``statement`` and ``numbers`` of each, the widest apart first.
    """
    done = [each for each in rungs if each["status"] == "done"]
    found = [
        told
        for one, other in itertools.combinations(done, 2)
        for told in (_of_samples(one, other), _of_reconstructions(one, other))
        if told is not None
    ]
    return [{"statement": words, "numbers": numbers} for _, words, numbers in sorted(found, key=lambda each: -each[0])]


def _of_samples(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[float, str, str] | None:
    near, far = sorted((one, other), key=lambda each: float(each["frechet_samples"]))
    apart = _apart(near, far, "detail_samples")
    if apart is None:
        return None
    more, less = _ordered(near, far, "detail_samples")
    error = math.hypot(*(standard_error(each, "frechet_samples", each.get("frechet_noise")) for each in (one, other)))
    seen = f"{more['title']}'s show {apart:.1f} times the fine detail of {less['title']}'s"
    if verdict(far["frechet_samples"] - near["frechet_samples"], error) is None:
        words = f"The Frechet distance does not tell samples of {near['title']} and {far['title']} apart; the eye does"
    elif _unlike(near, "detail_samples") > _APART * _unlike(far, "detail_samples"):
        worse = "blurrier" if near["detail_samples"] < 1 else "noisier"
        words = (
            f"By the Frechet distance {near['title']} samples better than {far['title']}, yet what it makes is {worse}"
        )
    else:
        return None
    return apart, f"{words}: {seen}.", _numbers((near, far), "frechet_samples", "Frechet distance", "detail_samples")


def _of_reconstructions(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[float, str, str] | None:
    if any(each.get("psnr_db") is None for each in (one, other)):
        return None
    apart = _apart(one, other, "detail_reconstructions")
    if apart is None or abs(one["psnr_db"] - other["psnr_db"]) >= _SAME_DB:
        return None
    more, less = _ordered(one, other, "detail_reconstructions")
    words = (
        f"Reconstructions of {one['title']} and {other['title']} are equally near by their PSNR, and do not look it: "
        f"{more['title']}'s have {apart:.1f} times the fine detail of {less['title']}'s."
    )
    return apart, words, _numbers((one, other), "psnr_db", "PSNR in dB", "detail_reconstructions")


def _apart(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> float | None:
    """How many times the one has the other's fine detail, or the other way round; None: the eye overlooks it."""
    values = [float(each[key]) for each in (one, other) if each.get(key)]
    if len(values) < 2:
        return None
    times = max(values) / min(values)
    return times if times > _APART else None


def _ordered(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return (one, other) if one[key] > other[key] else (other, one)


def _unlike(rung: Mapping[str, Any], key: str) -> float:
    """How many times its fine detail is off that of real items, in either direction."""
    return max(float(rung[key]), 1 / float(rung[key]))


def _numbers(rungs: Sequence[Mapping[str, Any]], key: str, name: str, detail: str) -> str:
    each = [f"{rung['title']} {rung[key]:.4g} and {rung[detail]:.0%}" for rung in rungs]
    return f"{name}, and fine detail as a share of real items': {', '.join(each)}"

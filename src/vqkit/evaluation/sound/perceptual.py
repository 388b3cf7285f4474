"""Quality of sound as people hear it: STOI, PESQ and ViSQOL, through the packages that compute them."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.optional import require

PESQ_RATES = {8000: "nb", 16000: "wb"}
"""Sample rates of PESQ, and its mode at each: narrow band and wide band."""
VISQOL_RATES = {16000: "speech", 48000: "audio"}
"""Sample rates of ViSQOL, and its mode at each."""

Wave = npt.NDArray[np.float64]


def stoi(x: Tensor, y: Tensor, rate: int, *, extended: bool = False) -> Tensor:
    """Short-time objective intelligibility of each item, the mean of its channels (Taal et al. 2011).

    Computed by pystoi (extra ``sound-measures``), at 10 kHz, of the parts of the signal within 40 dB of its loudest.

    Args:
        x: the signals ``[batch, channels, time]``: speech.
        y: reconstructions, the same shape.
        rate: samples a second.
        extended: ESTOI (Jensen and Taal 2016).

    Returns:
        ``[batch]`` float64, 1 for identical speech; NaN for less than 0.4 s of it, or silence.

    Raises:
        MissingExtraError: pystoi is not installed.
        ValueError: tensors of other shapes.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.sound import stoi
        >>> stoi(torch.randn(1, 1, 16000), torch.randn(1, 1, 16000), rate=16000) < 0.5  # doctest: +SKIP
        tensor([True])
    """
    compute = require("pystoi", "STOI scores").stoi

    def score(first: Wave, second: Wave) -> float:
        if not first.any():
            return math.nan
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # of too few frames; it would return 1e-5
            try:
                return float(compute(first, second, rate, extended=extended))
            except (RuntimeWarning, ValueError, IndexError):  # of less than one frame it takes no norm
                return math.nan

    return _each(x, y, score)


def pesq(x: Tensor, y: Tensor, rate: int) -> Tensor:
    """Perceptual evaluation of speech quality of each item, the mean of its channels: MOS-LQO, 1 to 4.64.

    ITU-T P.862.1 at 8 kHz and P.862.2 (wide band) at 16 kHz, by the package pesq, which no extra brings, since it has
    to be compiled, and whose algorithm is under patent licences of its own.

    Args:
        x: the signals ``[batch, channels, time]``: speech.
        y: reconstructions, the same shape.
        rate: 8000 or 16000 samples a second.

    Returns:
        ``[batch]`` float64; NaN where it finds no utterance, or less than 1/4 s.

    Raises:
        MissingExtraError: pesq is not installed.
        ConfigError: another rate.
        ValueError: tensors of other shapes.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.sound import pesq
        >>> pesq(torch.randn(1, 1, 16000), torch.randn(1, 1, 16000), rate=16000) < 2  # doctest: +SKIP
        tensor([True])
    """
    package = require("pesq", "PESQ scores")
    mode = _mode("PESQ", rate, PESQ_RATES)

    def score(first: Wave, second: Wave) -> float:
        try:
            return float(package.pesq(rate, first.astype(np.float32), second.astype(np.float32), mode))
        except (package.NoUtterancesError, package.BufferTooShortError):
            return math.nan

    return _each(x, y, score)


def visqol(x: Tensor, y: Tensor, rate: int) -> Tensor:
    """ViSQOL of each item, the mean of its channels: MOS-LQO, 1 to 5 (Chinen et al. 2020, arXiv 2004.09584).

    By visqol-python (Apache-2.0), which no extra brings, since its libsvm-official has to be compiled. Speech mode at
    16 kHz, with the lattice of the reference where ai-edge-litert is installed and its polynomial without; audio mode
    at 48 kHz. It takes about half as long as the sound lasts.

    Args:
        x: the signals ``[batch, channels, time]``.
        y: reconstructions, the same shape.
        rate: 16000 or 48000 samples a second.

    Returns:
        ``[batch]`` float64; NaN for what is too short or silent.

    Raises:
        MissingExtraError: visqol-python is not installed.
        ConfigError: another rate.
        ValueError: tensors of other shapes.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.sound import visqol
        >>> visqol(torch.randn(1, 1, 16000), torch.randn(1, 1, 16000), rate=16000) < 3  # doctest: +SKIP
        tensor([True])
    """
    package = require("visqol", "ViSQOL scores")
    mode = _mode("ViSQOL", rate, VISQOL_RATES)
    judge = package.VisqolApi()
    with _hushed():
        judge.create(mode=mode)

    def score(first: Wave, second: Wave) -> float:
        if not first.any():
            return math.nan
        try:
            with _hushed():
                return float(judge.measure_from_arrays(first, second, rate).moslqo)
        except (ValueError, IndexError, RuntimeError, ZeroDivisionError):
            return math.nan

    return _each(x, y, score)


def _each(x: Tensor, y: Tensor, score: Callable[[Wave, Wave], float]) -> Tensor:
    """The mean score of the channels of each item."""
    if x.shape != y.shape or x.ndim != 3:
        raise ValueError(f"expected two tensors [batch, channels, time], got {tuple(x.shape)}, {tuple(y.shape)}")
    pairs: Any = (z.detach().cpu().double().numpy() for z in (x, y))
    scores = [[score(*pair) for pair in zip(*item, strict=True)] for item in zip(*pairs, strict=True)]
    return torch.tensor(scores, dtype=torch.float64).reshape(len(x), -1).mean(dim=1)


def _mode(name: str, rate: int, modes: dict[int, str]) -> str:
    if rate not in modes:
        allowed = " or ".join(f"{each:,}" for each in modes)
        raise ConfigError(f"{name} is of {allowed} samples a second, and these sounds have {rate:,}: resample them")
    return modes[rate]


@contextlib.contextmanager
def _hushed() -> Any:
    """Keep a package's warnings, prints and log lines off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

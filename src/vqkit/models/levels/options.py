"""The arguments that make a VQ-VAE hierarchical: its quantizer of several levels, and networks on the finest grid."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from vqkit.errors import ConfigError
from vqkit.quantizers.base import Quantizer
from vqkit.quantizers.levels.hierarchical import HierarchicalQuantizer
from vqkit.quantizers.levels.multiscale import MultiScaleQuantizer
from vqkit.quantizers.levels.stages import LevelStages
from vqkit.quantizers.levels.wavelet import WaveletQuantizer
from vqkit.quantizers.registry import build_quantizer

LEVELS: Mapping[str, type[LevelStages]] = {
    "hierarchical": HierarchicalQuantizer,
    "multiscale": MultiScaleQuantizer,
    "wavelet": WaveletQuantizer,
}
"""Kinds of levels by name."""


def level_options(
    kind: str = "hierarchical",
    codebook_size: int = 512,
    *,
    level_dim: int = 32,
    scales: Sequence[int] = (1, 2),
    downsampling: int = 4,
    axes: int = 2,
    dropout: float = 0.25,
    within: str = "ema",
    within_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """Return keyword arguments of a ``VQVAE`` (and of ``VQVAE.for_source``) whose codes have levels.

    Args:
        kind: ``"hierarchical"`` (VQ-VAE-2), ``"multiscale"`` (the residual indices of VAR) or ``"wavelet"`` (positions
            from coarse to fine: as many indices as positions).
        codebook_size: K of each level.
        level_dim: numbers in a codeword of a level.
        scales: positions of each level on each axis of a cell, coarse to fine.
        downsampling: pixels (samples) per position of the *finest* level on each axis; the model's own is that of the
            coarsest, ``downsampling * scales[-1] / scales[0]`` where ``scales[0]`` is 1.
        axes: of the signals.
        dropout: the probability that a signal in training uses the coarser levels only: what a part of a file needs.
        within: the quantizer of each level, a name of ``QUANTIZERS``.
        within_options: of it.
        seed: of its codebooks.
        options: ``hidden_channels`` of the networks between hierarchical levels.

    Raises:
        ConfigError: an unknown kind, or a value out of range.

    Example:
        >>> import torch
        >>> import vqkit
        >>> from vqkit.models import level_options
        >>> model = vqkit.VQVAE(**level_options("hierarchical", 64, level_dim=8), hidden_channels=16)
        >>> indices = model.encode(torch.rand(2, 3, 32, 32))
        >>> indices.shape, model.decode(indices[..., :1]).shape  # 1 + 4 codes at each of 4 x 4; the coarse level alone
        (torch.Size([2, 4, 4, 5]), torch.Size([2, 3, 32, 32]))
    """
    if kind not in LEVELS:
        raise ConfigError(f"{kind!r} are no known levels; choose one of: {', '.join(LEVELS)}")
    cell = max(scales, default=1)
    stages: list[Quantizer] = []
    for number in range(len(scales)):
        own = dict(within_options or {})
        if within in ("ema", "gradient", "ibq"):
            own = {"seed": seed + number, **own} if within == "ema" else own
        stages.append(build_quantizer(within, codebook_size, level_dim, own))
    quantizer = LEVELS[kind](stages, scales=list(scales), axes=axes, dropout=dropout, **options)
    return {
        "quantizer": quantizer,
        "downsampling": downsampling * cell,
        "encoder": {"type": "folded", "config": {"cell": cell}},
        "decoder": {"type": "folded", "config": {"cell": cell}},
        "axes": axes,
    }


def named_levels(options: Mapping[str, Any], axes: int, codebook_size: int | None, seed: int | None) -> dict[str, Any]:
    """Return the arguments of a ``VQVAE`` with levels given by name made into parts; others as they are.

    ``quantizer="hierarchical"`` (or ``"multiscale"``) with ``code_dim``, ``downsampling`` and ``quantizer_options``:
    scales, dropout, hidden_channels, and those of the codebooks.

    Raises:
        ConfigError: see ``level_options``; a setting that levels do not have.

    Example:
        >>> from vqkit.models.levels.options import named_levels
        >>> named_levels({"quantizer": "multiscale"}, 2, 64, None)["downsampling"]
        16
    """
    kind, given = options.get("quantizer"), dict(options)
    if not isinstance(kind, str) or kind not in LEVELS:
        return given
    refused = [name for name in ("encoder", "decoder", "num_codebooks", "stacking", "linear_path") if name in given]
    if refused:
        raise ConfigError(f"quantizer={kind!r} has levels with networks of their own: leave out {', '.join(refused)}")
    known = set(inspect.signature(LEVELS[kind].__init__).parameters)
    own = dict(given.pop("quantizer_options", None) or {})
    about = {name: own.pop(name) for name in list(own) if name in known | {"within"}}
    about.setdefault("scales", [1, 2] if kind == "hierarchical" else [1, 2, 4])
    finest = given.pop("downsampling", 4)
    if not isinstance(finest, int):
        raise ConfigError(f"downsampling={finest}: levels have one number for all axes")
    about |= {"within_options": own, "downsampling": finest, "axes": axes, "seed": seed or 0}
    if "code_dim" in given:
        about["level_dim"] = given.pop("code_dim")
    del given["quantizer"]
    return {**given, **level_options(kind, codebook_size or 512, **about)}

"""Scores of single items, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vqkit.models.scoring.reference import ScoreReference
from vqkit.notebooks import table

if TYPE_CHECKING:
    Values = npt.NDArray[np.float64]

MOST_CHANNELS = 64
"""Channels up to which each has a column of its own in a table."""


@dataclass
class LatentScores:
    """What a model knows of the latents of some signals, for ``Model.score``.

    Attributes:
        codes: indices or latents, as ``decode`` takes them.
        bits: float64 ``[batch]`` under the model's prior; None where it has none that reads these.
        position_bits: float64 ``[batch, *grid]``, which sum to ``bits``; None where they were not asked for, or where
            the prior does not say them.
        distances: float64 ``[batch, *grid]``: of each latent vector to the codeword that was chosen; None without a
            codebook whose codewords lie among the latents.

    Example:
        >>> import torch
        >>> import vqkit
        >>> model = vqkit.VQVAE(16, hidden_channels=8).eval()
        >>> found = model.score_latents(torch.rand(2, 3, 16, 16))
        >>> found.distances.shape, found.bits is None  # there is no prior yet
        (torch.Size([2, 4, 4]), True)
    """

    codes: Tensor
    bits: Tensor | None = None
    position_bits: Tensor | None = None
    distances: Tensor | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemMaps:
    """Where an item is unusual.

    Attributes:
        error: squared error of each value, float32 ``[channels, *size]``.
        bits: under the prior, float32 ``[*grid]``; None where they are not known.
        distance: of each latent vector to its codeword, float32 ``[*grid]``; None without a codebook.

    Example:
        >>> import torch
        >>> import vqkit
        >>> model = vqkit.VQVAE(16, hidden_channels=8).eval()
        >>> maps = model.score(torch.rand(2, 3, 16, 16), maps=True).maps[0]
        >>> maps.error.shape, maps.distance.shape
        ((3, 16, 16), (4, 4))
    """

    error: Any
    bits: Any = None
    distance: Any = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Scores of N items; each is NumPy float64 ``[N]``, in the order of the items.

    Attributes:
        mse: mean squared error over the values of the item, in squared signal units; gaps are left out.
        nmse: of fields of several channels: the mean over the channels of ``channel_mse`` in squared deviations of each
            (those of the model), as their units differ. None of other signals.
        channel_mse: the same of each channel, ``[N, channels]``; of vectors, whose channels are their numbers, the
            squared error of each number.
        peak: the range of the signals; None where they have no fixed one.
        bits: of its indices under the model's prior, -log2 p; of a VAE KL(q(z | x) || p(z)). NaN for an item of another
            grid than the prior's. None of a model without a prior.
        distance_mean: mean over the positions of the Euclidean distance from the latent vector to the codeword that was
            chosen, where the quantizer compares them. None of a model without codewords among the latents.
        distance_max: the largest of these distances.
        names: of the items; None where they have none.
        reference: what the percentiles are against; None: there are none.
        maps: where in the item, one for each, if they were asked for.

    Example:
        >>> import vqkit
        >>> digits = vqkit.load_source("builtin:digits")
        >>> model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8, seed=0).eval()
        >>> usual = model.score(digits.subset(range(100)))
        >>> scores = model.score(digits[100:104], against=usual)
        >>> list(scores.columns())[:2], scores.mse.shape
        (['mse', 'psnr_db'], (4,))
        >>> bool((scores.percentiles["mse"] <= 100).all())
        True
    """

    mse: Any
    channel_mse: Any
    nmse: Any = None
    peak: float | None = None
    bits: Any = None
    distance_mean: Any = None
    distance_max: Any = None
    names: Sequence[str | None] | None = None
    reference: ScoreReference | None = None
    maps: Sequence[ItemMaps] | None = None

    def __len__(self) -> int:
        return len(self.mse)

    @property
    def psnr_db(self) -> Values | None:
        """Peak signal-to-noise ratio of each item; infinite without an error, None without a fixed range."""
        if self.peak is None:
            return None
        with np.errstate(divide="ignore"):
            found: Values = 10 * np.log10(self.peak**2 / self.mse)
        return found

    def measures(self) -> dict[str, Values]:
        """The scores of which there are percentiles; the more, the less usual.

        Those of channels (``mse_0``, ``mse_1`` ...) are there for 2 to 64 of them.
        """
        found = {"mse": self.mse} if self.nmse is None else {"nmse": self.nmse, "mse": self.mse}
        channels = self.channel_mse.shape[1]
        if 1 < channels <= MOST_CHANNELS:
            found |= {f"mse_{channel}": self.channel_mse[:, channel] for channel in range(channels)}
        found |= {name: getattr(self, name) for name in ("bits", "distance_mean", "distance_max")}
        return {name: values for name, values in found.items() if values is not None}

    @property
    def percentiles(self) -> dict[str, Values]:
        """Percent of the reference's items below each item, by measure (see ``ScoreReference``); empty without one."""
        if self.reference is None:
            return {}
        ranked = {name: self.reference.percentile(name, values) for name, values in self.measures().items()}
        return {name: values for name, values in ranked.items() if values is not None}

    def columns(self) -> dict[str, Values]:
        """All columns of a table, in order: measures, then ``..._percentile`` of each where there is a reference."""
        found = self.measures()
        if self.psnr_db is not None:
            found = {"mse": found.pop("mse"), "psnr_db": self.psnr_db, **found}
        return found | {f"{name}_percentile": values for name, values in self.percentiles.items()}

    def against(self, reference: Scores | ScoreReference) -> Scores:
        """The same scores with percentiles against these items."""
        own = reference if isinstance(reference, ScoreReference) else ScoreReference.of([reference.measures()])
        return replace(self, reference=own)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: of each column the smallest, the median and the largest."""
        told = {"items": len(self)}
        for name, values in self.columns().items():
            known = values[~np.isnan(values)]
            words = "unknown" if not len(known) else " .. ".join(f"{np.quantile(known, q):.4g}" for q in (0, 0.5, 1))
            told[name] = words  # type: ignore[assignment]
        return table(told, title="Scores (least .. median .. most)")


def join_scores(parts: Sequence[Scores]) -> Scores:
    """The scores of the items of all parts (at least one), in order; what one of them does not know is NaN there."""

    def joined(name: str) -> Any:
        every = [getattr(part, name) for part in parts]
        if all(each is None for each in every):
            return None
        return np.concatenate(
            [np.full(len(part), np.nan) if each is None else each for part, each in zip(parts, every, strict=True)]
        )

    names = [part.names for part in parts]
    maps = [part.maps for part in parts]
    return replace(
        parts[0],
        mse=joined("mse"),
        nmse=joined("nmse"),
        channel_mse=np.concatenate([part.channel_mse for part in parts]),
        bits=joined("bits"),
        distance_mean=joined("distance_mean"),
        distance_max=joined("distance_max"),
        names=None if None in names else [name for each in names for name in each or ()],
        maps=None if None in maps else [item for each in maps for item in each or ()],
    )

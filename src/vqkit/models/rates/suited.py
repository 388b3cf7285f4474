"""Settings of a VQ-VAE that suit a kind of signal, where none that they would settle is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vqkit.signals import Signal

_NETWORKS = ("encoder", "decoder", "widths", "upsampling", "residual_channels", "linear_path", "channel_means")
_CODEBOOKS = ("code_dim", "quantizer", "quantizer_options", "num_codebooks", "stacking")


def suited_options(
    kind: Signal, options: Mapping[str, Any], kbps: float | Sequence[float] | None, codebook_given: bool
) -> tuple[dict[str, Any], float | Sequence[float] | None]:
    """Return the arguments of a ``VQVAE`` and its bit rates: those given, and those that the kind suggests.

    Networks are suggested where nothing of the networks is given, rates where nothing of the codebooks is.

    Args:
        kind: of the signals; see ``Signal.tokenizer``.
        options: keyword arguments of the model.
        kbps: rates, where given.
        codebook_given: whether a codebook size is.

    Example:
        >>> from vqkit.models.rates.suited import suited_options
        >>> from vqkit.signals import Sound
        >>> suited_options(Sound(16000), {"encoder": "seanet"}, None, False)
        ({'encoder': 'seanet'}, (1.5, 3.0, 6.0))
        >>> suited_options(Sound(16000), {}, None, True)[0]["decoder"]
        'convnext'
    """
    suggested = dict(kind.tokenizer)
    rates = suggested.pop("kbps", None)
    if any(name in options for name in _NETWORKS):
        suggested = {}
    if kbps is None and not codebook_given and not any(name in options for name in _CODEBOOKS):
        kbps = rates
    return {**suggested, **options}, kbps

"""Settings of a VQ-VAE that suit a kind of signal, where none that they would settle is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vqkit.data import Source
from vqkit.models.rates.plan import plan_for_source
from vqkit.signals import Signal

_NETWORKS = ("encoder", "decoder", "widths", "upsampling", "residual_channels", "linear_path", "channel_means")
_BITS = ("codebook_size",)
_CODEBOOKS = ("code_dim", "quantizer", "quantizer_options", "num_codebooks", "stacking")


def settle_options(
    source: Source,
    constructor: Any,
    options: Mapping[str, Any],
    kbps: float | Sequence[float] | None,
    codebook_size: int | None,
    conditional: bool = False,
) -> tuple[Any, dict[str, Any]]:
    """Return the codebook size and the arguments of a ``VQVAE`` for a source: as given, suggested, and as rates say.

    Args:
        source: the data.
        constructor: of the model.
        options: keyword arguments of the model.
        kbps: rates, where given.
        codebook_size: where given; None is handed back where nothing settles it.
        conditional: whether the decoder has a condition.

    Raises:
        ConfigError: rates that no such model has.

    Example:
        >>> import numpy as np
        >>> import vqkit
        >>> from vqkit.models.rates.suited import settle_options
        >>> speech = vqkit.load_source(np.zeros((2, 1, 800), np.float32), kind="sound@16000")
        >>> settle_options(speech, vqkit.VQVAE, {}, None, None)[1]["num_codebooks"]
        12
    """
    settled, kbps = suited_options(source.kind, options, kbps, codebook_size is not None, conditional)
    codebook_size = settled.pop("codebook_size", codebook_size)
    if kbps is None:
        return codebook_size, settled
    plan = plan_for_source(source, kbps, codebook_size, constructor, settled)
    return plan.codebook_size, plan.options(settled)


def suited_options(
    kind: Signal,
    options: Mapping[str, Any],
    kbps: float | Sequence[float] | None,
    codebook_given: bool,
    conditional: bool = False,
) -> tuple[dict[str, Any], float | Sequence[float] | None]:
    """Return the arguments of a ``VQVAE`` and its bit rates: those given, and those that the kind suggests.

    Networks are suggested where nothing of the networks is given, rates (or a codebook size) where nothing of the
    codebooks is.

    Args:
        kind: of the signals; see ``Signal.tokenizer`` and ``Signal.conditional_tokenizer``.
        options: keyword arguments of the model.
        kbps: rates, where given.
        codebook_given: whether a codebook size is.
        conditional: whether the decoder has a condition.

    Example:
        >>> from vqkit.models.rates.suited import suited_options
        >>> from vqkit.signals import Sound
        >>> suited_options(Sound(16000), {"encoder": "seanet"}, None, False)
        ({'encoder': 'seanet'}, (1.5, 3.0, 6.0))
        >>> suited_options(Sound(16000), {}, None, True)[0]["decoder"]
        'convnext'
    """
    free = kbps is None and not codebook_given and not any(name in options for name in _CODEBOOKS)
    suggested = dict(kind.conditional_tokenizer if conditional and free else kind.tokenizer)
    rates = suggested.pop("kbps", None)
    if any(name in options for name in _NETWORKS):
        suggested = {name: value for name, value in suggested.items() if name in _BITS}
    if free:
        kbps = rates
    return {**suggested, **options}, kbps

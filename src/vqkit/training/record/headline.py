"""The headline of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vqkit.checking import counted

_OF_MODELS = {"psnr_db", "nmse", "latent_numbers", "usage"}


def describe(values: dict[str, Any]) -> str:
    """The headline of an evaluation in one line; what was not finite, or is not there, is "unknown"."""
    say = _Saying(values)
    items = "items unknown" if values.get("items") is None else counted(values["items"], "item")
    if values.get("of", values.get("items")) != values.get("items"):
        items = f"{say('items', ',')} of {say('of', ',')} held-out items"
    if "residual_bits_per_dim" in values:
        tokens, residual = say("token_bits_per_dim", ".3f"), say("residual_bits_per_dim", ".3f")
        return f"{say('lossless_bits_per_dim', '.3f')} bits per dimension, {tokens} of tokens + {residual} ({items})"
    if "bits_per_item" in values:
        own, uniform = values["bits_per_item"], values.get("uniform_bits_per_item")
        below = "" if own is None or not uniform else f", {1 - own / uniform:.1%} below uniform"
        return f"{say('bits_per_item', ',.1f')} bits an item{below} ({items})"
    named = [f"{name} {say(name, '.4g')}" for name in values if name not in ("items", "of", "step", "kind")]
    if named and not _OF_MODELS & values.keys():  # of a trainable that is judged by its own measures
        return f"{', '.join(named)} ({items})"
    parts = []
    if values.get("psnr_db") is not None:
        parts.append(f"PSNR {say('psnr_db', '.2f')} dB")
    else:
        parts.append(f"NMSE {say('nmse', '.4f')}")
    if values.get("ssim") is not None:
        parts.append(f"SSIM {say('ssim', '.3f')}")
    if values.get("si_sdr_db") is not None:
        parts.append(f"SI-SDR {say('si_sdr_db', '.2f')} dB")
    if values.get("stoi") is not None:
        parts.append(f"STOI {say('stoi', '.3f')}")
    if values.get("usage") is not None:
        parts.append(f"usage {say('usage', '.1%')} ({items})")
        parts.append(f"perplexity {say('perplexity', '.0f')} of {say('codebook_size', '')}")
    else:
        parts.append(f"{say('latent_numbers', ',.0f')} numbers an item ({items})")
    bits = values.get("bits_per_dim")
    if isinstance(bits, Mapping):
        of = "sample" if "si_sdr_db" in values else "dimension"
        parts.append(f"{_Saying(bits)('total', '.2f')} bits per {of}")
    return ", ".join(parts)


class _Saying:
    """Numbers of a line of the log as text."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __call__(self, name: str, form: str) -> str:
        """One of them."""
        value = self._values.get(name)
        return format(value, form) if isinstance(value, int | float) else "unknown"

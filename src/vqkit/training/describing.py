"""The headline of an evaluation."""

from __future__ import annotations

from typing import Any

from vqkit.words import counted


def describe(values: dict[str, Any]) -> str:
    """The headline of an evaluation in one line."""
    items = counted(values["items"], "item")
    if values.get("of", values["items"]) != values["items"]:
        items = f"{values['items']:,} of {values['of']:,} held-out items"
    if "residual_bits_per_dim" in values:
        tokens, residual = values["token_bits_per_dim"], values["residual_bits_per_dim"]
        total = values["lossless_bits_per_dim"]
        return f"{total:.3f} bits per dimension, {tokens:.3f} of tokens + {residual:.3f} ({items})"
    if "bits_per_item" in values:
        saved = 1 - values["bits_per_item"] / values["uniform_bits_per_item"]
        bits = f"{values['bits_per_item']:,.1f} bits an item, {saved:.1%} below uniform"
        return f"{bits} ({items})"
    parts = []
    if values.get("psnr_db") is not None:
        parts.append(f"PSNR {values['psnr_db']:.2f} dB")
    else:
        parts.append(f"NMSE {values['nmse']:.4f}")
    if values.get("ssim") is not None:
        parts.append(f"SSIM {values['ssim']:.3f}")
    if values.get("usage") is not None:
        parts.append(f"usage {values['usage']:.1%} ({items})")
        parts.append(f"perplexity {values['perplexity']:.0f} of {values['codebook_size']}")
    else:
        parts.append(f"{values['latent_numbers']:,.0f} numbers an item ({items})")
    if values.get("bits_per_dim") is not None:
        parts.append(f"{values['bits_per_dim']['total']:.2f} bits per dimension")
    return ", ".join(parts)

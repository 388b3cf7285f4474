"""Numbers as tables for a terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def evaluation_table(values: dict[str, Any]) -> Table:
    """The table of an ``Evaluation.as_dict()``: distortion, codebook, and the three sizes side by side."""
    items, rate = values["items"], values["rate"]
    table = Table(title=f"{items:,} item{'' if items == 1 else 's'}", title_justify="left", show_header=False)
    table.add_row("MSE", f"{values['mse']:.6f}   (NMSE {values['nmse']:.4f})")
    if values["psnr_db"] is not None:
        mean = values["psnr_item_mean_db"]
        table.add_row(
            "PSNR", f"{values['psnr_db']:.2f} dB of the set" + (f"   ({mean:.2f} dB mean of items)" if mean else "")
        )
    if values["ssim"] is not None:
        table.add_row("SSIM", f"{values['ssim']:.4f}")
    size = values["codebook_size"]
    table.add_row("usage", f"{values['usage']:.1%} of {size:,} codes occur in {values['positions']:,} positions")
    table.add_row("perplexity", f"{values['perplexity']:.1f} of {size:,}")
    table.add_section()
    original = rate["original_bytes"] * 8 / items
    table.add_row("original", f"{original:,.0f} bits an item")
    for name, bits in (
        ("nominal", rate["nominal_bits"]),
        ("entropy", rate["entropy_bits"]),
        ("stored", rate["stored_bytes"] * 8),
    ):
        each = bits / items
        explained = {
            "nominal": "positions x log2 K",
            "entropy": "of the index histogram",
            "stored": "as vqkit encode writes",
        }
        table.add_row(
            name, f"{each:,.1f} bits an item   {original / max(each, 1e-9):.1f}x smaller   ({explained[name]})"
        )
    return table

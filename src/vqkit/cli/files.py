"""What the commands about ``.vqk`` files share: the entropy model of a run, and the words for sizes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from vqkit.codec import RateReport
    from vqkit.codec.compressing import PixelModel
    from vqkit.models import VQVAE
    from vqkit.priors import Prior

NONE = "none"


def exact_prior(model: VQVAE, name: str, prior: str | None, wanted: str | None = None) -> Prior | None:
    """The prior that files are coded with: the one named, the run's best, or none.

    Args:
        model: the tokenizer.
        name: its folder.
        prior: what was named; ``none``: none.
        wanted: the kind that a file needs; None: the best.
    """
    from vqkit.codec import known_priors
    from vqkit.generation import check_pair
    from vqkit.priors import load_prior

    if prior == NONE or wanted == "uniform":
        return None
    found = known_priors(name)
    if prior is None and wanted is not None and wanted in found:
        prior = str(found[wanted])
    elif prior is None and found:
        prior = str(next(iter(found.values())))
    if prior is None:
        typer.echo(
            f"  note: {name} has no context prior, so every index costs its whole bits; train one with: vqkit prior "
            f"{name} --kind context",
            err=True,
        )
        return None
    loaded = load_prior(prior).to(model.device)
    check_pair(model, loaded)
    return loaded


def pixel_model(model: VQVAE, name: str, given: str | None = None) -> PixelModel:
    """The pixel prior of a run, or the one named.

    Raises:
        ModelFolderError: there is none.
    """
    from vqkit.codec.lossless import PixelCoder
    from vqkit.errors import ModelFolderError
    from vqkit.priors import PixelPrior

    own = Path(name) / "lossless"
    if given is None and not (own / "model" / "config.json").is_file():
        raise ModelFolderError(
            f"{name}: no pixel prior has been trained for this model, and lossless files need one; train one with: "
            f"vqkit lossless {name}"
        )
    return PixelCoder(PixelPrior.from_pretrained(own if given is None else given).to(model.device))


def report_lines(report: RateReport) -> list[str]:
    """Sizes side by side, for people."""
    bits = {"nominal": float(report.nominal_bits), **report.model_bits}
    rows = [(f"indices, {name}", value) for name, value in bits.items()]
    rows.append(("coded indices", 8.0 * report.index_bytes))
    if report.residual_bytes:
        rows.append(("coded pixels", 8.0 * report.residual_bytes))
    rows.append(("headers, names, checksums", 8.0 * report.header_bytes))
    rows.append(("the file", 8.0 * report.file_bytes))
    pixels, values = max(1, report.pixels), max(1, report.values)
    width = max(len(name) for name, _ in rows)
    return [
        f"{name:<{width}}  {value / 8:>14,.0f} bytes  {value / pixels:8.4f} bits per pixel  "
        f"{value / values:8.4f} per value"
        for name, value in rows
    ]

"""``vqkit quantize``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.options import DeviceOption, ModelArgument, ThreadsOption, set_threads
from vqkit.cli.output.shell import place, say_next
from vqkit.cli.output.writing import Writes


def quantize(
    model: ModelArgument,
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="Signals to judge by (default: the run's own, split alike)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A new folder (default: quantized/ in the run's folder)."),
        Writes(),
    ] = None,
    codebook_size: Annotated[
        int | None,
        typer.Option("--codebook-size", "-k", help="Number of codes, K (default: what the VAE was trained for)."),
    ] = None,
    group_size: Annotated[
        int | None, typer.Option(min=1, help="Latent numbers that share an index (default: as trained, or all).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the codebook's draws.")] = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Make a VQ-VAE of a trained VAE, without training: the nearest of K Gaussian draws stands for a posterior mean."""
    from vqkit.cli.failures import warn
    from vqkit.cli.loading import held_out, open_data, open_model, run_settings, run_source
    from vqkit.errors import ConfigError
    from vqkit.models import VAE
    from vqkit.training.config import TrainConfig
    from vqkit.training.inputs.holdout import validation_split
    from vqkit.training.recipes.quantization import quantize_run

    set_threads(threads)
    loaded = open_model(model, device)
    if not isinstance(loaded, VAE):
        raise ConfigError(f"{model}: a {type(loaded).__name__} has no Gaussian posterior to quantize; name a VAE's run")
    settings: dict[str, Any] = run_settings(model)
    if out is None and not settings:
        raise ConfigError(f"{model} is a model without a run: give --out")
    folder = out or Path(model) / "quantized"
    training = judged = None
    if data is not None:
        judged = open_data(loaded, data)
    elif settings:
        judged = held_out(model, loaded)
        training = validation_split(run_source(settings), TrainConfig.from_dict(settings["training"]))[0]
    found = quantize_run(
        loaded,
        folder,
        settings=settings,
        training=training,
        held_out=judged,
        codebook_size=codebook_size,
        group_size=group_size,
        seed=seed,
    )
    made = found.model
    indices = f"{made.num_codebooks} indices" if made.num_codebooks > 1 else "an index"
    typer.echo(f"{indices} a position, of {made.codebook_size:,} codes: {folder}")
    if found.group_bits is not None and found.before is not None and found.after is not None:
        bits = ", ".join(f"{each:.2f}" for each in found.group_bits[:8])
        typer.echo(f"KL of a group: {bits} bits; log2 K: {math.log2(made.codebook_size):.2f}")
        for name, judged_as in (("the VAE's means", found.before), ("quantized", found.after)):
            if judged_as.psnr_db is not None:
                typer.echo(f"PSNR, {name}: {judged_as.psnr_db:.2f} dB")
    if found.warning is not None:
        warn(f"note: {found.warning}")
    say_next(["prior", place(str(folder))] if settings else ["eval", place(str(folder)), "DATA"])

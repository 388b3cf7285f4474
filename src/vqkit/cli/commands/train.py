"""``vqkit train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.options import ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes

_MODEL = "Model"
_TRAINING = "Training"
_MACHINE = "Machine"
_KEEP = "--resume goes on with the run's own folder and model: leave out --out and the model's options"
_SEEDS = "--seeds: the same command again goes on with all of them, in the same --out; leave out --resume"
_START = "--start begins with a run's own model: leave out --resume, --config and the model's options"
_AGAIN = "--config makes a run's own model again: leave out --resume and the model's options"


def train(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A folder of images or sounds, .npy, .npz, Parquet, hub:owner/name, or the built-in digits, "
            "fashion, photos or speech.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder (default: the next free runs/...)."), Writes()
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run, bit for bit.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="Make a run again from nothing: its data, model and settings, from its run.json."
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Fine-tuning: train the model of this run or folder on DATA.",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="{models}; ae is short for autoencoder (default: vqvae).", rich_help_panel=_MODEL
        ),
    ] = None,
    latent_dim: Annotated[
        int | None,
        typer.Option(
            help="Numbers in the latent vector of pca, autoencoder, vae (default: 64).", rich_help_panel=_MODEL
        ),
    ] = None,
    for_: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="PURPOSE",
            help="Settings measured for a purpose: files (small files of photographs at any rate); others go before.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, or ...", rich_help_panel=_TRAINING)] = None,
    minutes: Annotated[
        float | None, typer.Option(help="... minutes of training (default: 10).", rich_help_panel=_TRAINING)
    ] = None,
    codebook_size: Annotated[
        int | None,
        typer.Option("--codebook-size", "-k", help="Number of codes, K (default: 512).", rich_help_panel=_MODEL),
    ] = None,
    code_dim: Annotated[
        int | None, typer.Option(help="Numbers in a code (default: 64).", rich_help_panel=_MODEL)
    ] = None,
    downsampling: Annotated[
        int | None,
        typer.Option(
            "--downsampling",
            "-f",
            help="Pixels per token on each axis, a power of 2 with the conv networks (default: 4).",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    hidden_channels: Annotated[
        int | None, typer.Option(help="Width of the networks (default: 128).", rich_help_panel=_MODEL)
    ] = None,
    residual_blocks: Annotated[
        int | None, typer.Option(help="In encoder and decoder each (default: 2).", rich_help_panel=_MODEL)
    ] = None,
    residual_channels: Annotated[
        int | None, typer.Option(help="Width inside a residual block (default: 32).", rich_help_panel=_MODEL)
    ] = None,
    upsampling: Annotated[
        str | None, typer.Option(help="transposed or resize (default: transposed).", rich_help_panel=_MODEL)
    ] = None,
    quantizer: Annotated[
        str | None,
        typer.Option(
            help="{quantizers}; of levels: hierarchical, multiscale (default: ema).",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    kbps: Annotated[
        str | None,
        typer.Option(
            metavar="KBPS",
            help="Bit rates that one model of sound is to have, e.g. 1.5,3,6: chooses -f, -k and codebooks.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    conditional: Annotated[
        bool | None,
        typer.Option(
            "--conditional",
            help="Tell the decoder the class of each item, from the data's labels (--labels), so that the codes need "
            "not hold it.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Signals per step, all processes together (default: 32).", rich_help_panel=_TRAINING),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", "--lr", help="Peak (default: 0.001).", rich_help_panel=_TRAINING)
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="What is minimized, of {objectives}, with weights, e.g. 'likelihood + 0.1*gradient' (default: "
            "likelihood).",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    sharp: Annotated[
        bool | None,
        typer.Option(
            "--sharp",
            help="In the last third ask for sharp reconstructions with an adversary; if it gains nothing by held-out "
            "figures, what was there before it stays.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Learning rate from the warm-up to the end: {schedules}, with options, e.g. 'linear(final=0.1)' "
            "(default: cosine).",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            help="{optimizers}, with options, e.g. 'muon(scale=20)' (default: adamw).", rich_help_panel=_TRAINING
        ),
    ] = None,
    accumulate: Annotated[
        int | None,
        typer.Option(
            help="Parts that a batch goes through the networks in, for less memory (default: 1).",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop early after so many evaluations without an improvement (default: 0, never).",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    best_by: Annotated[
        str | None,
        typer.Option(
            help="Keep the model of the best evaluation in RUN/best, by this measure, e.g. psnr_db.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option(help="Side of random crops (default: whole images, or 128).", rich_help_panel=_TRAINING),
    ] = None,
    flip: Annotated[
        bool | None, typer.Option("--flip/--no-flip", help="Mirror half of the images.", rich_help_panel=_TRAINING)
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(help="Held-out data: a fraction, last:N, or a DATA (default: 0.1).", rich_help_panel=_TRAINING),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of everything random (default: 0).", rich_help_panel=_TRAINING)
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS",
            help="Train with each, e.g. 0,1,2, on one split, into OUT/seed-0 ...: means and deviations.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16.", rich_help_panel=_MACHINE)] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=_MACHINE)] = None,
    compile_: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="torch.compile the step.", rich_help_panel=_MACHINE)
    ] = None,
    parallel: Annotated[str | None, typer.Option(help="Under torchrun: ddp or fsdp.", rich_help_panel=_MACHINE)] = None,
    threads: ThreadsOption = None,
    checkpoint_seconds: Annotated[
        float | None, typer.Option(help="Between checkpoints (default: 60).", rich_help_panel=_MACHINE)
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option(help="Write TensorBoard events (if installed).", rich_help_panel=_MACHINE)
    ] = True,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Any other setting of training, model or quantizer, e.g. decay=0.95."
        ),
    ] = None,
) -> None:
    """Train a VQ-VAE (or another rung of the ladder) on DATA, go on with a run (--resume RUN), or repeat it (--config).

    Writes a run folder: settings, log, pictures, checkpoints, model. Ctrl-C saves and says how to go on.
    """
    from vqkit.cli.training.settings import gather, numbers, seeds_given
    from vqkit.cli.training.start import repeat_run, resume_run, start_from, start_run
    from vqkit.errors import ConfigError
    from vqkit.models import PCA
    from vqkit.models.registry import model_class

    set_threads(threads)
    model: dict[str, Any] = {
        "codebook_size": codebook_size,
        "code_dim": code_dim,
        "downsampling": downsampling,
        "hidden_channels": hidden_channels,
        "residual_blocks": residual_blocks,
        "residual_channels": residual_channels,
        "upsampling": upsampling,
        "quantizer": quantizer,
        "kbps": None if kbps is None else numbers("--kbps", kbps, float),
    }
    training: dict[str, Any] = {
        "steps": steps,
        "minutes": minutes,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "objective": objective,
        "schedule": schedule,
        "sharp": sharp or None,
        "optimizer": optimizer,
        "accumulate": accumulate,
        "patience": patience,
        "best_by": best_by,
        "crop": crop,
        "flip": flip,
        "validation": validation,
        "seed": seed,
        "precision": precision,
        "device": device,
        "compile": compile_,
        "parallel": parallel,
        "checkpoint_seconds": checkpoint_seconds,
    }
    if seeds is not None and resume is not None:
        raise ConfigError(_SEEDS)
    of_the_model = [kind, latent_dim, conditional, for_, *model.values()]
    if resume is not None and any(value is not None for value in [out, *of_the_model]):
        raise ConfigError(_KEEP)
    if config is not None and any(value is not None for value in [resume, *of_the_model]):
        raise ConfigError(_AGAIN)
    if start is not None and any(value is not None for value in [resume, config, *of_the_model]):
        raise ConfigError(_START)
    chosen = model_class(kind or "vqvae")
    model["components" if issubclass(chosen, PCA) else "latent_dim"] = latent_dim
    given = gather(chosen, model, training, set_ or [])
    if conditional:
        if chosen.closed_form:
            raise ConfigError(f"--conditional: a {chosen.__name__} has no decoder network to condition; leave it out")
        given.model["conditional"] = True
    if resume is not None:
        if given.model:
            raise ConfigError(_KEEP)
        resume_run(resume, data, given.training, tensorboard)
    elif config is not None:
        if given.model:
            raise ConfigError(_AGAIN)
        repeat_run(config, data, out, given.training, tensorboard, seeds_given(seeds, seed))
    elif start is not None and data is not None:
        if given.model:
            raise ConfigError(_START)
        start_from(data, out, start, given.training, tensorboard, seeds_given(seeds, seed))
    elif data is None:
        raise ConfigError("name the DATA to train on (try: vqkit train photos), or a run to go on with: --resume RUN")
    else:
        start_run(data, out, chosen, given.model, given.training, tensorboard, seeds_given(seeds, seed), for_)

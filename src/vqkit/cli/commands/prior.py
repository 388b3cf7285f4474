"""``vqkit prior``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.options import DeviceOption, ModelArgument, ThreadsOption, set_threads
from vqkit.cli.output.shell import place, say_next
from vqkit.cli.output.writing import Writes
from vqkit.storage.outputs import check_contents, is_temporary


def _check_folder(out: Path) -> None:
    """Raise ``ConfigError`` if the folder holds something that is not part of a prior."""
    check_contents(out, "a prior", _is_part)


def _is_part(entry: Path) -> bool:
    if entry.name == "tokens" and entry.is_dir() and not (entry / "tokens.json").is_file():
        from vqkit.tokens.tokenization import check_folder

        check_folder(entry, "npy")
        return True
    if entry.name == "run" and entry.is_dir() and not (entry / "run.json").is_file():
        from vqkit.training.record.run import new_run_path

        new_run_path(entry, "")  # raises where more lies in it than a start that was killed leaves
        return True
    parts = {"tokens": "tokens.json", "histogram": "config.json"}
    if entry.is_dir():
        return entry.name.startswith("before-") or (entry / parts.get(entry.name, "run.json")).is_file()
    return entry.name in ("settings.json", "rates.json", ".lock") or is_temporary(entry)


def prior(
    model: ModelArgument,
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="What to learn (default: the run's own data, split alike).")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder (default: prior/, or context/ for that kind, in the run's folder)."),
        Writes(check=_check_folder),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            "-m",
            help="{priors}; context is exact, for files, and histogram the floor (default: pixelcnn).",
        ),
    ] = None,
    conditional: Annotated[
        bool | None,
        typer.Option(
            "--conditional/--unconditional",
            help="Learn p(indices | class) from the data's labels (default: where there are some; not for context).",
        ),
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Condition on these numbers (items x D), not on classes.")
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option(
            help="Images of different sizes: side of random squares, in pixels (default: that of 32 positions)."
        ),
    ] = None,
    crops: Annotated[int | None, typer.Option(min=1, help="... and how many of them (default: 8192).")] = None,
    rate_weights: Annotated[
        str | None,
        typer.Option(help="Learn files of several rates: what a bit weighs, by commas (default: as trained)."),
    ] = None,
    condition_dropout: Annotated[
        float | None,
        typer.Option(help="How often a class is left out in training, for guidance and for no class (default: 0.1)."),
    ] = None,
    for_: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="PURPOSE",
            help="Settings measured for a purpose: files (of a model of train --for files); others go before.",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, or ...")] = None,
    minutes: Annotated[float | None, typer.Option(help="... minutes of training (default: 10).")] = None,
    hidden_channels: Annotated[int | None, typer.Option(help="Width (default: that of the kind).")] = None,
    layers: Annotated[int | None, typer.Option(help="Depth (default: that of the kind).")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Grids per step (default: 64).")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", "--lr", help="Peak (default: 0.004 for context, else 0.001).")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Held-out data: a fraction, or last:N (default: the run's).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random (default: the run's).")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting of the prior or of its training."),
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Learn p(indices) of a VQ-VAE, to sample from and to save bits; an interrupted training is gone on with.

    Of a prior that is there already, options that are not given are as they were; others are refused, by name.
    """
    from vqkit.cli.loading import open_discrete, read_array, report_losses, run_settings, run_source
    from vqkit.cli.training.priors import prior_plan
    from vqkit.cli.training.settings import numbers
    from vqkit.errors import ConfigError
    from vqkit.models.matching import open_source
    from vqkit.priors import PRIORS
    from vqkit.training.recipes.prior import rates, train_prior
    from vqkit.training.recipes.purposes import purpose_named

    set_threads(threads)
    loaded = open_discrete(model, device)
    settings: dict[str, Any] = run_settings(model)
    if not settings and (data is None or out is None):
        raise ConfigError(f"{model} is a model without a run: name the DATA to learn, and --out")
    source = run_source(settings) if data is None else open_source(loaded, data)
    report_losses(source)
    converts = loaded.kind.converts_channels(source.channels, loaded.channels)
    source = source.with_channels(loaded.channels) if converts else source
    suited = None if for_ is None else purpose_named(for_)
    own_training: dict[str, Any] = {"batch_size": batch_size, "learning_rate": learning_rate}
    weights = None if rate_weights is None else numbers("--rate-weights", rate_weights, float)
    own_options: dict[str, Any] = {}
    if suited is not None:
        own_options = dict(suited.prior_options) if kind in (None, suited.prior["prior_type"]) else {}
        settled = suited.settle_prior(source, kind, crop, crops, weights, own_training)
        kind, crop, crops, weights, own_training = settled
    folder = out or Path(model) / PRIORS.get_part(kind or "pixelcnn").folder_name
    plan = prior_plan(
        folder,
        source,
        settings.get("training", {}) if data is None else {},
        kind=kind,
        own={"hidden_channels": hidden_channels, "layers": layers},
        training={
            "steps": steps,
            "minutes": minutes,
            **own_training,
            "validation": validation,
            "seed": seed,
            "device": device,
        },
        assigned=set_ or [],
        conditional=conditional,
        condition_dropout=condition_dropout,
        vectors=vectors is not None,
        crop=crop,
        crops=crops,
        rate_weights=weights,
        usual=own_options,
    )
    kind = plan.kind
    run = train_prior(
        loaded,
        source,
        folder,
        config=plan.config,
        prior_type=kind,
        options=plan.options,
        vectors=None if vectors is None else read_array(vectors),
        crop=plan.crop,
        crops=plan.crops,
        rate_weights=plan.rate_weights,
    )
    found = rates(run)
    typer.echo("bits an item: " + ", ".join(f"{name} {bits:,.1f}" for name, bits in found.items()))
    typer.echo(f"prior: {run.path}/model")
    own = run.path.parent in [Path(model) / each.folder_name for each in PRIORS.available().values()]
    named = ["--prior", run.path]
    told = [] if vectors is None else ["--vectors", vectors]
    signals, file = ("IMAGES", "images.vqk") if loaded.kind.converts else ("SIGNALS", "signals.vqk")
    coded = ["compress", signals, "--model", place(model), *([] if own else named), "--out", file]
    usual = run.path.parent == Path(model) / "prior"
    squares = plan.crop is not None or source.size is None
    conditioned = vectors is not None or "classes" in plan.options
    needs = conditioned and not plan.options["condition_dropout"]  # always a class, or a vector, which eval has not
    judged = [] if data is None and settings else [place(data) if data else "DATA"]
    say_next(
        coded if PRIORS.get_part(kind).codes_files else [],
        ["sample", place(model), *([] if usual else named), *told],
        [] if squares or needs else ["eval", place(model), *judged, *named],
    )

"""``vqkit prior``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.options import ModelArgument, ThreadsOption, set_threads
from vqkit.cli.writing import Writes
from vqkit.outputs import check_contents, is_temporary


def _check_folder(out: Path) -> None:
    """Raise where something lies in the folder that is no part of a prior."""
    check_contents(out, "a prior", _is_part)


def _is_part(entry: Path) -> bool:
    if entry.name == "tokens" and entry.is_dir() and not (entry / "tokens.json").is_file():
        from vqkit.codec.encoding import check_folder

        check_folder(entry, "npy")
        return True
    parts = {"tokens": "tokens.json", "run": ".lock", "histogram": "config.json"}
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
        str,
        typer.Option(
            "--kind", "-m", help="pixelcnn, transformer, masked, context (exact: for files), or histogram (the floor)."
        ),
    ] = "pixelcnn",
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
        int | None, typer.Option(help="Images of different sizes: side of random squares (default: 32 positions).")
    ] = None,
    crops: Annotated[int, typer.Option(min=1, help="... and how many of them.")] = 8192,
    rate_weights: Annotated[
        str | None,
        typer.Option(help="Learn files of several rates: what a bit weighs, by commas (default: as trained)."),
    ] = None,
    condition_dropout: Annotated[
        float, typer.Option(help="How often a class is left out in training, for guidance and for no class.")
    ] = 0.1,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, or ...")] = None,
    minutes: Annotated[float | None, typer.Option(help="... minutes of training (default: 10).")] = None,
    hidden_channels: Annotated[int | None, typer.Option(help="Width (default: that of the kind).")] = None,
    layers: Annotated[int | None, typer.Option(help="Depth (default: that of the kind).")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Grids per step.")] = 64,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", "--lr", help="Peak (default: 0.004 for context, else 0.001).")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Held-out data: a fraction, or last:N (default: the run's).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting of the prior or of its training."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Learn p(indices) of a VQ-VAE, to sample from and to save bits; an interrupted training is gone on with."""
    from vqkit.cli.opening import open_discrete, read_array, run_settings, run_source
    from vqkit.cli.settings import gather_prior, numbers
    from vqkit.data import load_source
    from vqkit.errors import ConfigError
    from vqkit.priors import PRIORS
    from vqkit.training import TrainConfig
    from vqkit.training.prior_run import classes_of, rates, train_prior

    set_threads(threads)
    loaded = open_discrete(model, device)
    settings: dict[str, Any] = run_settings(model)
    if not settings and (data is None or out is None):
        raise ConfigError(f"{model} is a model without a run: name the DATA to learn, and --out")
    trained: dict[str, Any] = settings.get("training", {}) if data is None else {}
    if learning_rate is None and kind in PRIORS:
        learning_rate = PRIORS[kind].learning_rate
    training = {
        "steps": steps,
        "minutes": minutes,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "validation": validation or trained.get("validation", 0.1),
        "seed": trained.get("seed", seed),
        "device": device,
    }
    own = {"hidden_channels": hidden_channels, "layers": layers}
    options, training = gather_prior(kind, own, training, set_ or [])
    source = run_source(settings) if data is None else load_source(data)
    source = source.with_channels(loaded.channels) if loaded.axes == 2 else source
    if conditional is None and kind == "context":
        conditional = False  # files have no classes
    told = None
    if vectors is not None:
        if kind in ("histogram", "context") or conditional:
            raise ConfigError("--vectors: neither for a histogram or a context prior nor beside --conditional")
        told = read_array(vectors)
        options = {"condition_dropout": condition_dropout, **options}
    elif kind != "histogram" and conditional is not False:
        classes = classes_of(source)
        if classes is None and conditional:
            raise ConfigError(f"--conditional: {source.describe()} have no labels to condition on")
        if classes is not None:
            typer.echo(f"conditioned on {classes} classes (--unconditional learns without them)", err=True)
            options = {"classes": classes, "condition_dropout": condition_dropout, **options}
    folder = out or Path(model) / ("context" if kind == "context" else "prior")
    run = train_prior(
        loaded,
        source,
        folder,
        config=TrainConfig.from_dict(training),
        prior_type=kind,
        options=options,
        vectors=told,
        crop=crop,
        crops=crops,
        rate_weights=[] if rate_weights is None else numbers("--rate-weights", rate_weights, float),
    )
    if not run.finished:
        raise typer.Exit(130)
    found = rates(run)
    typer.echo("bits an item: " + ", ".join(f"{name} {bits:,.1f}" for name, bits in found.items()))
    typer.echo(f"prior: {run.path}/model")
    if kind in ("context", "histogram"):
        coded = "" if out is None else f" --prior {run.path}"
        typer.echo(f"next:  vqkit compress IMAGES --model {model}{coded} --out images.vqk")
    named = "" if out is None and kind != "context" else f" --prior {run.path}"
    typer.echo(f"next:  vqkit sample {model}{named}")
    typer.echo(f"       vqkit eval {model} --prior {run.path}")

"""``vqkit score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.cli.options import BatchOption, DeviceOption, ModelArgument, ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes
from vqkit.storage.outputs import FileKind


def _check(path: Path) -> None:
    from vqkit.evaluation.scoring.tables import check_table

    check_table(path)


def _owns(start: bytes) -> bool:
    from vqkit.evaluation.scoring.tables import SCORES

    return SCORES.owns(start)


def _check_maps(path: Path) -> None:
    from vqkit.storage.outputs import check_contents

    check_contents(path, "maps")


def score(
    model: ModelArgument,
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="The items to score (default: the run's validation data).")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", dir_okay=False, help="The table, a row an item: a .parquet, .csv or .json file."),
        Writes(FileKind("table of scores that vqkit wrote", _owns, both_ends=True), check=_check),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Usual items that percentiles are against (default: the run's validation data, whose scores it keeps "
            "in held-out-scores.json).",
        ),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="PRIOR|none",
            help="What counts the bits (default: the run's context prior, else its histogram or its own prior).",
        ),
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(
            "--maps",
            file_okay=False,
            help="A new folder that tells where: error, bits and distance by position as .npy, and pictures.",
        ),
        Writes(signals=True, check=_check_maps),
    ] = None,
    top: Annotated[int, typer.Option(min=0, metavar="N", help="Show so many of the strangest items.")] = 5,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The score that they are ranked by: mse, bits, distance_max ... (default: mse; of fields of several "
            "channels, whose units differ, nmse).",
        ),
    ] = None,
    batch_size: BatchOption = 64,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """How unusual each item is: its error, its bits under the prior, its distance to the codebook, by percentiles."""
    import sys

    from rich.console import Console

    from vqkit.checking import counted
    from vqkit.cli.choosing import model_and_data
    from vqkit.cli.loading import held_out, open_data, open_model
    from vqkit.cli.output.shell import place, say_next
    from vqkit.cli.output.terminal import scores_table
    from vqkit.cli.scoring import Strangest, use_scoring_prior, usual_scores, write_scores
    from vqkit.results.origin import origin

    set_threads(threads)
    model, data = model_and_data(model, data, needs_data=False)
    loaded = open_model(model, device)
    use_scoring_prior(loaded, model, prior)
    source = open_data(loaded, data) if data is not None else held_out(model, loaded)
    reference = usual_scores(loaded, model, against, batch_size)
    strangest = Strangest(top, by)
    about = origin(model, loaded, source) | {"items": len(source)}
    about |= {} if reference is None else {"usual_items": reference.items}
    write_scores(loaded, source, reference, out=out, maps=maps, about=about, batch_size=batch_size, look=strangest.add)
    if top:
        Console(file=sys.stdout).print(scores_table(strangest.rows(), strangest.by or "mse", len(source)))
    means = ", ".join(f"{name} {mean:.4g}" for name, mean in strangest.means.items())
    typer.echo(f"mean of {counted(strangest.items, 'item')}: {means}")
    if reference is not None:
        typer.echo(f"percentiles are against {counted(reference.items, 'usual item')}")
    if out is not None:
        typer.echo(f"table: {out}")
    if maps is not None:
        typer.echo(f"maps:  {maps}")
    elif data is not None:
        say_next(["score", place(model), place(data), "--maps", "MAPS"])

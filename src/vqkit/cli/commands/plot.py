"""``vqkit plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.cli.options import ResultsArgument
from vqkit.cli.output.writing import Writes
from vqkit.storage.outputs import FileKind


def _owns(found: bytes) -> bool:
    from vqkit.results.figures.figure import is_figure

    return is_figure(found)


def _check(path: Path) -> None:
    from vqkit.results.figures.figure import check_figure_file

    check_figure_file(path)


def plot(
    results: ResultsArgument,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", dir_okay=False, help="The figure: a .pdf, .svg or .png file."),
        Writes(FileKind("figure that vqkit drew", _owns, both_ends=True), check=_check),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="curves (over steps, of runs) or rate-distortion (quality over bits); default: curves where only runs "
            "are given.",
        ),
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure",
            "-m",
            metavar="NAME",
            help="A panel for each: psnr_db, loss, usage ... (again for more; default: the headline).",
        ),
    ] = None,
    x: Annotated[str, typer.Option("--x", metavar="NAME", help="Of curves: step, epoch or seconds.")] = "step",
    log: Annotated[
        bool, typer.Option("--log", help="A logarithmic axis: of curves the vertical, else of bits.")
    ] = False,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="TEXT", help="Name of a line, in their order; again for each of them."),
    ] = None,
    width: Annotated[float, typer.Option(metavar="INCHES", help="Of a panel.")] = 3.3,
) -> None:
    """Curves over steps, or quality over bits, as a figure for a paper; seeds as a band (extra: plot)."""
    from vqkit.results import plot_results

    plot_results(
        results,
        out,
        kind=kind,
        measures=measure or (),
        x=x,
        log=log,
        labels=label or (),
        width=width,
        say=lambda sentence: typer.echo(sentence, err=True),
    )
    typer.echo(out)

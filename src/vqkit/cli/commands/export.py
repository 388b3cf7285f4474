"""``vqkit export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.cli.options import ModelArgument, ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes


def export(
    model: ModelArgument,
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="Signals to check the graphs over (default: the run's validation data)."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder."), Writes()] = Path("export"),
    kind: Annotated[str, typer.Option("--format", metavar="NAME", help="{export_formats}.")] = "onnx",
    part: Annotated[
        list[str] | None,
        typer.Option("--part", metavar="PART", help="encoder, decoder, stream (repeat it; default: all there are)."),
    ] = None,
    threads: ThreadsOption = None,
) -> None:
    """Write a model as graphs that other runtimes compute, checked against it over DATA."""
    from vqkit.cli.loading import held_out, open_data, open_model
    from vqkit.errors import ConfigError
    from vqkit.export import export_format, export_model
    from vqkit.export.exporting import describe_parts

    set_threads(threads)
    export_format(kind).check()
    loaded = open_model(model, "cpu")
    if data is not None:
        source = open_data(loaded, data)
    elif (Path(model) / "run.json").exists():
        source = held_out(model, loaded)
    else:
        raise ConfigError(f"{model} is no run folder, so it names no data to check the graphs over: give DATA")
    found = export_model(loaded, out, format=kind, data=source, parts=part)
    typer.echo(f"{describe_parts(found)} and export.json in {out}")
    typer.echo(f"  check: {found.differences.describe()}")
    for name, why in found.left_out.items():
        typer.echo(f"  no {name}: {why}")

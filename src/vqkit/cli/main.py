"""``vqkit``: the command and its sub-commands. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from vqkit._version import __version__
from vqkit.cli.commands import (
    add,
    cite,
    compare,
    compress,
    convert,
    decode,
    decompress,
    demo,
    edit,
    encode,
    evaluate,
    export,
    extract,
    ids,
    info,
    lab,
    lossless,
    models,
    plot,
    prior,
    probe,
    quantize,
    reconstruct,
    sample,
    score,
    table,
    train,
    verify,
)
from vqkit.cli.commands import inspect as inspecting
from vqkit.cli.commands.study import main as study
from vqkit.cli.failures import end, flush_streams, prepare_streams
from vqkit.cli.listing import ListingCommand
from vqkit.cli.memory import reading
from vqkit.cli.options import put_threads_back
from vqkit.cli.output.writing import writing
from vqkit.cli.phrasing import as_options, options_given
from vqkit.spelling import command_line

_COLLECTED = 50_000
"""Objects that are made, more than are freed, between two looks for cycles of garbage."""

app = typer.Typer(
    name="vqkit",
    help="Turn any pile of signals into discrete tokens and back with VQ-VAEs.",
    epilog="Begin with: vqkit demo, or: vqkit compress photo.jpg -o photo.vqk",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"vqkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version
    context.with_resource(command_line())
    context.with_resource(warnings.catch_warnings())
    warnings.filterwarnings("ignore", message=".* the model that comes with vqkit is builtin:")  # a note says it
    context.call_on_close(put_threads_back)
    prepare_streams()


app.command("demo")(writing(demo.demo))
app.command("train", cls=ListingCommand)(reading(writing(train.train)))
app.command("eval", cls=ListingCommand)(reading(writing(evaluate.evaluate)))
app.command("score", cls=ListingCommand)(reading(writing(score.score)))
app.command("reconstruct", cls=ListingCommand)(reading(writing(reconstruct.reconstruct)))
app.command("encode", cls=ListingCommand)(reading(writing(encode.encode)))
app.command("export", cls=ListingCommand)(reading(writing(export.export)))
app.command("ids", cls=ListingCommand)(reading(writing(ids.ids), labels=False))
app.command("decode")(writing(decode.decode))
app.command("prior", cls=ListingCommand)(reading(writing(prior.prior), kind=False))
app.command("quantize", cls=ListingCommand)(reading(writing(quantize.quantize), labels=False))
app.command("lossless", cls=ListingCommand)(reading(writing(lossless.lossless)))
app.command("sample", cls=ListingCommand)(reading(writing(sample.sample)))
app.command("convert", cls=ListingCommand)(reading(writing(convert.convert)))
app.command("edit", cls=ListingCommand)(reading(writing(edit.edit)))
app.command("compress", cls=ListingCommand)(reading(writing(compress.compress)))
app.command("decompress")(writing(decompress.decompress))
app.command("add", cls=ListingCommand)(reading(add.add))
app.command("extract")(writing(extract.extract))
app.command("verify")(verify.verify)
app.command("inspect")(writing(inspecting.inspect))
app.command("compare", cls=ListingCommand)(reading(writing(compare.compare)))
app.command("probe", cls=ListingCommand)(reading(writing(probe.probe), labels=False))
app.add_typer(study.app, name="study")
app.command("table")(writing(table.table))
app.command("plot")(writing(plot.plot))
app.command("cite")(cite.cite)
app.command("lab")(lab.lab)
app.command("models")(models.models)
app.command("info", cls=ListingCommand)(reading(writing(info.info)))


@contextmanager
def few_collections() -> Iterator[None]:
    """Look for cycles of garbage seldom within the block: a tenth of the time that it takes to import torch."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], _COLLECTED) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def main() -> None:
    """Run the command line; see ``vqkit.cli.failures`` for how it ends when something is wrong."""
    prepare_streams()
    status: int | str | None = 0
    try:
        with few_collections():
            app(prog_name="vqkit")
    except SystemExit as stop:
        status = stop.code
    except BaseException as error:
        if os.environ.get("VQKIT_TRACEBACK"):
            raise
        given = options_given(typer.main.get_command(app), sys.argv[1:])
        status = end(error, lambda message: as_options(message, given))
    sys.exit(flush_streams() or status)


if __name__ == "__main__":
    main()

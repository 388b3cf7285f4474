"""``vqkit``: the command and its sub-commands. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Annotated

import typer

from vqkit import __version__
from vqkit.cli import (
    compare,
    compress,
    decode,
    decompress,
    demo,
    edit,
    encode,
    evaluate,
    info,
    inspecting,
    lossless,
    prior,
    reconstruct,
    sample,
    study,
    train,
)
from vqkit.errors import VqkitError

app = typer.Typer(
    name="vqkit",
    help="Turn any pile of signals into discrete tokens and back with VQ-VAEs.",
    epilog="Begin with: vqkit demo",
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
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version
    write_any_name()


def write_any_name() -> None:
    """Let standard output and error take names of files that are no text in their encoding, by escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("eval")(evaluate.evaluate)
app.command("reconstruct")(reconstruct.reconstruct)
app.command("encode")(encode.encode)
app.command("decode")(decode.decode)
app.command("prior")(prior.prior)
app.command("lossless")(lossless.lossless)
app.command("sample")(sample.sample)
app.command("edit")(edit.edit)
app.command("compress")(compress.compress)
app.command("decompress")(decompress.decompress)
app.command("inspect")(inspecting.inspect)
app.command("compare")(compare.compare)
app.add_typer(study.app, name="study")
app.command("info")(info.info)


def main() -> None:
    """Run the command line: errors of the user's are one line and status 2; Ctrl-C is status 130 (typer's doing)."""
    write_any_name()
    try:
        app(prog_name="vqkit")
    except VqkitError as error:
        _fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{_PLAIN.get(error.errno or 0, error.strerror or str(error))}")


_PLAIN = {
    errno.EEXIST: "exists and is no folder; choose another place to write to",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another place to write to",
    errno.EISDIR: "is a folder; name a file",
    errno.ENOSPC: "the disk is full; make room or choose another place to write to",
}


def _fail(message: str) -> None:
    if os.environ.get("VQKIT_TRACEBACK"):
        raise
    typer.secho(f"vqkit: {message}", err=True, fg=typer.colors.RED)
    sys.exit(2)


if __name__ == "__main__":
    main()

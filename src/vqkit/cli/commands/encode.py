"""``vqkit encode``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.checking import counted
from vqkit.cli.options import (
    BatchOption,
    CodebooksOption,
    DataArgument,
    DeviceOption,
    KbpsOption,
    ModelArgument,
    ThreadsOption,
    set_threads,
)
from vqkit.cli.output.shell import place, say_next
from vqkit.cli.output.writing import Writes
from vqkit.cli.streaming import RawOption, StreamOption, check_piped, check_use, encode_stream


def encode(
    model: ModelArgument,
    data: DataArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A new folder."), Writes()] = None,
    kind: Annotated[
        str | None,
        typer.Option("--format", help="npy (default), safetensors or parquet (parquet for images of different sizes)."),
    ] = None,
    batch_size: BatchOption = 64,
    codebooks: CodebooksOption = None,
    kbps: KbpsOption = None,
    shard_items: Annotated[int | None, typer.Option(min=1, help="Items per file (default: 32 MiB of indices).")] = None,
    stream: StreamOption = False,
    raw: RawOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Turn DATA into indices on the disk, in constant memory for any number of items; a stream: a line a frame."""
    from vqkit.cli.loading import open_data, open_discrete
    from vqkit.cli.output.terminal import counting
    from vqkit.tokens import tokenize
    from vqkit.tokens.tokenization import check_folder

    set_threads(threads)
    out = check_use(stream, [data], {"--format": kind, "--shard-items": shard_items}, {"--raw": raw}, out)
    if out is None:
        check_piped([data])
        encode_stream(open_discrete(model, device), raw, codebooks, kbps)
        return
    kind = kind or "npy"
    check_folder(out, kind)
    loaded = open_discrete(model, device)
    source = open_data(loaded, data)
    with counting("encoding") as progress:
        tokens = tokenize(
            loaded,
            source,
            out,
            kind=kind,
            batch_size=batch_size,
            shard_items=shard_items,
            codebooks=codebooks,
            kbps=kbps,
            progress=progress,
        )
    if tokens.kept == len(tokens):
        typer.echo(f"kept all of {counted(len(tokens), 'item')}: they lie there already, of the same model and data")
    elif tokens.kept:
        typer.echo(f"kept {tokens.kept:,} of {len(tokens):,} items of an encoding that was interrupted here")
    if tokens.replaced:
        typer.echo(f"  note: shards of {tokens.replaced} lay here half done, and were replaced", err=True)
    grid = "grids of different sizes" if tokens.grid is None else f"grid {'x'.join(map(str, tokens.grid)) or '1'}"
    size = counted(tokens.bytes_on_disk(), "byte")
    typer.echo(f"{counted(len(tokens), 'item')}, {grid}, {size} of indices in {out}")
    say_next(["decode", place(model), out, "--out", "decoded"])

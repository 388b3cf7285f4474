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
        typer.Option(
            "--format", metavar="NAME", help="{formats} (not npy, safetensors, llamagen for items of different sizes)."
        ),
    ] = None,
    batch_size: BatchOption = 64,
    codebooks: CodebooksOption = None,
    kbps: KbpsOption = None,
    shard_items: Annotated[int | None, typer.Option(min=1, help="Items per file (default: 32 MiB of indices).")] = None,
    vocab_offset: Annotated[
        int, typer.Option(metavar="ID", help="Id of the first code, in formats of sequences for language models.")
    ] = 0,
    bos: Annotated[int | None, typer.Option(metavar="ID", help="Id that begins each sequence.")] = None,
    eos: Annotated[int | None, typer.Option(metavar="ID", help="Id that ends it.")] = None,
    begin: Annotated[int | None, typer.Option(metavar="ID", help="Id before the codes, as <image_begin>.")] = None,
    end: Annotated[int | None, typer.Option(metavar="ID", help="Id after them.")] = None,
    class_offset: Annotated[
        int | None, typer.Option(metavar="ID", help="Id of the first class: the item's class stands before the codes.")
    ] = None,
    order: Annotated[
        str, typer.Option(help="Of several codebooks: interleaved, flat (one after another), or delayed (MusicGen).")
    ] = "interleaved",
    pad: Annotated[int | None, typer.Option(metavar="ID", help="Id where --order delayed has no code.")] = None,
    shared_ids: Annotated[
        bool, typer.Option("--shared-ids", help="All codebooks have the same ids (default: each its own range).")
    ] = False,
    stream: StreamOption = False,
    raw: RawOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Turn DATA into indices on the disk, in constant memory for any number of items; a stream: a line a frame."""
    from vqkit.cli.loading import open_data, open_discrete
    from vqkit.cli.output.terminal import counting
    from vqkit.tokens import Layout, tokenize
    from vqkit.tokens.formats import token_format
    from vqkit.tokens.tokenization import check_folder

    set_threads(threads)
    sequences = {
        "--vocab-offset": vocab_offset or None, "--bos": bos, "--eos": eos, "--begin": begin, "--end": end,
        "--class-offset": class_offset, "--pad": pad, "--shared-ids": shared_ids,
        "--order": None if order == "interleaved" else order,
    }  # fmt: skip
    others = {"--format": kind, "--shard-items": shard_items, **sequences}
    out = check_use(stream, [data], others, {"--raw": raw}, out)
    if out is None:
        check_piped([data])
        encode_stream(open_discrete(model, device), raw, codebooks, kbps)
        return
    kind = kind or "npy"
    check_folder(out, kind)
    layout = Layout(vocab_offset, bos, eos, begin, end, class_offset, order, pad, shared_ids)
    token_format(kind).check_layout(layout)
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
            layout=layout,
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
    if tokens.vocabulary is not None:
        typer.echo(f"  {tokens.vocabulary.describe()}")
    say_next(["decode", place(model), out, "--out", "decoded"])

"""``vqkit encode``."""

from __future__ import annotations

import os
from contextlib import nullcontext, redirect_stderr
from io import StringIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vqkit.checking import counted
from vqkit.cli.options import (
    BatchOption,
    CodebooksOption,
    DeviceOption,
    KbpsOption,
    OptionalDataArgument,
    OptionalModelArgument,
    ThreadsOption,
    set_threads,
)
from vqkit.cli.output.shell import place, say_next
from vqkit.cli.output.writing import Writes
from vqkit.cli.streaming import RawOption, StreamOption, check_piped, check_use, encode_stream

if TYPE_CHECKING:
    from vqkit.data import Source
    from vqkit.tokens import EncodingPlan


def encode(
    model: OptionalModelArgument,
    data: OptionalDataArgument = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A new folder, or an address: s3://, gs://, hf://."),
        Writes(remote=True),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="{formats} (default: npy; of items of different sizes parquet, and not safetensors, llamagen).",
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
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Encode in N processes, whole shards each; the files are the same.")
    ] = 1,
    engine: Annotated[str, typer.Option(metavar="NAME", help="What runs the workers: {engines}.")] = "processes",
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Say how many shards and bytes there will be, and how long it takes; only that."),
    ] = False,
    stream: StreamOption = False,
    raw: RawOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Turn DATA into indices on the disk, in constant memory for any number of items; a stream: a line a frame."""
    from vqkit.cli.choosing import model_and_data, model_for
    from vqkit.cli.loading import open_data, open_discrete
    from vqkit.cli.output.terminal import counting
    from vqkit.storage.remote import is_url, whole_url
    from vqkit.tokens import Layout, plan_encoding, tokenize
    from vqkit.tokens.engines import engine as engine_of
    from vqkit.tokens.formats import token_format
    from vqkit.tokens.tokenization import check_folder

    set_threads(threads)
    engine, leads = _of_torchrun(engine, workers)
    sequences = {
        "--vocab-offset": vocab_offset or None, "--bos": bos, "--eos": eos, "--begin": begin, "--end": end,
        "--class-offset": class_offset, "--pad": pad, "--shared-ids": shared_ids,
        "--order": None if order == "interleaved" else order,
    }  # fmt: skip
    spread: dict[str, object] = {"--workers": workers if workers > 1 else None, "--plan": plan}
    spread["--engine"] = None if engine == "processes" else engine
    others = {"--format": kind, "--shard-items": shard_items, **spread, **sequences}
    named = model if data is None else data
    if not stream and out is None:
        out = _unnamed_place(model, data)
    out = check_use(stream, [named], others, {"--raw": raw}, out)
    if out is None:
        check_piped([named])
        model = model_for(None, ["sound:-"], "as the first argument") if data is None else model
        encode_stream(open_discrete(model, device), raw, codebooks, kbps)
        return
    model, found = model_and_data(model, data, needs_data=True)
    data = str(found)
    place_out = whole_url(out) if is_url(out) else out
    if leads and kind is not None:  # for the others that folder is begun already, perhaps
        check_folder(place_out, kind)
    layout = Layout(vocab_offset, bos, eos, begin, end, class_offset, order, pad, shared_ids)
    token_format(kind or "npy").check_layout(layout)
    engine_of(engine)
    loaded = open_discrete(model, _device_here(engine, device))
    with nullcontext() if leads else redirect_stderr(StringIO()):
        source = open_data(loaded, data)
    kind = kind or _format_for(source, say=leads)
    settings: dict[str, Any] = {
        "kind": kind, "batch_size": batch_size, "shard_items": shard_items, "codebooks": codebooks, "kbps": kbps,
        "layout": layout, "workers": workers,
    }  # fmt: skip
    if plan:
        _say(plan_encoding(loaded, source, place_out, **settings), kind, workers)
        return
    with counting("encoding") as progress:
        tokens = tokenize(loaded, source, place_out, **settings, engine=engine, progress=progress)
    if not leads:
        return
    if tokens.kept == len(tokens):
        typer.echo(f"kept all of {counted(len(tokens), 'item')}: they lie there already, of the same model and data")
    elif tokens.kept:
        typer.echo(f"kept {tokens.kept:,} of {len(tokens):,} items of an encoding that was interrupted here")
    if tokens.replaced:
        typer.echo(f"  note: shards of {tokens.replaced} lay here half done, and were replaced", err=True)
    grid = "grids of different sizes" if tokens.grid is None else f"grid {'x'.join(map(str, tokens.grid)) or '1'}"
    size = counted(tokens.bytes_on_disk(), "byte")
    typer.echo(f"{counted(len(tokens), 'item')}, {grid}, {size} of indices in {place_out}")
    if tokens.vocabulary is not None:
        typer.echo(f"  {tokens.vocabulary.describe()}")
    say_next(["decode", place(model), place_out, "--out", "decoded"])
    if workers > len(tokens.manifest["shards"]):
        _say_few(len(tokens.manifest["shards"]), workers, len(tokens))


def _unnamed_place(model: str, data: str | None) -> Path | None:
    """The folder without ``--out``: a new one for data that stand alone; of two names none, the first being a model."""
    from vqkit.cli.choosing import check_model

    if data is None:
        return own_folder(model)
    check_model(model)
    return None


def _format_for(source: Source, *, say: bool) -> str:
    """The format where none is named: of different sizes Parquet, or JSON lines without pyarrow; that is said."""
    from vqkit.errors import MissingExtraError
    from vqkit.tokens.formats import token_format

    if source.size is not None:
        return "npy"
    kind = "parquet"
    try:
        token_format(kind).check_installed()
    except MissingExtraError:
        kind = "jsonl"
    if say:
        typer.echo(f"  note: items of different sizes, which no .npy holds: --format {kind} is taken", err=True)
    return kind


def _of_torchrun(engine: str, workers: int) -> tuple[str, bool]:
    """The engine, which is torchrun's in a process that it started; and whether this process says what was done."""
    if engine == "processes" and workers == 1 and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        engine = "torchrun"
    return engine, engine != "torchrun" or os.environ.get("RANK", "0") == "0"


def _device_here(engine: str, device: str) -> str:
    """The device of this process; only torchrun's ask for their rank, since what trains takes a second to import."""
    if engine != "torchrun":
        return device
    from vqkit.training.distributed import device_of_rank

    return device_of_rank(device)


def own_folder(data: str) -> Path:
    """A folder here for the tokens of data that were named without ``--out``: ``NAME-tokens``, new or half done."""
    from vqkit.tokens.journal import ENCODING
    from vqkit.tokens.manifest import find_manifest

    name = Path(data).name.partition(".")[0].rpartition(":")[2] or "data"
    tries = (Path(f"{name}-tokens{'' if number == 1 else f'-{number}'}") for number in count(1))
    half_done = lambda path: (path / ENCODING).is_file() and find_manifest(path) is None  # noqa: E731
    return next(path for path in tries if not path.exists() or half_done(path))


def _say(plan: EncodingPlan, kind: str, workers: int) -> None:
    """Print what an encoding would do."""
    shards = counted(plan.shards, "shard")
    typer.echo(
        f"{counted(plan.items, 'item')} in {shards} of {kind}, {counted(plan.nbytes, 'byte')} (nothing is written)"
    )
    if plan.kept:
        typer.echo(f"  there already: {counted(plan.kept, 'shard')} with {counted(plan.kept_items, 'item')}")
    if plan.kept < plan.shards:
        by = f"with {plan.workers} of {counted(workers, 'worker')}" if workers > 1 else "in this process"
        typer.echo(f"  time: about {max(1, round(plan.seconds)):,} s {by}, at the pace of the first batch")
        if workers > plan.shards:
            _say_few(plan.shards, workers, plan.items)


def _say_few(shards: int, workers: int, items: int) -> None:
    """Say that shards are too few for the workers, and how to have more."""
    typer.echo(
        f"  note: {counted(shards, 'shard')} for {workers} workers, and each writes whole ones: --shard-items "
        f"{max(1, items // (4 * workers))} makes more",
        err=True,
    )

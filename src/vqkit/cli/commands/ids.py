"""``vqkit ids``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.cli.options import (
    CodebooksOption,
    DeviceOption,
    ModelArgument,
    OutFolder,
    ThreadsOption,
    WorkersOption,
    set_threads,
)
from vqkit.cli.output.shell import place, say_next


def ids(
    model: ModelArgument,
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="The items: .npy or .npz of vectors, Parquet, or what vqkit train reads."),
    ],
    out: OutFolder,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Let each choice of indices have --capacity items, the nearest ones.")
    ] = False,
    capacity: Annotated[int, typer.Option(min=1, help="Items that share indices where ids are balanced.")] = 1,
    candidates: Annotated[int, typer.Option(min=1, help="Next best indices that a balanced item may be given.")] = 256,
    last_digit: Annotated[
        bool,
        typer.Option(
            "--last-digit/--no-last-digit",
            help="A digit more that makes every id unique; without it collisions.json lists the items that share one.",
        ),
    ] = True,
    extend: Annotated[
        Path | None,
        typer.Option(
            "--extend",
            metavar="OLD_IDS",
            help="A folder of ids of the same model: its items keep theirs, others get free ones.",
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Names of the items: .txt (a line each), .json (a list) or .npy."),
    ] = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="Also write ids.parquet.")] = False,
    codebooks: CodebooksOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Items at a time.")] = 4096,
    workers: WorkersOption = 1,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Give every item of DATA a semantic id: its indices and a last digit; both ways, and as index.json."""
    import sys

    from rich.console import Console

    from vqkit.checking import counted
    from vqkit.cli.loading import open_data, open_discrete
    from vqkit.cli.output.terminal import counting, ids_table
    from vqkit.ids.files import check_folder, save_ids
    from vqkit.ids.making import make_ids

    set_threads(threads)
    check_folder(out, parquet=parquet)
    loaded = open_discrete(model, device)
    source = open_data(loaded, data)
    with counting("ids") as progress:
        found = make_ids(
            loaded,
            source,
            balanced=balanced,
            capacity=capacity,
            candidates=candidates,
            last_digit=last_digit,
            names=names,
            extend=extend,
            codebooks=codebooks,
            batch_size=batch_size,
            progress=progress,
            workers=workers,
        )
    save_ids(found, out, parquet=parquet)
    Console(file=sys.stdout).print(ids_table(found.about))
    old = len(found) - found.about["new_items"]
    if old:
        typer.echo(f"{counted(old, 'item')} as before, {found.about['new_items']:,} new")
    sharing = sum(len(items) for _, items in ([] if last_digit else found.collisions()))
    unique = f"{counted(sharing, 'item')} share an id (collisions.json)" if sharing else "every id is unique"
    example = "".join(found.tokens_of(0) if found.names is None else found.tokens_of(found.names[0]))
    first = f"item {found.name(0)}" if found.names is None else repr(found.name(0))
    typer.echo(f"{counted(len(found), 'item')} in {out}: {unique}; {first} is {example}")
    alike: list[object] = [] if names is None else ["--names", "MORE_NAMES"]
    alike += ["--balanced"] if balanced else []
    alike += ["--capacity", capacity] if balanced and capacity != 1 else []
    alike += [] if last_digit else ["--no-last-digit"]
    alike += [] if codebooks is None else ["--codebooks", codebooks]
    say_next(["ids", place(model), "MORE", *alike, "--extend", out, "--out", "more-ids"])

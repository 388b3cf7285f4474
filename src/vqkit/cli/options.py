"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from vqkit.cli.output.writing import Writes

_MOST_THREADS = 4096


def _number_of_threads(given: str) -> str:
    if given != "auto" and not (given.isdecimal() and 1 <= int(given) <= _MOST_THREADS):
        raise typer.BadParameter(f"{given!r}: give a number from 1 to {_MOST_THREADS}, or auto")
    return given


ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A run folder, a model folder, a model of vqkit models, or a hub name.")
]
DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A folder of images or sounds, one such file, .npy, .npz, Parquet, hub:owner/name, or the built-in "
        "digits, fashion, photos or speech.",
    ),
]
OptionalModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="[MODEL]",
        help="A run folder, a model folder, a model that comes with vqkit, or a hub name (left out: the one that comes "
        "with vqkit for such signals).",
    ),
]
OptionalDataArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        help="A folder of images or sounds, one such file, .npy, .npz, Parquet, hub:owner/name, or the built-in "
        "digits, fashion, photos or speech.",
    ),
]
ResultsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="Run folders, files of vqkit eval --json, folders of vqkit compare, study and probe, or a folder of such "
        "folders.",
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
CodebooksOption = Annotated[
    int | None,
    typer.Option(
        "--codebooks",
        "--books",
        min=1,
        help="Use the first so many codebooks of a residual stack, or of levels (default: all).",
    ),
]
KbpsOption = Annotated[
    float | None, typer.Option(metavar="KBPS", help="Use as many codebooks as have this bit rate (of sound).")
]
BatchOption = Annotated[int, typer.Option(min=1, help="Items at a time.")]
ThreadsOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        parser=_number_of_threads,
        help="CPU threads; auto: as many as are fastest beside what else runs (default of encode, decode, compress, "
        "decompress and a training of --minutes; demo: 1; else all cores).",
    ),
]
WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers",
        min=1,
        metavar="N",
        help="Do it in N processes, each with a copy of the model; the result is the same.",
    ),
]
DrawingOption = Annotated[
    float | None,
    typer.Option(
        metavar="T",
        help="Of an autoregressive decoder: below 1 likelier, less varied; 0 the likeliest (default: 1).",
    ),
]
LikeOption = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        help="The data that was encoded (wind.nc:u,v; scan.nii.gz; scene.tif): --out is a file like it, with its "
        "coordinates, affine or tags.",
    ),
]
OutFolder = Annotated[Path, typer.Option("--out", "-o", help="A new folder."), Writes()]
OutSignals = Annotated[Path, typer.Option("--out", "-o", help="A new folder."), Writes(signals=True)]


_put_back: list[Callable[[], None]] = []


def set_threads(threads: str | None) -> None:
    """Limit torch to this many CPU threads, or have their number chosen while it computes."""
    if threads is not None:
        from vqkit import threads as cpu

        _put_back.append(cpu.set_threads(int(threads) if threads.isdecimal() else threads))


def put_threads_back() -> None:
    """End what ``set_threads`` began, for the program that ran the command."""
    while _put_back:
        _put_back.pop()()

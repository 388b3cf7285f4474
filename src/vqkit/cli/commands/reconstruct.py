"""``vqkit reconstruct``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vqkit.checking import counted
from vqkit.cli.formats import written_suffix
from vqkit.cli.options import (
    CodebooksOption,
    DeviceOption,
    KbpsOption,
    OptionalModelArgument,
    ThreadsOption,
    set_threads,
)
from vqkit.cli.output.writing import Writes
from vqkit.errors import ConfigError
from vqkit.storage.outputs import SHEET

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vqkit.signals import Signal

_ENLARGED = 4


def _check_name(out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: the sheet is a PNG; give a name that ends in .png")


def reconstruct(
    model: OptionalModelArgument,
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="Images, sound, video (default: the run's validation data).")
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", dir_okay=False, help="The PNG to write."),
        Writes(SHEET, check=_check_name),
    ] = Path("reconstructions.png"),
    files: Annotated[
        Path | None,
        typer.Option("--files", help="A new folder for the reconstructions themselves (sounds: always written)."),
        Writes(signals=True),
    ] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help="Of sounds: wav (default) or flac, of 16 bits.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many signals.")] = 12,
    columns: Annotated[
        int | None, typer.Option(min=1, help="Pictures beside each other (default: 12, of sounds 4).")
    ] = None,
    codebooks: CodebooksOption = None,
    kbps: KbpsOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Write a sheet of originals, their reconstructions and the errors; and the reconstructed sounds as files."""
    from vqkit.cli import generating
    from vqkit.cli.choosing import model_and_data
    from vqkit.cli.loading import check_shown, codebooks_of, held_out, open_data, open_model
    from vqkit.pictures import before_after_sheet, save_sheet
    from vqkit.storage.paths import OutputPaths
    from vqkit.training.evaluators.models import reconstructed, reconstruction_pieces, shown_kind

    set_threads(threads)
    model, data = model_and_data(model, data, needs_data=False)
    loaded = open_model(model, device)
    suffix = written_suffix(loaded, file_format)
    if loaded.kind.rate is None and files is None:
        check_shown(loaded, model, "use vqkit eval, or encode and decode")
    used = codebooks_of(loaded, codebooks, kbps)
    source = open_data(loaded, data) if data is not None else held_out(model, loaded)
    count = min(count, len(source))
    if loaded.kind.rate is not None or files is not None:
        names = [(number, source.item_name(number)) for number in range(count)]
        places = OutputPaths([(number, name) for number, name in names if name is not None], suffix)
        with generating.filling(files, model, "reconstructions") as folder:
            for number in range(count):
                pieces = reconstruction_pieces(loaded, source, number, codebooks=used)
                loaded.kind.write_pieces(pieces, folder / places.of(number), durable=False, made="reconstruction")
        typer.echo(f"{counted(count, *loaded.kind.noun)}: {folder}")
    if not loaded.shows_pictures:
        return
    before, after = reconstructed(loaded, source, count, codebooks=used)
    if loaded.kind.gaps:
        sheet = shown_kind(loaded, source).sheet([("original", before), ("reconstruction", after)], columns)
        assert sheet is not None, "fields have pictures"
        save_sheet(sheet, out)
        typer.echo(f"{counted(len(before), *loaded.kind.noun)} before and after: {out}")
        return
    columns = columns or (12 if loaded.axes != 1 else 4)
    rows, notes = rows_of(loaded.kind, before, after)
    save_sheet(before_after_sheet(rows, columns=columns, notes=notes), out)
    typer.echo(f"{counted(len(before), *loaded.kind.noun)} before and after: {out}")


def rows_of(
    kind: Signal, before: Sequence[NDArray[Any]], after: Sequence[NDArray[Any]]
) -> tuple[list[tuple[str, list[Any]]], list[str]]:
    """The rows of the sheet; of pictures the error too, enlarged, and the PSNR of each.

    Args:
        kind: of the signals.
        before: ``[channels, *size]`` each.
        after: the same.
    """
    import numpy as np

    from vqkit.evaluation import psnr_db

    rows = [("original", [kind.show(each) for each in before]), ("reconstruction", [kind.show(each) for each in after])]
    if not kind.converts:
        return rows, []
    errors = [np.abs(_unit(one) - _unit(other)) for one, other in zip(before, after, strict=True)]
    rows.append((f"error x {_ENLARGED}", [kind.show((each * _ENLARGED).clip(0, 1)) for each in errors]))
    means = [float(np.square(each).mean()) for each in errors]
    return rows, [f"{psnr_db(mse):.1f} dB" if mse else "no error" for mse in means]


def _unit(picture: NDArray[Any]) -> NDArray[np.float32]:
    """Values from 0 to 1."""
    import numpy as np

    scale = 255 if picture.dtype == np.uint8 else 1
    return (picture.astype(np.float32) / scale).clip(0, 1)

"""``vqkit reconstruct``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.checking import counted
from vqkit.cli.options import CodebooksOption, DeviceOption, KbpsOption, ModelArgument, ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes
from vqkit.errors import ConfigError
from vqkit.storage.outputs import SHEET


def _check_name(out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: the sheet is a PNG; give a name that ends in .png")


def reconstruct(
    model: ModelArgument,
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="Images, sound, video (default: the run's validation data).")
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", dir_okay=False, help="The PNG to write."),
        Writes(SHEET, check=_check_name),
    ] = Path("reconstructions.png"),
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many images.")] = 12,
    columns: Annotated[int, typer.Option(min=1, help="Images beside each other.")] = 12,
    codebooks: CodebooksOption = None,
    kbps: KbpsOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Write a before/after sheet: originals above their reconstructions."""
    from vqkit.cli.loading import check_shown, codebooks_of, held_out, open_data, open_model
    from vqkit.pictures import before_after_sheet, save_sheet
    from vqkit.training.evaluators.models import reconstructions

    set_threads(threads)
    loaded = open_model(model, device)
    check_shown(loaded, model, "use vqkit eval, or encode and decode")
    used = codebooks_of(loaded, codebooks, kbps)
    source = open_data(loaded, data) if data is not None else held_out(model, loaded)
    before, after = reconstructions(loaded, source, min(count, len(source)), codebooks=used)
    sheet = before_after_sheet([("original", before), ("reconstruction", after)], columns=columns)
    save_sheet(sheet, out)
    typer.echo(f"{counted(len(before), *loaded.kind.noun)} before and after: {out}")

"""``vqkit verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.checking import counted
from vqkit.cli.options import DeviceOption, ThreadsOption, set_threads
from vqkit.errors import BitstreamError, ConfigError, shown

_LISTED = 20


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE.vqk", help="What vqkit compress or vqkit add wrote.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The model that it was written with (default: the one that comes with vqkit and that the file names).",
        ),
    ] = None,
    prior: Annotated[
        str | None, typer.Option(metavar="PRIOR", help="The prior that it was written with (default: the run's own).")
    ] = None,
    pixels: Annotated[
        str | None, typer.Option(metavar="PIXELS", help="The pixel prior of a lossless file (default: the run's own).")
    ] = None,
    checksums: Annotated[
        bool, typer.Option("--checksums", help="Checksums only, which needs no model: faster, and finds all damage.")
    ] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Verify every checksum of a .vqk file and that every signal decodes; names what is damaged (status 2)."""
    from vqkit.cli.archives import header_of, models_of
    from vqkit.cli.output.terminal import counting
    from vqkit.codec import Decompressor
    from vqkit.codec.archive.verifying import verify_file

    set_threads(threads)
    decoder = None
    if checksums:
        given = {"--model": model, "--prior": prior, "--pixels": pixels}
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise ConfigError(f"{', '.join(named)}: --checksums decodes nothing; leave the one or the other out")
        header_of(file)
    else:
        own = models_of(file, model, prior, pixels, device)
        decoder = Decompressor(own.tokenizer, own.entropy, pixel_model=own.pixel_model, fast=True)
    with file.open("rb") as opened, counting("verifying") as progress:
        found = verify_file(opened, decoder, progress=progress)
    for note in found.notes:
        typer.echo(f"  note: {note}", err=True)
    for each in found.damaged[:_LISTED]:
        name = f"number {each.number}" if each.name is None else shown(each.name)
        typer.echo(f"damaged: {name}: {each.reason}")
    if len(found.damaged) > _LISTED:
        typer.echo(f"  and {len(found.damaged) - _LISTED:,} more")
    if not found.whole:
        whole = found.signals - len(found.damaged)
        raise BitstreamError(
            f"{file} is damaged: {len(found.damaged):,} of {counted(found.signals, 'signal')} that are found in it; "
            f"the other {whole:,} can be extracted (vqkit extract): get the file anew"
        )
    done = "every checksum holds" if checksums else "every checksum holds, and everything decodes"
    typer.echo(f"{file}: {counted(found.signals, 'signal')}; {done}")
    if found.promise.within and not found.promise.without:
        typer.echo(f"promised: {found.promise.line}")

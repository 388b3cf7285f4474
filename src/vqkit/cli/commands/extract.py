"""``vqkit extract``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vqkit.checking import counted
from vqkit.cli.formats import written_suffix
from vqkit.cli.options import DeviceOption, ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes
from vqkit.cli.restoring import check_place, is_one_file
from vqkit.errors import ConfigError
from vqkit.storage.outputs import RESTORED

if TYPE_CHECKING:
    from vqkit.codec.archive.archive import Archive


def extract(
    file: Annotated[Path, typer.Argument(metavar="FILE.vqk", help="What vqkit compress or vqkit add wrote.")],
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Of signals in it (vqkit inspect FILE --list), or numbers from 0."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="A new folder; for one image also a .png, for one sound a .wav or .flac."),
        Writes(RESTORED, signals=True, check=check_place, folder=lambda out: not is_one_file(out)),
    ],
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
    to: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="Class to decode under, by name or number, where the decoder has classes."),
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Restore single signals of a .vqk file, without decoding the others."""
    from vqkit.cli.archives import models_of
    from vqkit.codec.archive.archive import Archive
    from vqkit.storage import atomic
    from vqkit.storage.lock import file_lock
    from vqkit.storage.paths import OutputPaths

    set_threads(threads)
    single = is_one_file(out)
    if single and len(names) > 1:
        raise ConfigError(f"{len(names)} signals do not go into one file: name a folder, not {out}")
    own = models_of(file, model, prior, pixels, device)
    suffix = written_suffix(own.tokenizer, None, out.suffix.lower() if single else None)
    with ExitStack() as stack:
        archive = stack.enter_context(
            Archive(file, own.tokenizer, own.entropy, pixel_model=own.pixel_model, condition=to)
        )
        numbers = list(dict.fromkeys(_number(archive, name) for name in names))
        stack.enter_context(file_lock(out, "extracting"))
        check_place(out)
        folder: Path | None = None
        if not single:
            if out.is_dir():
                out.rmdir()
            folder = stack.enter_context(atomic.new_folder(out))
        known = [(number, name) for number in numbers if (name := archive.name(number)) is not None]
        places = OutputPaths(known, suffix)
        for number in numbers:
            path = out if folder is None else folder / places.of(number)
            values = archive.decode(number).values
            own.tokenizer.kind.write_pieces([values.numpy()], path, durable=False)
    typer.echo(f"{counted(len(numbers), 'signal')}: {out}")


def _number(archive: Archive, name: str) -> int:
    """The number of the signal of this name, or of this number where none has it for its name."""
    is_number = name.isdecimal() and len(name) < 12 and name not in archive
    return archive.number(int(name) if is_number else name)

"""``vqkit decompress``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vqkit.checking import counted
from vqkit.cli.options import DeviceOption, ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes
from vqkit.errors import ConfigError
from vqkit.storage.outputs import RESTORED, check_contents

if TYPE_CHECKING:
    from vqkit.codec.decompressor import Decoded
    from vqkit.codec.inspect import Inspection


def _is_one_image(out: Path) -> bool:
    """Return True if ``out`` names a .png file to write, and is not a folder."""
    return out.suffix.lower() == ".png" and not out.is_dir()


def _check_name(out: Path) -> None:
    """Raise where ``out`` is neither a .png nor a folder that is new or empty."""
    from vqkit.data.images.reading import EXTENSIONS

    if not _is_one_image(out):
        check_contents(out, "a folder of restored signals")
        if out.suffix.lower() in EXTENSIONS and not out.is_dir():
            raise ConfigError(f"{out}: images are written as .png only; name a .png, or a folder to hold them")


def decompress(
    file: Annotated[Path, typer.Argument(metavar="FILE.vqk", help="What vqkit compress wrote.")],
    model: Annotated[str, typer.Option("--model", "-m", help="The model that it was written with.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="A new folder; for a file of one image also a .png to write."),
        Writes(RESTORED, signals=True, check=_check_name, folder=lambda out: not _is_one_image(out)),
    ],
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
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Decode in float32: faster, but a pixel may differ by one level between machines."),
    ] = False,
    max_values: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most numbers (pixels x channels) to allow in a group of signals (default: 2^29), and in all, beyond "
            "4,096 for each byte of the file (default: 2^32).",
        ),
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Restore the signals of a .vqk file: a PNG each, or a .npy for signals that are no images."""
    from vqkit.cli.files import file_prior, pixel_model
    from vqkit.cli.loading import open_discrete
    from vqkit.cli.output.paths import OutputPaths
    from vqkit.cli.output.terminal import counting
    from vqkit.codec import Decompressor, entropy_model
    from vqkit.coding import MAX_VALUES, check_model, digest
    from vqkit.pretrained.folder import content_hash
    from vqkit.storage import atomic
    from vqkit.storage.lock import file_lock

    set_threads(threads)
    single, there = _is_one_image(out), out.exists()
    limit = MAX_VALUES if max_values is None else max_values
    about = _inspected(file, limit, single=single)
    header = about.header
    loaded = open_discrete(model, device)
    places = OutputPaths(about.names, loaded.kind.suffix(loaded.channels))
    check_model("tokenizer", header.tokenizer, digest(content_hash(loaded)))  # first: nothing else is worth a word
    entropy = entropy_model(file_prior(loaded, model, prior, header), loaded.codebook_size)
    if pixels is not None and not header.pixel_digest:
        raise ConfigError(f"--pixels {pixels}: {file} is not lossless, and needs no pixel prior; leave it out")
    if fast and header.pixel_digest:
        raise ConfigError(f"--fast: {file} is lossless, so that its pixels are not decoded in floats; leave it out")
    exact = pixel_model(loaded, model, pixels, reading=True) if header.pixel_digest else None
    reader = Decompressor(loaded, entropy, pixel_model=exact, fast=fast, max_values=limit, condition=to)
    reader.check(header)
    count = 0
    with ExitStack() as stack:
        stack.enter_context(file_lock(out, "decompressing"))
        _check_name(out)  # again: another process may have come and gone since
        if single and out.exists() and not there:
            raise ConfigError(f"{out} was written by another process meanwhile; choose another --out")
        opened = stack.enter_context(file.open("rb"))
        progress = stack.enter_context(counting("decompressing"))
        if single:
            _save(next(iter(list(reader.read(opened)))), out)
            count = 1
        else:
            if out.is_dir():
                out.rmdir()
            folder = stack.enter_context(atomic.new_folder(out))
            for each in reader.read(opened):
                _save(each, folder / places.of(each.number))
                count += 1
                progress(count, about.signals)
    typer.echo(f"{counted(count, 'signal')}: {out}")


def _inspected(file: Path, limit: int, *, single: bool) -> Inspection:
    """Inspect and verify the whole file before a model is opened; raise where it exceeds the limits."""
    from vqkit.codec.inspect import inspect_file
    from vqkit.errors import LimitError
    from vqkit.signals import default_kind

    if file.exists() and not file.is_file() and not file.is_dir():
        raise ConfigError(
            f"{file} is a pipe or a device: a file is verified, then read again; save it to the disk first"
        )
    with file.open("rb") as opened:
        about = inspect_file(opened, shown=0, names=True)
    if about.max_values > limit:
        raise LimitError(
            f"{file} decodes to {about.values:,} numbers (pixels x channels) from {about.file_bytes:,} bytes, more "
            f"than is allowed; if you trust it, allow them with --max-values {about.max_values}"
        )
    if single and (about.signals != 1 or default_kind(about.header.axes).suffix(about.header.channels) != ".png"):
        told = (
            f"{file} holds {about.signals:,} signals of {about.header.axes} axes and {about.header.channels} channels"
        )
        raise ConfigError(f"{told}: name a folder, not a .png")
    return about


def _save(signal: Decoded, path: Path) -> None:

    from vqkit.pictures import save_png
    from vqkit.storage import atomic

    values: Any = signal.values.numpy()
    if path.suffix == ".png":
        save_png(values, path, durable=False)
        return
    atomic.write_file(path, lambda file: atomic.save_npy(file, values), durable=False)

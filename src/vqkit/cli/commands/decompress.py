"""``vqkit decompress``."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vqkit.checking import counted
from vqkit.cli.formats import written_suffix
from vqkit.cli.options import DeviceOption, DrawingOption, LikeOption, ThreadsOption, WorkersOption, set_threads
from vqkit.cli.output.writing import Writes
from vqkit.cli.restoring import SINGLE, check_any_place, check_place, is_one_file, restore_like
from vqkit.cli.streaming import STANDARD, StreamOption, WrittenRawOption, check_use, decompress_stream
from vqkit.errors import ConfigError, TruncatedFileError
from vqkit.storage.outputs import RESTORED

if TYPE_CHECKING:
    from vqkit.codec.inspect import Inspection
    from vqkit.codec.reading.pieces import Piece
    from vqkit.models import IndexModel


def decompress(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.vqk", help="What vqkit compress wrote; - with --stream: standard input.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The model that it was written with (default: the one that comes with vqkit and that the file names).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A new folder; for a file of one image also a .png, of one sound a .wav."),
        Writes(RESTORED, signals=True, check=check_any_place, folder=lambda out: not is_one_file(out)),
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
    temperature: DrawingOption = None,
    codebooks: Annotated[
        int | None,
        typer.Option(
            "--codebooks",
            "--books",
            min=1,
            help="Decode the first so many codebooks of a residual stack or of levels: coarser signals (default: all).",
        ),
    ] = None,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Decode in float32: faster, but a pixel may differ by one level between machines."),
    ] = False,
    file_format: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="Of sounds in a folder: wav (default) or flac, of 16 bits."),
    ] = None,
    like: LikeOption = None,
    max_values: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most numbers (pixels x channels) to allow in a group of signals (default: 2^29), and in all, beyond "
            "4,096 for each byte of the file (default: 2^32).",
        ),
    ] = None,
    stream: StreamOption = False,
    raw: WrittenRawOption = None,
    workers: WorkersOption = 1,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Restore the signals of a .vqk file: a PNG, a WAV, or for other signals a .npy each; a stream: one WAV."""
    from vqkit.cli.choosing import model_for, model_of_file
    from vqkit.cli.files import file_prior, pixel_model
    from vqkit.cli.loading import open_discrete
    from vqkit.cli.output.terminal import counting
    from vqkit.codec import Decompressor, entropy_model
    from vqkit.codec.reading.several import restore_in_processes
    from vqkit.coding import MAX_VALUES, check_model, digest
    from vqkit.pretrained.folder import content_hash
    from vqkit.storage import atomic
    from vqkit.storage.lock import file_lock
    from vqkit.storage.paths import OutputPaths
    from vqkit.tokens.like import check_like

    set_threads(threads)
    limit = MAX_VALUES if max_values is None else max_values
    if out is None and model is None and not stream and str(file) != STANDARD:
        out = _own_place(file, codebooks)
    out = check_use(
        stream,
        [str(file)],
        {
            "--pixels": pixels,
            "--format": file_format,
            "--codebooks": codebooks,
            "--like": like,
            "--workers": workers if workers > 1 else None,
        },
        {"--raw": raw},
        out,
    )
    if out is None:
        decompress_stream(
            file, model or model_for(None, ["sound:-"]), device, prior, raw, limit, fast=fast, condition=to
        )
        return
    _check_out(out, like, file_format)
    single, there = is_one_file(out), out.exists()
    about = _inspected(file, limit, out.suffix.lower() if single else None, codebooks)
    header = about.header
    model = model or model_of_file(header, file)
    loaded = open_discrete(model, device)
    if like is not None:
        check_like(loaded.kind, out, like)
    suffix = written_suffix(loaded, file_format, out.suffix.lower() if single else None)
    places = OutputPaths(about.names, suffix)
    check_model("tokenizer", header.tokenizer, digest(content_hash(loaded)))  # first: nothing else is worth a word
    entropy = entropy_model(file_prior(loaded, model, prior, header), loaded.codebook_size)
    if pixels is not None and not header.pixel_digest:
        raise ConfigError(f"--pixels {pixels}: {file} is not lossless, and needs no pixel prior; leave it out")
    coarser = codebooks is not None and codebooks < loaded.num_codebooks
    if fast and header.pixel_digest and not coarser:
        raise ConfigError(f"--fast: {file} is lossless, so that its pixels are not decoded in floats; leave it out")
    exact = pixel_model(loaded, model, pixels, reading=True) if header.pixel_digest and not coarser else None
    reader = Decompressor(
        loaded, entropy, pixel_model=exact, fast=fast, max_values=limit, condition=to, codebooks=codebooks
    )
    reader.check(header)
    count = 0
    with ExitStack() as stack:
        stack.enter_context(loaded.drawing_at(temperature))
        stack.enter_context(file_lock(out, "decompressing"))
        if like is not None:
            progress = stack.enter_context(counting("decompressing"))
            pieces = reader.pieces(stack.enter_context(file.open("rb")))
            promised = bool(about.promise.within) and codebooks is None
            count = restore_like(pieces, out, like, progress=progress, total=about.signals, exact=promised)
            typer.echo(f"{counted(count, 'signal')}: {out}")
            return
        check_place(out)  # again: another process may have come and gone since
        if single and out.exists() and not there:
            raise ConfigError(f"{out} was written by another process meanwhile; choose another --out")
        opened = stack.enter_context(file.open("rb"))
        progress = stack.enter_context(counting("decompressing"))
        folder: Path | None = None
        if not single:
            if out.is_dir():
                out.rmdir()
            folder = stack.enter_context(atomic.new_folder(out))
        made = folder
        path_of: Callable[[int], Path] = lambda each: out if made is None else made / places.of(each)  # noqa: E731
        if workers > 1 and folder is not None and about.cut is None:
            counts = restore_in_processes(reader, file, path_of, workers, temperature)
        else:
            counts = _restored(reader.pieces(opened), loaded, path_of, cut=about.cut is not None)
        with closing(counts):  # before the folder goes, whatever ends it
            for each in counts:
                count += each
                progress(count, about.signals)
    if about.cut is not None:
        typer.echo(f"note: {file} was cut short: of what followed its end nothing is there", err=True)
    typer.echo(f"{counted(count, 'signal')}: {out}")


def _check_out(out: Path, like: str | None, file_format: str | None) -> None:
    if like is None:
        check_place(out)
    elif file_format is not None or is_one_file(out):
        raise ConfigError("--like: --out is a file like that one; leave --format out, and give it such a name")


def _restored(
    found: Iterator[Piece], model: IndexModel, path_of: Callable[[int], Path], *, cut: bool
) -> Generator[int, None, None]:
    """Write each signal where it belongs; yields 1 for each."""
    for number, pieces in groupby(_until_cut(found) if cut else found, key=attrgetter("number")):
        model.kind.write_pieces((each.values.numpy() for each in pieces), path_of(number), durable=False)
        yield 1


def _until_cut(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Those of the signals that are there of a file that was cut short; what is there was verified before."""
    with suppress(TruncatedFileError):
        yield from pieces


def _own_place(file: Path, codebooks: int | None) -> Path:
    """What a file is restored to without ``--out``, here: ``NAME.png``, ``NAME.wav`` of one signal, ``NAME-decoded``.

    Raises:
        ConfigError: something is there, or the file holds a signal that has no such name.
    """
    from vqkit.codec.inspect import inspect_file
    from vqkit.pretrained.reference import by_digest
    from vqkit.signals import default_kind, signal_kind

    with file.open("rb") as opened:
        about = inspect_file(opened, shown=0, cut=True)
    _check_cut(about, codebooks)
    found = by_digest(about.header.tokenizer)  # says the sample rate, without which sounds are no WAV
    kind = default_kind(about.header.axes) if found is None else signal_kind(str(found.about["kind"]))
    suffix = kind.suffix(about.header.channels)
    single = about.signals == 1 and suffix in SINGLE
    out = Path(f"{file.stem}{suffix if single else '-decoded'}")
    if out.exists():
        raise ConfigError(f"{out} is there already: name another place (--out)")
    return out


def _check_cut(about: Inspection, codebooks: int | None) -> None:
    """Raise for a file that was cut short, unless so many codebooks are asked for as are there."""
    if about.cut is None or (codebooks is not None and codebooks <= about.whole_codebooks):
        return
    number = about.whole_codebooks
    there = f"; --codebooks {number} decodes what is there, {number} of {about.header.num_codebooks} codebooks"
    raise TruncatedFileError(f"{about.cut}{there if number else ''}")


def _inspected(file: Path, limit: int, named: str | None, codebooks: int | None) -> Inspection:
    """Inspect and verify the whole file before a model is opened; raise where it exceeds the limits."""
    from vqkit.codec.inspect import inspect_file
    from vqkit.errors import LimitError
    from vqkit.signals import default_kind

    if file.exists() and not file.is_file() and not file.is_dir():
        raise ConfigError(
            f"{file} is a pipe or a device: a file is verified, then read again; save it to the disk first"
        )
    with file.open("rb") as opened:
        about = inspect_file(opened, shown=0, names=True, cut=True)
    _check_cut(about, codebooks)
    if about.max_values > limit:
        raise LimitError(
            f"{file} decodes to {about.values:,} numbers (pixels x channels) from {about.file_bytes:,} bytes, more "
            f"than is allowed; if you trust it, allow them with --max-values {about.max_values}"
        )
    own = default_kind(about.header.axes)
    fits = own.axes == 1 if named != ".png" else own.suffix(about.header.channels) == named
    if named is not None and (about.signals != 1 or not fits):
        told = (
            f"{file} holds {counted(about.signals, 'signal')} of {about.header.axes} axes and {about.header.channels} "
            "channels"
        )
        raise ConfigError(f"{told}: name a folder, not a {named}")
    return about

"""``vqkit compress``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vqkit.cli.options import DeviceOption, ThreadsOption, set_threads
from vqkit.cli.saying import place, say_next
from vqkit.words import counted

if TYPE_CHECKING:
    from vqkit.codec import Signal
    from vqkit.data.named import Named


def compress(
    inputs: Annotated[
        list[str], typer.Argument(metavar="IN...", help="Folders of images, images, or anything that DATA may be.")
    ],
    model: Annotated[str, typer.Option("--model", "-m", help="A run folder, a model folder, or a hub name.")],
    out: Annotated[Path, typer.Option("--out", "-o", dir_okay=False, help="The file to write, OUT.vqk.")],
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="PRIOR",
            help="What codes the indices: a context prior or a histogram (default: that of the run's with which the "
            "file is smallest); none: nothing.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="BPP",
            help="Bits per pixel of indices to aim at, on average over images of one size that follow each other.",
        ),
    ] = None,
    codebooks: Annotated[
        int | None, typer.Option(min=1, help="Use so many codebooks of a residual stack (default: all).")
    ] = None,
    rate_weight: Annotated[
        float | None, typer.Option(min=0.0, help="How much a bit weighs where codes are chosen (default: as trained).")
    ] = None,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Keep every pixel exactly (needs vqkit lossless RUN).")
    ] = False,
    pixels: Annotated[
        str | None, typer.Option(metavar="PIXELS", help="The pixel prior of lossless files (default: the run's own).")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", dir_okay=False, help="Also write the sizes here.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is no .vqk file.")] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Write images into one .vqk file, whose bytes decode to the same indices on any machine."""
    from dataclasses import asdict

    from vqkit import atomic
    from vqkit.cli.files import exact_prior, pixel_model, rate_lines, report_lines
    from vqkit.cli.opening import open_discrete
    from vqkit.cli.progress import counting
    from vqkit.codec import Compressor, RateReport, RateSearch, entropy_model, known_priors
    from vqkit.codec.inspecting import inspect_file
    from vqkit.codec.smallest import write_smallest
    from vqkit.coding import MAX_VALUES, check_name
    from vqkit.data.named import named_signals
    from vqkit.errors import ConfigError
    from vqkit.priors import load_prior

    set_threads(threads)
    if rate is not None and (codebooks is not None or rate_weight is not None):
        raise ConfigError("--rate settles --codebooks and --rate-weight itself: give the one or the others")
    if pixels is not None and not lossless:
        raise ConfigError(f"--pixels {pixels}: for lossless files only; give --lossless too, or leave it out")
    named = named_signals(inputs)
    _check_out(out, json_file, inputs, named, force=force)
    for name in (name for each in named for name in each.names):
        check_name(name)
    loaded = open_discrete(model, device)
    entropy = entropy_model(exact_prior(loaded, model, prior), loaded.codebook_size)
    beside = [entropy_model(None, loaded.codebook_size)] if entropy.kind != "uniform" else []
    floor = known_priors(model, loaded).get("histogram")
    if entropy.kind == "context" and floor is not None:
        beside.append(entropy_model(load_prior(floor), loaded.codebook_size))
    writer = Compressor(
        loaded,
        entropy,
        pixel_model=pixel_model(loaded, model, pixels) if lossless else None,
        codebooks=codebooks,
        rate_weight=rate_weight,
        search=None if rate is None else RateSearch(loaded, entropy, rate, rivals=beside if prior is None else ()),
        beside=beside,
    )
    for each in named:
        each.check(loaded.channels, loaded.axes, lossless=lossless)
    total = sum(len(each) for each in named)
    found: list[RateReport] = []
    with counting("compressing") as progress:

        def write(temporary: Path) -> None:
            signals = _signals(named, loaded.channels, loaded.axes, lossless)
            if prior is None:
                found.append(write_smallest(writer, temporary, signals, progress=lambda done: progress(done, total)))
                return
            with temporary.open("wb") as file:
                found.append(writer.write(file, signals, progress=lambda done: progress(done, total)))

        atomic.write_file(out, write)
    report = found[0]
    for line in report_lines(report):
        typer.echo(line)
    if rate is not None:
        for line in rate_lines(report, rate):
            typer.echo(line, err=line.startswith("  note"))
    _say_notes(named)
    with out.open("rb") as file:
        needed = inspect_file(file, shown=0).max_values
    if needed > MAX_VALUES:
        typer.echo(
            f"  note: {out} decodes to {report.values:,} numbers (pixels x channels), more than is allowed by default, "
            f"so that vqkit decompress needs --max-values {needed}",
            err=True,
        )
    typer.echo(f"{counted(report.signals, 'signal')}: {out}, {counted(report.file_bytes, 'byte')}")
    if json_file is not None:
        own = {"file_bytes": report.file_bytes, "bits_per_pixel": report.bits_per_pixel}
        atomic.write_json(json_file, {**asdict(report), **own, "header_bytes": report.header_bytes})
    more: list[object] = ["--max-values", needed] if needed > MAX_VALUES else []
    more += ["--prior", place(prior)] if prior is not None and report.used != "uniform" else []
    more += ["--pixels", place(pixels)] if pixels is not None else []
    say_next(["decompress", out, "--model", place(model), "--out", "decoded", *more])


def _signals(named: list[Named], channels: int, axes: int, lossless: bool) -> Iterator[Signal]:
    from vqkit.codec import Signal

    for each in named:
        for name, values in each.read(channels, axes, lossless=lossless):
            yield Signal(values, name)


def _check_out(out: Path, json_file: Path | None, inputs: list[str], named: list[Named], *, force: bool) -> None:
    """Raise where writing would destroy an input, or a file that has nothing to do with this."""
    from vqkit.coding.sections import MAGIC
    from vqkit.data.images import EXTENSIONS
    from vqkit.errors import ConfigError

    if out.suffix.lower() in EXTENSIONS:
        raise ConfigError(f"{out}: {out.suffix} is for images; name the file to write OUT.vqk")
    if json_file is not None and json_file.resolve() == out.resolve():
        raise ConfigError(f"{out} is named by --out and by --json; name two files")
    for written in (out, json_file):
        if written is None or not written.exists():
            continue
        if not written.is_file():
            raise ConfigError(f"{written} is no file on a disk, which could be replaced by another; name one")
        read = [*(file for each in named for file in each.files), *map(Path, inputs)]
        if any(file.is_file() and file.samefile(written) for file in read):
            raise ConfigError(f"{written} is one of the inputs, which would be lost; name another file to write")
    if out.is_file() and not force:
        with out.open("rb") as file:
            start = file.read(len(MAGIC))
        if start not in (b"", MAGIC):
            raise ConfigError(f"{out} exists and is no .vqk file: choose another --out, or overwrite it with --force")


def _say_notes(named: list[Named]) -> None:
    """What of the inputs was left out or read otherwise than it was, on standard error."""
    from vqkit.data.source import skip_lines

    for note in dict.fromkeys(note for each in named for note in each.notes):
        typer.echo(f"  note: {note}", err=True)
    skipped = [one for each in named for one in each.skipped]
    for line in skip_lines(skipped, 10):
        typer.secho(f"  skipped {line}", err=True, fg=typer.colors.YELLOW)
    if skipped:
        typer.echo(
            f"  note: {counted(len(skipped), 'item')} skipped, and the signals are numbered without what was skipped",
            err=True,
        )

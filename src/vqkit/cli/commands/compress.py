"""``vqkit compress``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vqkit.checking import counted
from vqkit.cli.compressing import check_bound, check_vqk_name, say_notes, signals_of, storable
from vqkit.cli.options import CodebooksOption, DeviceOption, KbpsOption, ThreadsOption, WorkersOption, set_threads
from vqkit.cli.output.shell import place, say_next
from vqkit.cli.output.writing import Writes
from vqkit.cli.streaming import (
    EveryOption,
    RawOption,
    StreamedSound,
    StreamOption,
    check_piped,
    check_use,
    compress_stream,
)
from vqkit.coding.sections import MAGIC
from vqkit.errors import ConfigError
from vqkit.storage.outputs import FileKind, marked, numbers_of

if TYPE_CHECKING:
    from vqkit.codec import RateReport

_COMMAND = "vqkit compress"
_VQK = FileKind(".vqk file", lambda start: start.startswith(MAGIC))


def compress(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IN...", help="Folders of images or sounds, such files, anything that DATA may be; - with --stream."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A run folder, a model folder, a model that comes with vqkit, or a hub name (default: the one that "
            "comes with vqkit for such signals).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", dir_okay=False, help="The file to write, OUT.vqk."),
        Writes(_VQK, check=check_vqk_name),
    ] = None,
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
            help="Bits per pixel (of sound: per sample) of indices to aim at, on average over signals of one size that "
            "follow each other.",
        ),
    ] = None,
    codebooks: CodebooksOption = None,
    kbps: KbpsOption = None,
    rate_weight: Annotated[
        float | None, typer.Option(min=0.0, help="How much a bit weighs where codes are chosen (default: as trained).")
    ] = None,
    optimize: Annotated[
        bool,
        typer.Option(
            "--optimize",
            help="Weigh the bits that the prior asks for a code where it stands: smaller files, more work.",
        ),
    ] = False,
    progressive: Annotated[
        bool,
        typer.Option(
            "--progressive", help="Write codebook after codebook, so that a reader can stop after any of them."
        ),
    ] = False,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Keep every pixel exactly (needs vqkit lossless RUN).")
    ] = False,
    max_error: Annotated[
        str | None,
        typer.Option(
            metavar="E",
            help="Keep every value of fields to within E (in their units), or E% of each channel's range; with commas "
            "one for each channel; 0: exactly.",
        ),
    ] = None,
    pixels: Annotated[
        str | None, typer.Option(metavar="PIXELS", help="The pixel prior of lossless files (default: the run's own).")
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", dir_okay=False, help="Also write the sizes here."),
        Writes(numbers_of(_COMMAND)),
    ] = None,
    stream: StreamOption = False,
    raw: RawOption = None,
    every: EveryOption = None,
    workers: WorkersOption = 1,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Write images or sounds into one .vqk file, whose bytes decode to the same indices on any machine."""
    from vqkit.cli.choosing import model_for
    from vqkit.cli.files import exact_prior, pixel_model, rate_lines, report_lines
    from vqkit.cli.loading import open_discrete
    from vqkit.cli.output.terminal import counting
    from vqkit.codec import Compressor, RateController, entropy_model, known_priors
    from vqkit.codec.entropy.smallest import write_smallest
    from vqkit.codec.parallel import several
    from vqkit.codec.resuming.file import going_on
    from vqkit.data.inputs import named_signals
    from vqkit.data.sounds.loading import silence_kept
    from vqkit.models.matching import kind_expected
    from vqkit.priors import load_prior
    from vqkit.resources import read_once
    from vqkit.storage import atomic

    set_threads(threads)
    if rate is not None and any(given is not None for given in (codebooks, kbps, rate_weight)):
        raise ConfigError("--rate settles --codebooks, --kbps and --rate-weight itself: give the one or the others")
    if pixels is not None and not lossless:
        raise ConfigError(f"--pixels {pixels}: for lossless files only; give --lossless too, or leave it out")
    check_bound(max_error, {"--rate": rate is not None, "--lossless": lossless})
    foreign = {
        "--rate": rate,
        "--lossless": lossless,
        "--max-error": max_error,
        "--optimize": optimize,
        "--progressive": progressive,
        "--workers": workers if workers > 1 else None,
    }
    out = check_use(stream, inputs, foreign, {"--raw": raw, "--every": every}, out)
    if out is None:
        check_piped(inputs)
    given, model = model, model_for(model, ["sound:-"] if out is None else inputs)
    loaded = open_discrete(model, device)
    if out is None:
        sound = StreamedSound(loaded, raw)
        entropy = entropy_model(exact_prior(loaded, model, prior), loaded.codebook_size)
        own = Compressor(loaded, entropy, codebooks=codebooks, kbps=kbps, rate_weight=rate_weight)
        _write_sizes(json_file, compress_stream(own, sound, every))
        return
    with kind_expected(loaded), read_once(), silence_kept():
        named = named_signals(inputs)
    named, renamed = storable(named)
    entropy = entropy_model(exact_prior(loaded, model, prior), loaded.codebook_size)
    beside = [entropy_model(None, loaded.codebook_size)] if entropy.kind != "uniform" else []
    floor = known_priors(model, loaded).get("histogram")
    if entropy.kind == "context" and floor is not None:
        beside.append(entropy_model(load_prior(floor), loaded.codebook_size))
    rivals = beside if prior is None else []
    search = None if rate is None else RateController(loaded, entropy, rate, rivals=rivals, optimize=optimize)
    writer = Compressor(
        loaded,
        entropy,
        pixel_model=pixel_model(loaded, model, pixels) if lossless else None,
        max_error=max_error,
        codebooks=codebooks,
        kbps=kbps,
        rate_weight=rate_weight,
        optimize=optimize,
        progressive=progressive,
        search=search,
        beside=beside,
    )
    for each in named:
        each.check(loaded.channels, loaded.kind, lossless=lossless)
    total = sum(len(each) for each in named)
    found: list[RateReport] = []
    kept = 0
    with several(writer, workers), going_on(writer, out) as memory, counting("compressing") as progress:

        def count(done: int) -> None:
            nonlocal kept
            kept = kept if memory.made else done
            progress(done, total)

        def write(temporary: Path) -> None:
            signals = signals_of(named, loaded, lossless)
            if prior is None:
                found.append(write_smallest(writer, temporary, signals, progress=count))
                return
            with temporary.open("wb") as file:
                found.append(writer.write(file, signals, progress=count))

        atomic.write_file(out, write)
    if kept:
        typer.echo(f"kept {kept:,} of {total:,} signals of a compression into this file that was interrupted")
    report = found[0]
    for line in report_lines(report, loaded.kind.position):
        typer.echo(line)
    if rate is not None:
        for line in rate_lines(report, rate, loaded.kind.position):
            typer.echo(line, err=line.startswith("  note"))
    say_notes(named, renamed)
    needed = _values_needed(out, report)
    typer.echo(f"{counted(report.signals, 'signal')}: {out}, {counted(report.file_bytes, 'byte')}")
    _write_sizes(json_file, report)
    more: list[object] = ["--max-values", needed] if needed else []
    more += ["--prior", place(prior)] if prior is not None and report.used != "uniform" else []
    more += ["--pixels", place(pixels)] if pixels is not None else []
    named_model = [] if given is None else ["--model", place(given)]
    say_next(["decompress", out, *named_model, "--out", "decoded", *more])


def _write_sizes(json_file: Path | None, report: RateReport) -> None:
    """Write the sizes as JSON, where that was asked for."""
    from dataclasses import asdict

    from vqkit.storage import atomic

    if json_file is not None:
        own = {"file_bytes": report.file_bytes, "bits_per_pixel": report.bits_per_pixel}
        atomic.write_json(json_file, marked(_COMMAND, {**asdict(report), **own, "header_bytes": report.header_bytes}))


def _values_needed(out: Path, report: RateReport) -> int:
    """The ``--max-values`` that reading this file needs, which is said; 0 where it needs none."""
    from vqkit.codec.inspect import inspect_file
    from vqkit.coding import MAX_VALUES

    with out.open("rb") as file:
        needed = inspect_file(file, shown=0).max_values
    if needed <= MAX_VALUES:
        return 0
    typer.echo(
        f"  note: {out} decodes to {report.values:,} numbers (pixels x channels), more than is allowed by default, "
        f"so that vqkit decompress needs --max-values {needed}",
        err=True,
    )
    return needed

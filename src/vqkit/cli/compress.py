"""``vqkit compress``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vqkit.cli.options import DeviceOption, ThreadsOption, set_threads

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
            help="What codes the indices: a context prior or a histogram (default: the run's best); none: nothing.",
        ),
    ] = None,
    rate: Annotated[float | None, typer.Option(metavar="BPP", help="Bits per pixel to aim at, for each image.")] = None,
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
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Write images into one .vqk file, whose bytes decode to the same indices on any machine."""
    from dataclasses import asdict

    from vqkit import atomic
    from vqkit.cli.files import exact_prior, pixel_model, report_lines
    from vqkit.cli.opening import open_discrete
    from vqkit.cli.progress import counting
    from vqkit.codec import Compressor, RateReport, RateSearch, entropy_model, known_priors
    from vqkit.data.named import named_signals
    from vqkit.errors import ConfigError
    from vqkit.priors import load_prior

    set_threads(threads)
    if rate is not None and (codebooks is not None or rate_weight is not None):
        raise ConfigError("--rate settles --codebooks and --rate-weight itself: give the one or the others")
    loaded = open_discrete(model, device)
    entropy = entropy_model(exact_prior(loaded, model, prior), loaded.codebook_size)
    named = named_signals(inputs)
    beside = [entropy_model(None, loaded.codebook_size)] if entropy.kind != "uniform" else []
    floor = known_priors(model).get("histogram")
    if entropy.kind == "context" and floor is not None:
        beside.append(entropy_model(load_prior(floor), loaded.codebook_size))
    writer = Compressor(
        loaded,
        entropy,
        pixel_model=pixel_model(loaded, model, pixels) if lossless else None,
        codebooks=codebooks,
        rate_weight=rate_weight,
        search=None if rate is None else RateSearch(loaded, entropy, rate),
        beside=beside,
    )
    total = sum(len(each) for each in named)
    found: list[RateReport] = []
    with counting("compressing") as progress:

        def write(temporary: Path) -> None:
            signals = _signals(named, loaded.channels, loaded.axes, lossless)
            with temporary.open("wb") as file:
                found.append(writer.write(file, signals, progress=lambda done: progress(done, total)))

        atomic.write_file(out, write)
    report = found[0]
    for line in report_lines(report):
        typer.echo(line)
    typer.echo(f"{report.signals:,} signal{'' if report.signals == 1 else 's'}: {out}, {report.file_bytes:,} bytes")
    if json_file is not None:
        own = {"file_bytes": report.file_bytes, "bits_per_pixel": report.bits_per_pixel}
        atomic.write_json(json_file, {**asdict(report), **own, "header_bytes": report.header_bytes})
    typer.echo(f"next: vqkit decompress {out} --model {model} --out decoded")


def _signals(named: list[Named], channels: int, axes: int, lossless: bool) -> Iterator[Signal]:
    from vqkit.codec import Signal

    for each in named:
        for name, values in each.read(channels, axes, lossless=lossless):
            yield Signal(values, name)

"""``vqkit add``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.checking import counted
from vqkit.cli.compressing import check_bound, check_vqk_name, say_notes, signals_of, storable
from vqkit.cli.options import CodebooksOption, DeviceOption, KbpsOption, ThreadsOption, WorkersOption, set_threads
from vqkit.cli.output.shell import place, say_next
from vqkit.errors import ConfigError


def add(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.vqk", help="What vqkit compress or vqkit add wrote; a new one is begun."),
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="IN...", help="Folders of images or sounds, such files, anything that DATA may be."),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The model that the file is made with: a run folder, a model folder, a model that comes with vqkit, "
            "or a hub name (default: the one that comes with vqkit and that the file names, or is for such signals).",
        ),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="PRIOR",
            help="What codes the indices (default: as in the file; of a new one the run's best); none: nothing.",
        ),
    ] = None,
    codebooks: CodebooksOption = None,
    kbps: KbpsOption = None,
    rate_weight: Annotated[
        float | None, typer.Option(min=0.0, help="How much a bit weighs where codes are chosen (default: as trained).")
    ] = None,
    lossless: Annotated[
        bool,
        typer.Option("--lossless", help="Of a new file: keep every pixel exactly (needs vqkit lossless RUN)."),
    ] = False,
    max_error: Annotated[
        str | None,
        typer.Option(
            metavar="E",
            help="Keep every value of fields to within E, or E% of each channel's range, as vqkit compress does "
            "(default: as the file has it).",
        ),
    ] = None,
    pixels: Annotated[
        str | None, typer.Option(metavar="PIXELS", help="The pixel prior of lossless files (default: the run's own).")
    ] = None,
    workers: WorkersOption = 1,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Add images or sounds to a .vqk file, or begin one: any of them is found and decoded without the others.

    The file has all of them or none, whenever this is stopped; call it again and it goes on.
    """
    from vqkit.cli.archives import FileModels, models_of
    from vqkit.cli.choosing import model_for
    from vqkit.cli.files import exact_prior, pixel_model
    from vqkit.cli.loading import open_discrete
    from vqkit.cli.output.terminal import counting
    from vqkit.codec import Compressor, entropy_model
    from vqkit.codec.archive.adding import add_signals
    from vqkit.codec.bounded.bound import MaxError
    from vqkit.codec.bounded.promise import kept_bound, shown_bounds
    from vqkit.codec.parallel import several
    from vqkit.data.inputs import named_signals
    from vqkit.data.sounds.loading import silence_kept
    from vqkit.models.matching import kind_expected
    from vqkit.resources import read_once

    set_threads(threads)
    check_vqk_name(file)
    check_bound(max_error, {"--lossless": lossless})
    new = not file.exists()
    if new:
        if pixels is not None and not lossless:
            raise ConfigError(f"--pixels {pixels}: for lossless files only; give --lossless too, or leave it out")
        name = model_for(model, inputs)
        loaded = open_discrete(name, device)
        entropy = entropy_model(exact_prior(loaded, name, prior), loaded.codebook_size)
        own = FileModels(name, loaded, entropy, pixel_model(loaded, name, pixels) if lossless else None)
    else:
        own = models_of(file, model, prior, pixels, device)
        if lossless and own.pixel_model is None:
            raise ConfigError(f"--lossless: {file} is not lossless, and all that is in a file is alike; leave it out")
    loaded, lossless = own.tokenizer, own.pixel_model is not None
    with kind_expected(loaded), read_once(), silence_kept():
        named = named_signals(inputs)
    named, renamed = storable(named)
    bound = kept_bound(file, None if max_error is None else MaxError.of(max_error, loaded), loaded)
    compressor = Compressor(
        loaded,
        own.entropy,
        pixel_model=own.pixel_model,
        max_error=bound,
        codebooks=codebooks,
        kbps=kbps,
        rate_weight=rate_weight,
    )
    for each in named:
        each.check(loaded.channels, loaded.kind, lossless=lossless)
    total = sum(len(each) for each in named)
    with several(compressor, workers), counting("adding") as progress:
        found = add_signals(
            file, compressor, signals_of(named, loaded, lossless), progress=lambda done: progress(done, total)
        )
    if found.kept:
        typer.echo(f"kept {found.kept:,} of {total:,} signals of an addition to this file that was interrupted")
    say_notes(named, renamed)
    if found.same:
        typer.echo(
            f"  note: {counted(len(found.same), 'signal')} of the same name and content in {file} already: left as is",
            err=True,
        )
    if bound is not None and max_error is None:
        typer.echo(f"every value to within {shown_bounds(bound.sizes)}, as in the file")
    grown = counted(file.stat().st_size if new else found.report.file_bytes, "byte")
    typer.echo(f"{counted(found.report.signals, 'signal')} added: {file}, {'' if new else '+'}{grown}")
    named_model = [] if model is None else ["--model", place(model)]
    more: list[object] = ["--prior", place(prior)] if prior is not None and own.entropy.kind != "uniform" else []
    more += ["--pixels", place(pixels)] if pixels is not None else []
    say_next(["inspect", file, "--list"], ["extract", file, "NAME", *named_model, "--out", "extracted", *more])

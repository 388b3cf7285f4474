"""``vqkit eval``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.options import (
    BatchOption,
    CodebooksOption,
    DeviceOption,
    KbpsOption,
    OptionalModelArgument,
    ThreadsOption,
    WorkersOption,
    set_threads,
)
from vqkit.cli.output.preview import PreviewOption, check_preview, preview_reconstructions
from vqkit.cli.output.writing import Writes
from vqkit.storage.outputs import marked, numbers_of

_COMMAND = "vqkit eval"


def evaluate(
    model: OptionalModelArgument,
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="What to judge on (default: the run's validation data).")
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", dir_okay=False, help="Also write the numbers here."),
        Writes(numbers_of(_COMMAND)),
    ] = None,
    prior: Annotated[
        str | None, typer.Option(metavar="PRIOR", help="Count indices under this learned prior (see vqkit prior).")
    ] = None,
    importance_samples: Annotated[
        int | None, typer.Option(min=1, help="VAE: also the importance-weighted bound with so many samples an item.")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Of vectors: look for their nearest neighbours in these (default: a run's training vectors; of other "
            "DATA nine tenths of it).",
        ),
    ] = None,
    codebooks: CodebooksOption = None,
    kbps: KbpsOption = None,
    batch_size: BatchOption = 64,
    workers: WorkersOption = 1,
    peak: Annotated[
        float | None,
        typer.Option(metavar="RANGE", help="Of fields: count a PSNR with this range of the values, in their units."),
    ] = None,
    preview: PreviewOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Error, PSNR, SSIM (of sounds SI-SDR, distances, STOI), usage, perplexity and three sizes, over a whole set."""
    from dataclasses import replace

    from rich.console import Console

    from vqkit.cli.choosing import model_and_data
    from vqkit.cli.files import with_files
    from vqkit.cli.loading import codebooks_of, held_out, neighbors_in, open_data, open_model
    from vqkit.cli.output.terminal import evaluation_table
    from vqkit.errors import ModelFolderError
    from vqkit.evaluation import evaluate as judge
    from vqkit.evaluation import importance_bits_per_dim, measure_rates
    from vqkit.models import VAE, rate_lines
    from vqkit.models.conditions.model import conditioned_batches
    from vqkit.models.rates.rate import tells_more
    from vqkit.results.origin import origin
    from vqkit.storage import atomic

    set_threads(threads)
    model, data = model_and_data(model, data, needs_data=False)
    loaded = open_model(model, device)
    check_preview(preview, loaded, model)
    used = codebooks_of(loaded, codebooks, kbps)
    if prior is not None:
        from vqkit.generation import check_pair
        from vqkit.models import IndexModel
        from vqkit.priors import load_prior

        if not isinstance(loaded, IndexModel):
            raise ModelFolderError(f"{model}: a prior over indices belongs to a model with a codebook")
        found = load_prior(prior).to(loaded.device)
        check_pair(loaded, found)
        loaded.use_prior(found)
    source = open_data(loaded, data) if data is not None else held_out(model, loaded)
    if importance_samples is not None and not isinstance(loaded, VAE):
        raise ModelFolderError(f"{model}: the importance-weighted bound is of a VAE, not of a {type(loaded).__name__}")
    looked_in = neighbors_in(model, loaded, None if data is None else source, database)
    result = judge(
        loaded, source, batch_size=batch_size, codebooks=used, database=looked_in, workers=workers, peak=peak
    )
    if result.sound is not None:
        result = replace(result, rates=with_files(result.rates, loaded, model, source, prior))
    Console(file=sys.stdout).print(evaluation_table(_named(result.as_dict(), source.channel_labels)))
    if used is None and len(result.rates) > 1:
        result = replace(result, rates=measure_rates(loaded, source, result, batch_size=batch_size, workers=workers))
    if tells_more(result.rates):
        for line in rate_lines(result.rates):
            typer.echo(line)
    values = _named(result.as_dict(), source.channel_labels)
    if isinstance(loaded, VAE) and importance_samples is not None:
        batches = conditioned_batches(loaded, source, batch_size)
        bound = importance_bits_per_dim(loaded, batches, importance_samples)
        values["importance_bits_per_dim"] = bound
        typer.echo(f"importance-weighted bound, {importance_samples} samples: {bound:.3f} bits per dimension")
    if json_file is not None:
        told = origin(model, loaded, source, codebooks=used)
        atomic.write_json(json_file, marked(_COMMAND, {**values, **told}))
    preview_reconstructions(preview, loaded, source, used)


def _named(values: dict[str, Any], labels: Sequence[str] | None) -> dict[str, Any]:
    """The values of an evaluation, its channels called as the file does."""
    for channel, name in zip(values.get("channels", ()), labels or (), strict=False):
        channel["name"] = name
    return values

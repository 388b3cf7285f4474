"""``vqkit decode``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.checking import counted
from vqkit.cli.options import (
    BatchOption,
    DeviceOption,
    DrawingOption,
    LikeOption,
    ModelArgument,
    OutSignals,
    ThreadsOption,
    set_threads,
)
from vqkit.cli.output.preview import PreviewOption, RgbOption, kind_previewed, preview_decoded


def decode(
    model: ModelArgument,
    tokens: Annotated[
        Path,
        typer.Argument(
            metavar="TOKENS",
            help="A folder that `vqkit encode` wrote, or a .npy or .parquet file of indices; or its address.",
        ),
    ],
    out: OutSignals,
    limit: Annotated[int | None, typer.Option(min=1, help="Decode the first so many items only.")] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="Class to decode under, by name or number (default: the tokens' labels)."),
    ] = None,
    temperature: DrawingOption = None,
    any_model: Annotated[bool, typer.Option("--any-model", help="Decode even tokens that another model made.")] = False,
    like: LikeOption = None,
    preview: PreviewOption = None,
    rgb: RgbOption = None,
    batch_size: BatchOption = 64,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Turn indices back into signals: a PNG per image."""
    from vqkit.cli.loading import open_discrete
    from vqkit.cli.output.terminal import counting
    from vqkit.storage.remote import is_url
    from vqkit.tokens import detokenize, load_tokens, read_indices
    from vqkit.tokens.bare import EXTENSIONS
    from vqkit.tokens.like import detokenize_like

    set_threads(threads)
    bare = tokens.is_file() or (is_url(tokens) and tokens.suffix.lower() in EXTENSIONS)
    found = None if bare else load_tokens(tokens)  # before the model, which takes longer
    loaded = open_discrete(model, device)
    kind = kind_previewed(preview, loaded, model, rgb)
    found = found or read_indices(tokens, loaded)
    settings: dict[str, Any] = {"batch_size": batch_size, "limit": limit, "any_model": any_model, "to": to}
    with loaded.drawing_at(temperature), counting("decoding") as progress:
        if like is None:
            count = detokenize(loaded, found, out, progress=progress, **settings)
        else:
            count = detokenize_like(loaded, found, out, like, progress=progress, **settings)
        preview_decoded(preview, kind, loaded, found, to)
    typer.echo(f"{counted(count, 'item')} decoded into {out}")

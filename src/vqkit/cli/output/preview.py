"""The option ``--preview``: a picture beside the numbers or the signals that a command writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vqkit.checking import counted
from vqkit.cli.output.writing import Writes
from vqkit.errors import ConfigError
from vqkit.storage.outputs import SHEET

if TYPE_CHECKING:
    from vqkit.data import Source
    from vqkit.models import IndexModel, Model
    from vqkit.signals import Signal
    from vqkit.tokens import Tokens

_SHOWN = 12


def _check_name(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--preview {path}: the picture is a PNG; give a name that ends in .png")


PreviewOption = Annotated[
    Path | None,
    typer.Option(
        "--preview",
        dir_okay=False,
        metavar="PNG",
        help="Also draw the first items here: pictures, curves, slices of volumes, with the bars of their colors.",
    ),
    Writes(SHEET, check=_check_name),
]
RgbOption = Annotated[
    str | None,
    typer.Option(
        "--rgb",
        metavar="BANDS",
        help="Of fields: the channels, from 1, that pictures show in red, green and blue, such as 4,3,2; or one.",
    ),
]


def check_preview(path: Path | None, model: Model, name: str) -> None:
    """Raise ``DataError`` where a picture is asked for of signals that no picture shows."""
    from vqkit.cli.loading import check_shown

    if path is not None:
        check_shown(model, name, "leave --preview out")


def preview_reconstructions(path: Path | None, model: Model, source: Source, codebooks: int | None) -> None:
    """Draw the first items, what a model makes of them, and of fields the difference."""
    from vqkit.training.evaluators.models import reconstructed, shown_kind

    if path is None:
        return
    before, after = reconstructed(model, source, min(_SHOWN, len(source)), codebooks=codebooks)
    _save(path, shown_kind(model, source), [("original", before), ("reconstruction", after)])


def kind_previewed(path: Path | None, model: Model, name: str, rgb: str | None) -> Signal:
    """The kind that says how decoded items are shown, in chosen bands.

    Raises:
        ConfigError: bands of other signals, or without a picture.
        DataError: see ``check_preview``.
    """
    from vqkit.signals import Field
    from vqkit.signals.fields.options import read_bands

    check_preview(path, model, name)
    kind = model.kind
    if rgb is not None:
        if not isinstance(kind, Field):
            raise ConfigError(f"--rgb {rgb}: of fields, and this model is of {kind.noun[1]}; leave it out")
        if path is None:
            raise ConfigError(f"--rgb {rgb}: says what --preview shows; give that too, or leave it out")
        kind = kind.with_(rgb=read_bands(rgb))
    return kind


def preview_decoded(path: Path | None, kind: Signal, model: IndexModel, tokens: Tokens, to: Any) -> None:
    """Draw what the first items of a token set are decoded to, with their gaps."""
    import numpy as np

    from vqkit.priors.labels import picked
    from vqkit.tokens import index_source
    from vqkit.tokens.tokenization import indices_tensor

    if path is None:
        return
    labels = model.known_conditions_of(index_source(tokens)) if to is None and model.conditions else None
    items = []
    for number in range(min(_SHOWN, len(tokens))):
        indices = indices_tensor([tokens[number]]).to(model.device)
        if model.num_codebooks > 1 and indices.ndim == 1 + model.axes:
            indices = indices.unsqueeze(-1)
        given = picked(labels, np.array([number]), model.device) if labels is not None else ()
        item = model.decode(indices, tokens.size(number), condition=given[0] if given else to)
        values = item[0].detach().float().cpu().numpy()
        gaps = tokens.gaps(number) if kind.gaps else None
        items.append(values if gaps is None else np.where(gaps, np.nan, values))
    _save(path, kind, [("decoded", items)])


def _save(path: Path, kind: Signal, rows: list[tuple[str, list[Any]]]) -> None:
    from vqkit.pictures import save_sheet

    sheet = kind.sheet(rows)
    if sheet is not None:
        save_sheet(sheet, path)
        typer.echo(f"{counted(len(rows[0][1]), *kind.noun)}: {path}")

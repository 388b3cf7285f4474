"""Loading of the model and the data that a command names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vqkit.cli.failures import warn

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vqkit.data import Source
    from vqkit.models import VQVAE, IndexModel, Model


def open_model(name: str, device: str) -> Model:
    """The model, of any kind, on the device."""
    from vqkit.errors import ModelFolderError
    from vqkit.models import Model
    from vqkit.training.distributed import choose_device
    from vqkit.training.trainable import load_trained

    say_shadow(name)
    found = load_trained(name)
    if not isinstance(found, Model):
        raise ModelFolderError(
            f"{name} holds a prior over indices, not a model of signals; judge it with: vqkit eval MODEL --prior {name}"
        )
    return found.to(choose_device(device))


def say_shadow(name: str) -> None:
    """A note where a path here has the name of a model that comes with vqkit, in place of Python's warning."""
    from vqkit.pretrained.reference import shadow_note

    note = shadow_note(name)
    if note is not None:
        typer.echo(f"  note: {note}", err=True)


def open_discrete(name: str, device: str) -> IndexModel:
    """A model with a codebook, on the device."""
    from vqkit.errors import ModelFolderError
    from vqkit.models import IndexModel

    model = open_model(name, device)
    if not isinstance(model, IndexModel):
        raise ModelFolderError(f"{name}: this command needs a model with a codebook, not {type(model).__name__}")
    return model


def open_vqvae(name: str, device: str) -> VQVAE:
    """A VQ-VAE, on the device: what is for images or sounds needs its networks."""
    from vqkit.errors import ModelFolderError
    from vqkit.models import VQVAE

    model = open_discrete(name, device)
    if not isinstance(model, VQVAE):
        raise ModelFolderError(f"{name}: this command needs a VQ-VAE, not {type(model).__name__}")
    return model


def codebooks_of(model: Model, codebooks: int | None, kbps: float | None) -> int | None:
    """The number of codebooks that was asked for, by itself or by a rate; None: all, or nothing was asked."""
    from vqkit.models.rates.rate import used_codebooks, with_codebooks

    return None if codebooks is None and kbps is None else used_codebooks(with_codebooks(model), codebooks, kbps)


def check_pictures(model: Model, name: str, repair: str) -> None:
    """Raise ``DataError`` for a model of other signals than grey or RGB images.

    Args:
        model: opened.
        name: of it.
        repair: what to use instead.
    """
    from vqkit.errors import DataError

    if not (model.kind.converts and model.shows_pictures):
        words = model.kind.describe(2, model.channels)
        raise DataError(f"{name} is of {words}; this command is for pictures, which have 1 or 3 channels: {repair}")


def check_shown(model: Model, name: str, repair: str) -> None:
    """Raise ``DataError`` for a model of a kind of signal that no picture shows; ``repair``: what to use instead."""
    from vqkit.errors import DataError

    if not model.shows_pictures:
        words = model.kind.describe(2, model.channels)
        raise DataError(f"{name} is of {words}, of which there are no pictures: {repair}")


def open_data(model: Model, spec: str) -> Source:
    """The data, in the model's channels, to be read once; says what was skipped."""
    from vqkit.errors import shown
    from vqkit.models.matching import in_channels, open_source
    from vqkit.resources import read_once

    with read_once():
        source = open_source(model, spec)
    report_source(source)
    found = in_channels(model, source, spec)
    for note in found.notes:
        if note not in source.notes:
            typer.echo(f"  note: {shown(note)}", err=True)
    return _readable(model, found)


def _readable(model: Model, source: Source) -> Source:
    """The data as a model of one size can read it; says so where images are cut to their middle."""
    from vqkit.models.matching import readable

    found = readable(model, source)
    if found is not source:
        typer.echo(f"  note: {found.notes[-1]}, since the model reads images of this size only", err=True)
    return found


def report_source(source: Source) -> None:
    """One line that says what the data is, and what of it was skipped and why (on standard error)."""
    typer.echo(source.describe(), err=True)
    report_losses(source)


def report_losses(source: Source) -> None:
    """Print skipped items with the reason, and converted ones, to standard error."""
    from vqkit.errors import shown

    for note in source.notes:
        typer.echo(f"  note: {shown(note)}", err=True)
    for line in source.skip_report():
        warn(f"  skipped {line}")


def run_settings(run: str) -> dict[str, Any]:
    """Read the settings of a run, or of the run whose best model it is; empty for a model without a run."""
    from vqkit.training.record.run import BEST, CONFIG, read_config

    path = Path(run)
    folder = path.parent if path.name == BEST and (path.parent / CONFIG).is_file() else path
    return read_config(folder) if (folder / CONFIG).is_file() else {}


def run_source(settings: dict[str, Any]) -> Source:
    """The data of a run, the very same: held-out items of other data may have been trained on."""
    from vqkit.data import load_source
    from vqkit.data.grids.choosing import series_chosen
    from vqkit.data.naming import GIVEN_PREFIX
    from vqkit.errors import DataError
    from vqkit.training.record.run import is_same_data

    if settings["data"].startswith(GIVEN_PREFIX):
        raise DataError(
            f"the run was given its data in Python ({settings['data'].removeprefix(GIVEN_PREFIX)}), without a name to "
            "be read by: name the DATA to use"
        )
    try:
        with series_chosen(None):  # the run says it itself
            source = load_source(settings["data"])
    except DataError as error:
        raise DataError(f"the run's data cannot be read again ({error}); name the DATA to use") from error
    if not is_same_data(source, settings["fingerprint"]):
        raise DataError(
            f"{settings['data']} is {source.describe()}: not what the run was trained on (other items, sizes, labels, "
            "or crops that a comparison made), so which items were held out is not known; name the DATA to use"
        )
    return source


def held_out(run: str, model: Model) -> Source:
    """The validation items of a run, split as while training."""
    validation = _split_of(run)[1]
    typer.echo(f"validation items of the run: {validation.describe()}", err=True)
    report_losses(validation)
    return _readable(model, validation)


def neighbors_in(run: str, model: Model, judged: Source | None, database: str | None) -> Source | None:
    """The vectors to look for neighbours in: those that are named, or the training items of a run that is judged.

    Args:
        run: of the model.
        model: any.
        judged: the data that are named to be judged; None: the validation items of the run.
        database: named.

    Raises:
        ConfigError: a database is named for a model of other signals.
    """
    from vqkit.errors import ConfigError

    vectors = "vectors" in model.kind.measures
    if database is not None and not vectors:
        raise ConfigError(f"--database {database}: neighbours are of vectors; this model is of {model.kind.noun[1]}")
    if database is not None:
        return open_data(model, database)
    return _split_of(run)[0] if vectors and judged is None else None


def _split_of(run: str) -> tuple[Source, Source]:
    """The training and the validation items of a run."""
    from vqkit.data.grids.choosing import series_chosen
    from vqkit.errors import ConfigError
    from vqkit.training.config import TrainConfig
    from vqkit.training.inputs.holdout import validation_split

    settings = run_settings(run)
    if not settings:
        raise ConfigError(f"{run} is a model without a run, so its validation data is not known: name the DATA to use")
    source = run_source(settings)
    with series_chosen(None):
        return validation_split(source, TrainConfig.from_dict(settings["training"]))


def read_array(path: Path) -> npt.NDArray[np.generic]:
    """The array of a ``.npy`` file.

    Raises:
        DataError: no such file, or no such array in it.
    """
    from vqkit.data.arrays.npy import read_npy

    return read_npy(path)

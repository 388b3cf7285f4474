"""What commands do first: open the model and the data that were named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from vqkit.data import Source
    from vqkit.models import VQVAE, Model


def open_model(name: str, device: str) -> Model:
    """The model, of any kind, on the device."""
    from vqkit.models import load_model
    from vqkit.training.parallel import choose_device

    return load_model(name).to(choose_device(device))


def open_discrete(name: str, device: str) -> VQVAE:
    """A model with a codebook, on the device."""
    from vqkit.errors import ModelFolderError
    from vqkit.models import VQVAE

    model = open_model(name, device)
    if not isinstance(model, VQVAE):
        raise ModelFolderError(f"{name}: this command needs a model with a codebook, not {type(model).__name__}")
    return model


def open_data(model: Model, spec: str) -> Source:
    """The data, in the model's channels; says what was skipped."""
    from vqkit.data import load_source
    from vqkit.errors import DataError

    source = load_source(spec)
    report_source(source)
    if source.axes != model.axes:
        raise DataError(f"{spec} is {source.describe()}; the model reads signals of {model.axes} axes")
    if source.channels != model.channels:
        if source.axes != 2:
            raise DataError(f"{spec} is {source.describe()}; the model reads {model.channels} channels")
        source = source.with_channels(model.channels)
    return source


def report_source(source: Source) -> None:
    """One line that says what the data is, and what of it was skipped and why (on standard error)."""
    typer.echo(source.describe(), err=True)
    for note in source.notes:
        typer.echo(f"  note: {note}", err=True)
    for line in source.skip_report():
        typer.secho(f"  skipped {line}", err=True, fg=typer.colors.YELLOW)


def run_settings(run: str) -> dict[str, Any]:
    """What the settings of a run say; nothing for a model without a run."""
    from vqkit.training.run import CONFIG, read_config

    return read_config(Path(run)) if (Path(run) / CONFIG).is_file() else {}


def held_out(run: str) -> Source:
    """The validation items of a run, split as while training."""
    from vqkit.data import load_source
    from vqkit.errors import ConfigError, DataError
    from vqkit.training.config import TrainConfig
    from vqkit.training.holdout import validation_split
    from vqkit.training.run import CONFIG, read_config

    if not (Path(run) / CONFIG).is_file():
        raise ConfigError(f"{run} is a model without a run, so its validation data is not known: name the DATA to use")
    settings = read_config(Path(run))
    try:
        source = load_source(settings["data"])
        validation = validation_split(source, TrainConfig.from_dict(settings["training"]))[1]
    except DataError as error:
        raise DataError(f"the run's data cannot be read again ({error}); name the DATA to use") from error
    typer.echo(f"validation items of the run: {validation.describe()}", err=True)
    return validation

"""Settings of a prior from the command line: given options first, then those of a training to resume, then defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from vqkit.data import Source
    from vqkit.training import TrainConfig

_DROPOUT = 0.1
_OF_TOKENS = ("codebook_size", "grid", "num_codebooks", "condition_dim")
_OF_MODEL = ("codebook_size", "downsampling", "channels", "num_codebooks")


@dataclass(frozen=True)
class PriorPlan:
    """The arguments of ``train_prior``.

    Attributes:
        kind: of the prior.
        config: of its training.
        options: of the prior.
        crop: side of squares, or None.
        crops: how many.
        rate_weights: of the tokens.
    """

    kind: str
    config: TrainConfig
    options: dict[str, Any]
    crop: int | None
    crops: int
    rate_weights: list[float]


def prior_plan(
    folder: Path,
    source: Source,
    trained: Mapping[str, Any],
    *,
    kind: str | None,
    own: Mapping[str, Any],
    training: Mapping[str, Any],
    assigned: list[str],
    conditional: bool | None,
    condition_dropout: float | None,
    vectors: bool,
    crop: int | None,
    crops: int | None,
    rate_weights: list[float] | None,
    usual: Mapping[str, Any],
) -> PriorPlan:
    """Return the settings of the prior to train in ``folder``; None where nothing was given.

    Args:
        folder: of the prior; perhaps one was begun there.
        source: the data.
        trained: training settings of the model's run, where its own data is learned.
        kind: of the prior.
        own: options of the prior.
        training: options of its training.
        assigned: of ``--set``.
        conditional: whether classes are learned.
        condition_dropout: see the command.
        vectors: whether vectors were given to condition on.
        crop: see the command.
        crops: see the command.
        rate_weights: see the command.
        usual: options of a prior that is new, unless others are given.

    Raises:
        ConfigError: options that do not work, or not together.
    """
    from vqkit.cli.training.settings import gather_prior
    from vqkit.errors import ConfigError
    from vqkit.priors import PRIORS
    from vqkit.training import TrainConfig
    from vqkit.training.recipes.prior import CROPS
    from vqkit.training.record.claims import recorded

    begun, begun_training = _begun(folder / "run", training)
    tokens = recorded(folder).get("settings", {})
    begun_kind = begun.pop("model_type", None)
    kind = kind or begun_kind or "pixelcnn"
    if kind != begun_kind:
        begun = {}
    defaults = {
        **PRIORS.get_part(kind).training_defaults,
        "validation": tokens.get("validation", trained.get("validation", 0.1)),
        "seed": tokens.get("seed", trained.get("seed", 0)),
    }
    options, settings = gather_prior(kind, own, training, assigned)
    options = options if begun else {**usual, **options}
    if "validation" in tokens:  # as it was asked for; the run's own names the last of the tokens, perhaps
        begun_training.pop("validation", None)
    settings = {**defaults, **begun_training, **settings}
    asked = [conditional is not None, condition_dropout is not None, vectors]
    classes = _condition(kind, source, begun, conditional, condition_dropout, vectors=vectors)
    kept = {name: value for name, value in begun.items() if name not in (*_OF_TOKENS, "classes", "condition_dropout")}
    if any(asked) or not begun:
        options = {**kept, **classes, **options}
    else:
        again = {name: begun[name] for name in ("classes", "condition_dropout") if begun.get(name) is not None}
        options = {**kept, **again, **options}
    ragged = source.size is None
    crop = tokens.get("crop") if crop is None else crop
    if crops is not None and crop is None and not ragged:
        raise ConfigError("--crops: these images are of one size and learned whole; give --crop too, or leave it out")
    return PriorPlan(
        kind,
        TrainConfig.from_dict(settings),
        options,
        crop,
        crops if crops is not None else int(tokens.get("crops", CROPS)),
        rate_weights if rate_weights is not None else list(tokens.get("rate_weights", [])),
    )


def _condition(
    kind: str,
    source: Source,
    begun: Mapping[str, Any],
    conditional: bool | None,
    dropout: float | None,
    *,
    vectors: bool,
) -> dict[str, Any]:
    """The options of a prior that say what it is conditioned on."""
    from vqkit.errors import ConfigError
    from vqkit.priors import PRIORS
    from vqkit.training.recipes.prior import classes_of

    prior = PRIORS.get_part(kind)
    found: dict[str, Any] = {"condition_dropout": _DROPOUT if dropout is None else dropout}
    if conditional and not prior.takes("classes"):
        raise ConfigError(f"--conditional: a {kind} prior knows no classes; leave it out, or choose another --kind")
    if vectors:
        if conditional or not prior.takes("condition_dim"):
            knowing = ", ".join(name for name, each in PRIORS.available().items() if each.takes("condition_dim"))
            raise ConfigError(f"--vectors: for priors of kind {knowing}, and not beside --conditional")
        return found
    default = prior.conditional_by_default and prior.takes("classes")
    learns = default if conditional is None else conditional
    classes = classes_of(source) if learns else None
    if classes is None:
        if conditional:
            raise ConfigError(f"--conditional: {source.describe()} have no labels to condition on")
        if dropout is not None and begun.get("condition_dim") is None:
            raise ConfigError("--condition-dropout: this prior has no condition to leave out; leave it out")
        return {}
    typer.echo(f"conditioned on {classes} classes (--unconditional learns without them)", err=True)
    return {"classes": classes, **found}


def pixel_plan(
    folder: Path,
    trained: Mapping[str, Any],
    *,
    own: Mapping[str, Any],
    training: Mapping[str, Any],
    assigned: list[str],
) -> tuple[TrainConfig, dict[str, Any]]:
    """Return the settings of the pixel prior to train in ``folder``: training and options (see ``prior_plan``).

    Raises:
        ConfigError: options that do not work.
    """
    from vqkit.cli.training.settings import gather_pixels
    from vqkit.pixels import PixelPrior
    from vqkit.training import TrainConfig

    begun, begun_training = _begun(folder, training)
    begun.pop("model_type", None)
    options, settings = gather_pixels(own, training, assigned)
    defaults = {
        **PixelPrior.training_defaults,
        "validation": trained.get("validation", 0.1),
        "seed": trained.get("seed", 0),
    }
    kept = {name: value for name, value in begun.items() if name not in _OF_MODEL}
    return TrainConfig.from_dict({**defaults, **begun_training, **settings}), {**kept, **options}


def _begun(run: Path, training: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the settings that the run in a folder started with: model and training (its length, unless given anew)."""
    from vqkit.training.record.run import CONFIG, read_config

    if not (run / CONFIG).is_file():
        return {}, {}
    found = read_config(run)
    settings = dict(found["training"])
    if training.get("steps") is not None or training.get("minutes") is not None:
        settings = {name: value for name, value in settings.items() if name not in ("steps", "minutes")}
    return dict(found["model"]), settings

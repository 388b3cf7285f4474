"""``--set NAME=VALUE``: any setting that has no option of its own."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from vqkit.errors import ConfigError

if TYPE_CHECKING:
    from vqkit.models import Model


@dataclass
class Settings:
    """Given settings: keyword arguments of the model, and of the training."""

    model: dict[str, Any]
    training: dict[str, Any]


def gather(
    kind: type[Model], model: Mapping[str, Any], training: Mapping[str, Any], assignments: list[str]
) -> Settings:
    """The options that were given (not None), and the assignments sorted to where they belong.

    Raises:
        ConfigError: an option that this kind of model does not have, an assignment without "=", or of an unknown
            name (the valid ones are listed).
    """
    from vqkit.models import VQVAE
    from vqkit.models.levels.options import LEVELS
    from vqkit.quantizers import QUANTIZERS, quantizer_options
    from vqkit.training import TrainConfig
    from vqkit.training.closed_form import refuse_steps

    found = Settings(
        {name: value for name, value in model.items() if value is not None},
        {name: value for name, value in training.items() if value is not None},
    )
    maker: Any = kind
    of_model = {*inspect.signature(kind).parameters, *inspect.signature(maker.for_source).parameters} - {
        "source",
        "seed",
        "quantizer_options",
        "channels",
        "axes",
    }
    foreign = sorted(set(found.model) - of_model)
    if foreign:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in foreign)
        raise ConfigError(f"{options}: a {kind.__name__} has no such setting; it has: {', '.join(sorted(of_model))}")
    of_training = {field.name for field in fields(TrainConfig)}
    kinds = list(QUANTIZERS.available()) if kind is VQVAE else []
    kinds += [name for name in LEVELS if kind is VQVAE and found.model.get("quantizer") == name]
    of_quantizer = {option for each in kinds for option in quantizer_options(each)} - {"seed", "axes"} - of_model
    for assignment in assignments:
        name, equals, value = _parsed(assignment)
        if equals and name in of_training:
            found.training[name] = value
        elif equals and name in of_model:
            found.model[name] = value
        elif equals and name in of_quantizer:
            found.model.setdefault("quantizer_options", {})[name] = value
        else:
            names = ", ".join(sorted(of_training | of_model | of_quantizer))
            raise ConfigError(f"--set {assignment}: give NAME=VALUE with one of these names: {names}")
    refuse_steps(kind, found.training)
    refuse_processes(found.training)
    return found


def refuse_processes(training: Mapping[str, Any]) -> None:
    """Raise ``ConfigError`` where it is said how several processes share the work, and there is one."""
    if "parallel" in training and int(os.environ.get("WORLD_SIZE", "1")) < 2:
        raise ConfigError("--parallel: only under torchrun with two processes or more; leave it out")


def gather_prior(
    kind: str, own: Mapping[str, Any], training: Mapping[str, Any], assigned: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keyword arguments of a prior of this kind, and of its training: those given, and the assignments sorted.

    Raises:
        ConfigError: an unknown kind; an option that this kind does not have; an assignment without "=" or of an
            unknown name (the valid ones are listed).
    """
    from vqkit.priors import PRIORS
    from vqkit.training.closed_form import refuse_steps

    prior = PRIORS.get_part(kind)
    of_prior = set(inspect.signature(prior.__init__).parameters) - {
        "self", "codebook_size", "grid", "num_codebooks", "condition_dim", "classes", "class_names",
    }  # fmt: skip
    found = _sorted(kind, of_prior, own, training, assigned)
    refuse_steps(prior, found[1])
    if prior.closed_form and "batch_size" in found[1]:
        raise ConfigError(f"--batch-size: a {kind} prior counts all items in one pass; leave it out")
    return found


def gather_pixels(
    own: Mapping[str, Any], training: Mapping[str, Any], assigned: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of a pixel prior.

    Raises:
        ConfigError: an assignment without "=" or of an unknown name (the valid ones are listed).
    """
    from vqkit.pixels import PixelPrior

    of_prior = set(inspect.signature(PixelPrior.__init__).parameters) - {
        "self", "codebook_size", "downsampling", "channels", "num_codebooks",
    }  # fmt: skip
    return _sorted(PixelPrior.model_type, of_prior, own, training, assigned)


def _sorted(
    kind: str, of_prior: set[str], own: Mapping[str, Any], training: Mapping[str, Any], assigned: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    from vqkit.training import TrainConfig

    of_training = {field.name for field in fields(TrainConfig)}
    options = {name: value for name, value in own.items() if value is not None}
    settings = {name: value for name, value in training.items() if value is not None}
    foreign = sorted(set(options) - of_prior)
    if foreign:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in foreign)
        raise ConfigError(f"{names}: a {kind} prior has no such setting; it has: {', '.join(sorted(of_prior))}")
    for assignment in assigned:
        name, equals, value = _parsed(assignment)
        if equals and name in of_prior:
            options[name] = value
        elif equals and name in of_training:
            settings[name] = value
        else:
            names = ", ".join(sorted(of_prior | of_training))
            raise ConfigError(f"--set {assignment}: give NAME=VALUE with one of these names: {names}")
    refuse_processes(settings)
    return options, settings


def assignments(kind: Any, given: list[str]) -> dict[str, Any]:
    """Assignments ``NAME=VALUE`` to the fields of a dataclass.

    Raises:
        ConfigError: one without "=", or of an unknown name (the valid ones are listed).
    """
    names = [field.name for field in fields(kind)]
    found: dict[str, Any] = {}
    for assignment in given:
        name, equals, value = _parsed(assignment)
        if not equals or name not in names:
            raise ConfigError(
                f"--set {assignment}: give NAME=VALUE with one of these names: {', '.join(sorted(names))}"
            )
        found[name] = value
    return found


def seeds_given(seeds: str | None, seed: int | None) -> list[int]:
    """The seeds of ``--seeds``; none: that of ``--seed``, or the default.

    Raises:
        ConfigError: both options, or something else than whole numbers.
    """
    if seeds is None:
        return []
    if seed is not None:
        raise ConfigError("--seed and --seeds: give one of the two")
    return numbers("--seeds", seeds, int)


def numbers(option: str, text: str, kind: type[int] | type[float]) -> list[Any]:
    """Numbers by commas; of whole ones also ranges: 1-8.

    Raises:
        ConfigError: something else, or nothing.
    """
    found: list[Any] = []
    try:
        for part in (each.strip() for each in text.split(",") if each.strip()):
            first, dash, last = part.partition("-")
            if kind is int and dash:
                found += range(int(first), int(last) + 1)
            else:
                found.append(kind(part))
    except ValueError:
        example = "1,2,4 or 1-8" if kind is int else "0.1,0.2,0.4"
        raise ConfigError(f"{option} {text}: give numbers by commas, such as {example}") from None
    if not found:
        raise ConfigError(f"{option} {text!r}: give one number or more")
    return found


def _parsed(assignment: str) -> tuple[str, str, Any]:
    """Name, "=" (or nothing), and the value as JSON where it is some, else as the text itself."""
    name, equals, text = assignment.partition("=")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return name.strip().replace("-", "_"), equals, value

"""What a name, or a run, makes use of: parts, measures and options, each with what to cite for it."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.evaluation import MEASURES
from vqkit.likelihoods import LIKELIHOODS
from vqkit.models import MODELS
from vqkit.networks import DECODERS, ENCODERS
from vqkit.objectives import OBJECTIVES
from vqkit.pretrained.folder import CONFIG as MODEL_CONFIG
from vqkit.pretrained.foreign import FOREIGN
from vqkit.pretrained.trainable import TRAINABLES
from vqkit.priors import PRIORS
from vqkit.quantizers import QUANTIZERS
from vqkit.registry import Registry
from vqkit.training import OPTIMIZERS, SCHEDULES, TrainConfig
from vqkit.training.record.run import is_run, read_config
from vqkit.training.trainable import load_trained

CITED: tuple[Registry[Any], ...] = (
    *(MODELS, QUANTIZERS, ENCODERS, DECODERS, LIKELIHOODS, OBJECTIVES, PRIORS, OPTIMIZERS, SCHEDULES, FOREIGN),
    TRAINABLES,
)
"""Registries whose parts come from papers."""
_TYPE = "model_type"


@dataclass(frozen=True)
class Cited:
    """Something that a paper cites.

    Attributes:
        what: a kind and a name: "quantizer fsq".
        citations: keys or entries; () of what no paper describes; None where it is not said.
    """

    what: str
    citations: tuple[str, ...] | None


@dataclass(frozen=True)
class _Option:
    """An option whose idea has a paper of its own."""

    chosen: Callable[[Any], bool]
    citations: tuple[str, ...]


OPTIONS: Mapping[str, _Option] = {
    "rotation": _Option(lambda value: value == "rotation", ("fifty2025restructuring",)),
    "cosine": _Option(lambda value: value is True, ("yu2022vector",)),
    "beta": _Option(lambda value: value != 1, ("higgins2017beta",)),
    "beta_warmup": _Option(bool, ("bowman2016generating",)),
    "free_bits": _Option(bool, ("kingma2016improved",)),
    "noise": _Option(bool, ("vincent2008extracting",)),
}
_CALLED = {"rotation": "gradient"}
"""Options that go by another name in a config."""


def named(name: str) -> list[Cited]:
    """What a name stands for: parts of every kind that have it (``KIND:NAME`` of one kind), measures, options.

    Raises:
        ConfigError: nothing is called so.
    """
    kind, colon, rest = name.partition(":")
    wanted = rest if colon else name
    found = [
        Cited(f"{registry.kind} {wanted}", registry.citations_of(wanted))
        for registry in CITED
        if wanted in (registry if registry is not TRAINABLES else _own_trainables())
    ]
    if wanted in MEASURES:
        found.append(Cited(f"measure {wanted}", MEASURES[wanted].citations))
    if wanted in OPTIONS:
        found.append(Cited(f"option {wanted}", OPTIONS[wanted].citations))
    if colon:
        found = [each for each in found if each.what == f"{kind} {rest}"]
    if not found:
        raise ConfigError(_unknown(name))
    return found


def used_by(path: Path) -> list[Cited]:
    """What the model (or prior) of a run or model folder is made of, and what trained it.

    Raises:
        ModelFolderError: neither is there.
    """
    if is_run(path):
        settings = read_config(path)
        return [*_of_model(settings["model"]), *_of_training(settings["model"], settings["training"])]
    model = load_trained(path)
    return _of_model({_TYPE: model.model_type, **model.config})


def holds_model(path: Path) -> bool:
    """Return True if a folder is a run's or a model's."""
    return is_run(path) or (path / MODEL_CONFIG).is_file()


def _own_trainables() -> list[str]:
    """Names of trainables that are neither models nor priors."""
    return [name for name in TRAINABLES if name not in MODELS and name not in PRIORS]


def _unknown(name: str) -> str:
    known = {
        **{f"{registry.kind}s": list(registry) for registry in CITED if registry is not TRAINABLES},
        "measures": [each for each, measure in MEASURES.items() if measure.citations],
        "options": list(OPTIONS),
    }
    near = get_close_matches(name, [each for names in known.values() for each in names], 1)
    suggestion = f" (did you mean {near[0]!r}?)" if near else ""
    told = "; ".join(f"{kind} {', '.join(names)}" for kind, names in known.items())
    return f"nothing is called {shown(name)}{suggestion}, and no run is there; known: {told}"


def _of_model(config: Mapping[str, Any]) -> list[Cited]:
    kind = str(config.get(_TYPE))
    for registry in (MODELS, PRIORS, TRAINABLES):
        if kind in registry:
            found = [Cited(f"{registry.kind} {kind}", registry.citations_of(kind))]
            return found + list(_inside(registry.get_part(kind), config))
    return [Cited(f"model {kind}", None)]


def _inside(part: type, config: Mapping[str, Any]) -> Iterator[Cited]:
    """The parts of a model, from its config and the defaults of its constructor, and its options."""
    values = {**_defaults(part), **config}
    inner: list[tuple[str, Registry[Any]]] = [
        ("quantizer", QUANTIZERS),
        ("encoder", ENCODERS),
        ("decoder", DECODERS),
        ("likelihood", LIKELIHOODS),
    ]
    for option, registry in inner:
        value = values.get(option)
        name = value.get("type") if isinstance(value, Mapping) else value
        if isinstance(name, str):
            yield Cited(f"{registry.kind} {name}", registry.citations_of(name) if name in registry else None)
    several = values.get("num_codebooks")
    if "quantizer" in values and isinstance(several, int) and several > 1:
        stacking = str(values.get("stacking"))
        if stacking in QUANTIZERS:
            yield Cited(f"{QUANTIZERS.kind} {stacking}", QUANTIZERS.citations_of(stacking))
    given = values.get("quantizer_options")
    options = {name: values[name] for name in ("beta", "beta_warmup", "free_bits", "noise") if name in values}
    options |= given if isinstance(given, Mapping) else {}
    for name, option_ in OPTIONS.items():
        own = "quantizer" in values and name in ("beta", "noise")  # of quantizers something else
        called = _CALLED.get(name, name)
        if not own and called in options and option_.chosen(options[called]):
            yield Cited(f"option {name}", option_.citations)


@functools.cache
def _defaults(part: type) -> Mapping[str, Any]:
    parameters = inspect.signature(part).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}


def _of_training(config: Mapping[str, Any], training: Mapping[str, Any]) -> Iterator[Cited]:
    kind = str(config.get(_TYPE))
    if kind in MODELS and MODELS.get_part(kind).closed_form:
        return
    standard = TrainConfig(steps=1)
    registries: dict[str, Registry[Any]] = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}
    if kind in MODELS:
        registries = {"objective": OBJECTIVES, **registries}
    for name, registry in registries.items():
        text = re.sub(r"\([^()]*\)", "", str(training.get(name, getattr(standard, name))))
        for word in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", text)):
            if word in registry:
                yield Cited(f"{registry.kind} {word}", registry.citations_of(word))

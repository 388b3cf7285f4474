"""Models made again of class and settings: whether a run's folder can do it, and with the weights of a seed."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from vqkit.chance import forked, seeded
from vqkit.errors import ConfigError
from vqkit.ops.buffers import real_device
from vqkit.pretrained.folder import specs_of
from vqkit.training.trainable import Trainable, trainable_class

_PASSING = ("training", "recalibrating", "restarted", "frozen", "restarts", "int8", "config")
"""Attributes of modules that say what is done with them and how it is computed, or that are compared on their own."""
_WRAPPED = ("_checkpoint_wrapped_module",)
"""Names of what stands around a part, and in the names of neither its tensors nor its settings."""
_MOST = 4


def check_rebuilds(model: Any) -> None:
    """Raise unless the class that a run's folder names makes the very same model of the config, weights aside.

    What ``load_model`` and ``resume`` have is the folder: a part of another class, other tensors, a setting that was
    changed after the model was made and a method that was put in its place would be lost, after the training or in
    silence. A cast to another dtype, another device, hooks, activation checkpointing and ``module.compile()`` are none
    of that.

    Raises:
        ConfigError: names the part, and what to do.
    """
    for around in ("_orig_mod", "module"):
        if isinstance(model, nn.Module) and hasattr(getattr(model, around, None), "model_type"):
            _refuse(
                f"the model is within a {type(model).__name__}",
                "give the model itself, with compile=True to compile it; torchrun trains it in many processes",
            )
    name, config = getattr(model, "model_type", None), getattr(model, "config", None)
    if not isinstance(model, nn.Module) or not isinstance(name, str) or not isinstance(config, dict):
        raise ConfigError(f"a {type(model).__name__} cannot be trained here; give a model or a prior of vqkit's")
    kind = trainable_class(name)
    own = _class_of(model)
    if own is not kind:
        _refuse(
            f"the model is a {own.__module__}.{own.__qualname__}, and {name!r} names {kind.__name__}",
            f"train a {kind.__name__}, or a class of your own in your own loop: loss = model(x).loss",
        )
    rebuilt = _drawn_again(model, kind, config)
    problems = [*_other_parts(model, rebuilt), *_other_tensors(model, rebuilt)]
    if problems:
        more = f"; and {len(problems) - _MOST} more" if len(problems) > _MOST else ""
        _refuse(
            f"{'; '.join(problems[:_MOST])}{more}",
            f"say it in the arguments of {kind.__name__}, leave it as it was made, or train in your own loop: loss = "
            "model(x).loss",
        )


def seed_weights(model: Any, seed: int) -> bool:
    """Give a model the initial weights of a seed, if it has those that it was made with, and no seed made them.

    It is made again where torch's generator stood when it was made: other weights are somebody's own, and stay.

    Args:
        model: that ``check_rebuilds`` takes.
        seed: as ``for_source(data, seed=)`` takes it.

    Returns:
        Whether it was done.
    """
    if getattr(model, "_drawn_from", None) is None or model.has_trained or model.closed_form:
        return False
    kind, mine = trainable_class(model.model_type), model.state_dict()
    as_made = _drawn_again(model, kind, model.config).state_dict()
    if any(not torch.equal(as_made[name], tensor.to(as_made[name])) for name, tensor in mine.items()):
        return False
    with real_device(), seeded(seed):
        model.load_state_dict(kind.from_config(model.config).state_dict())
    object.__setattr__(model, "_drawn_from", None)
    return True


def _drawn_again(model: Any, kind: type[Trainable], config: dict[str, Any]) -> Trainable:
    """The model made of its config, from where torch's generator stood when it was made (or stands now)."""
    state = getattr(model, "_drawn_from", None)
    with real_device(), forked():
        if state is not None:
            torch.default_generator.set_state(state)
        return kind.from_config(config)


def _refuse(what: str, repair: str) -> None:
    raise ConfigError(
        f"{what}, so that neither the saved model nor a run that goes on would be this one (both are made of the class "
        f"and its config); {repair}"
    )


def _class_of(module: nn.Module) -> type:
    """The class of a module; for one that FSDP has made into a class of its own, the one before."""
    first, *bases = type(module).__mro__
    return bases[1] if bases[0].__name__ == "FSDPModule" else first


def _parts(model: nn.Module) -> dict[str, nn.Module]:
    """All parts of a model by name, without what activation checkpointing puts around them."""
    found: dict[str, nn.Module] = {}
    for name, part in model.named_modules(remove_duplicate=False):
        found[_plain(name)] = part  # the part itself comes after what is around it
    return found


def _other_parts(model: nn.Module, rebuilt: nn.Module) -> Iterator[str]:
    mine, wanted = _parts(model), _parts(rebuilt)
    told: list[str] = []
    for name in dict.fromkeys([*wanted, *mine]):
        if any(not each or name.startswith(f"{each}.") for each in told):
            continue  # the part that holds it has been named
        if name not in wanted and "." not in name and not mine[name].state_dict():
            told.append(name)  # beside the model's own parts, and nothing in it to save
            continue
        if name not in mine or name not in wanted or _class_of(mine[name]) is not type(wanted[name]):
            told.append(name)
            there = _noun(_class_of(mine[name])) if name in mine else "not there"
            made = _noun(type(wanted[name])) if name in wanted else "none"
            yield f"{name} is {there}, its config makes {made}"
            continue
        yield from (f"{name}{'.' * bool(name)}{each}" for each in _other_settings(mine[name], wanted[name]))
    shared, alone = _shared(model), _shared(rebuilt)
    yield from (f"{' and '.join(names)} are one tensor, its config makes several" for names in shared - alone)
    yield from (f"{' and '.join(names)} are several tensors, its config makes one" for names in alone - shared)


def _noun(kind: type) -> str:
    """A class in words, with where it is from where that is not here."""
    article = "an" if kind.__name__[0].lower() in "aeiou" else "a"
    return f"{article} {kind.__name__}" + ("" if kind.__module__.startswith("vqkit") else f" of {kind.__module__}")


def _other_settings(part: nn.Module, wanted: nn.Module) -> Iterator[str]:
    made = vars(wanted)
    for name, value in sorted(vars(part).items()):
        if name[0] == "_" or name in _PASSING:
            continue
        if name not in made:
            if callable(value) and _is_replaced(part, name, value):
                yield f"{name} is another function than that of {type(wanted).__name__}"
        elif _is_plain(value) and _is_plain(made[name]) and _as_lists(value) != _as_lists(made[name]):
            yield f"{name} is {value!r}, its config makes it {made[name]!r}"


def _is_plain(value: Any) -> bool:
    """Return True for a value that can be compared: None, a number, a string, or lists of these."""
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, bool | int | float | str)


def _as_lists(value: Any) -> Any:
    """A value with lists for tuples, which JSON does not know."""
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _is_replaced(part: nn.Module, name: str, value: Any) -> bool:
    """Return True if ``value`` replaces a method of the class and does not wrap or compile it."""
    own = getattr(type(part), name, None)
    if own is None:
        return False
    while True:
        if getattr(value, "__func__", None) is own:
            return False
        if isinstance(value, functools.partial):  # of torch.utils.checkpoint.checkpoint
            inner = [each for each in value.args if getattr(each, "__func__", None) is own]
            return not inner or not str(getattr(value.func, "__module__", "")).startswith("torch.")
        inside = getattr(value, "_torchdynamo_orig_callable", None) or getattr(value, "__wrapped__", None)
        if inside is None:
            return True
        value = inside


def _shared(model: nn.Module) -> set[tuple[str, ...]]:
    """Names of parameters that are one tensor."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(_plain(name))
    return {tuple(sorted(each)) for each in names.values() if len(each) > 1}


def _plain(name: str) -> str:
    return ".".join(each for each in name.split(".") if each not in _WRAPPED)


def _other_tensors(model: nn.Module, rebuilt: nn.Module) -> Iterator[str]:
    mine, wanted = specs_of(model.state_dict()), specs_of(rebuilt.state_dict())
    for name in dict.fromkeys([*wanted, *mine]):
        if name not in mine or name not in wanted:
            yield f"{name} is {'not there' if name not in mine else 'not of its config'}"
        elif mine[name].shape != wanted[name].shape:
            yield f"{name} has shape {list(mine[name].shape)}, its config makes it {list(wanted[name].shape)}"
        elif _is_float(mine[name].dtype) is not _is_float(wanted[name].dtype):
            yield f"{name} is {mine[name].dtype}, its config makes it {wanted[name].dtype}"
    kept, made = model.state_dict().keys(), {_plain(name): each for name, each in rebuilt.named_buffers()}
    for name, buffer in model.named_buffers():
        name = _plain(name)
        if name not in kept and name in made and not _same(buffer, made[name]):
            yield f"{name} is not what its config makes it"


def _is_float(dtype: str) -> bool:
    return "F" in dtype


def _same(buffer: Tensor, made: Tensor) -> bool:
    """Return True if a buffer equals the one made from the config, after a cast to its dtype."""
    if buffer.is_meta or buffer.shape != made.shape:
        return buffer.shape == made.shape
    return torch.equal(buffer.detach().to("cpu"), made.to("cpu").to(buffer.dtype))

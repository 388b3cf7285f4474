"""Recipes of published figures: all settings that a command resolves to by the defaults of the code, untrained.

A command is run as a person would, on a stand-in of its data, and stopped where its training would begin: what the
models and the trainings would have been made of is the recipe. Commands that train nothing are stopped when they have
read their arguments. Defaults of functions and classes that a command uses otherwise are named (``uses``).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import io
import json
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

HERE = Path(__file__).parent
ROWS = HERE / "rows.json"
_STUDIES = ("beta.study", "codebooks.study", "ladder.study", "latents.study", "rate_distortion.study")
_LEFT_OUT = {"device", "checkpoint_seconds", "parallel", "json", "out"}
"""Settings of the machine and names of files, which change no figure."""


class _Resolved(Exception):
    """Raised where a training would begin."""


def resolve(command: str, *, data: Mapping[str, Any] | None = None, uses: Sequence[str] = ()) -> dict[str, Any]:
    """All settings of a command, flat: ``{"ema-k512: model.code_dim": 64, ...}``.

    Args:
        command: as it is published; ``vqkit ...`` or ``python benchmarks/....py ...``; empty: ``uses`` alone.
        data: of the stand-in: ``shape`` ``[channels, *size]``, ``items``, ``kind``.
        uses: ``module:name`` of functions and classes whose defaults count too.

    Raises:
        ValueError: the command neither trains nor reads arguments.
    """
    found: dict[str, Any] = {}
    for name in uses:
        found |= {f"{name}({key})": value for key, value in _defaults(name).items()}
    words = shlex.split(command)
    if not words:
        return found
    if words[0] == "vqkit":
        resolved = _of_command(words[1:], _stand_in(data or {}))
    elif data is None:
        resolved = _of_arguments(words[1], words[2:])
    else:
        resolved = _of_script(words[1], words[2:], _stand_in(data))
    if not resolved:
        raise ValueError(f"{command}: no training began, and no arguments were read")
    return {**resolved, **found}


def digest(settings: Mapping[str, Any]) -> str:
    """The SHA-256 of settings, of which 16 hexadecimal digits are kept."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def changes(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two recipes, a line each: the setting, what it is now, what it was."""
    names = sorted(recorded.keys() | now.keys())
    absent = object()
    return [
        f"{name} is {_shown(now.get(name, absent), absent)}, was {_shown(recorded.get(name, absent), absent)}"
        for name in names
        if recorded.get(name, absent) != now.get(name, absent)
    ]


def read_rows(path: Path = ROWS) -> dict[str, Any]:
    """The document of published rows: ``recipes`` by name, and ``rows``."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def write_rows(document: Mapping[str, Any], path: Path = ROWS) -> None:
    """Write the document of published rows."""
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def recipe_now(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a recorded recipe resolves to with the code as it is."""
    command = recipe.get("resolves", recipe["command"])
    return resolve(command, data=recipe.get("data"), uses=recipe.get("uses", ()))


def _shown(value: Any, absent: object) -> str:
    return "not there" if value is absent else json.dumps(value)


def _stand_in(data: Mapping[str, Any]) -> Any:
    """Noise in the place of data that may not be there: what a model is made for depends on its shape and kind."""
    from vqkit.data import ArraySource
    from vqkit.signals import signal_kind

    shape, items = data.get("shape", [1, 8, 8]), int(data.get("items", 400))
    values = np.random.default_rng(0).integers(0, 256, (items, *shape), dtype=np.uint8)
    return ArraySource(values, name="stand-in", kind=signal_kind(str(data.get("kind", "image"))))


def _of_command(words: Sequence[str], source: Any) -> dict[str, Any]:
    from vqkit.cli.main import app

    with _recording(source) as found, tempfile.TemporaryDirectory() as folder:
        kept = [*_without_out(words), "--out", str(Path(folder) / "out")]
        with mock.patch.object(sys, "argv", ["vqkit", *kept]), contextlib.suppress(Exception, SystemExit):
            app(kept, prog_name="vqkit", standalone_mode=False)
    return found


def _of_script(path: str, words: Sequence[str], source: Any) -> dict[str, Any]:
    script = _loaded(path)
    with _recording(source) as found, tempfile.TemporaryDirectory() as folder:
        kept = [path, *_without_out(words), "--out", str(Path(folder) / "out")]
        with mock.patch.object(sys, "argv", kept), contextlib.suppress(Exception, SystemExit):
            script.main()
    return found


def _of_arguments(path: str, words: Sequence[str]) -> dict[str, Any]:
    """What the arguments of a script are, those that are not given too; its parts are named by ``uses``."""
    found: dict[str, Any] = {}
    read = argparse.ArgumentParser.parse_args

    def parse(parser: argparse.ArgumentParser, *given: Any, **more: Any) -> Any:
        arguments = read(parser, *given, **more)
        found.update({f"--{name}": _plain(value) for name, value in vars(arguments).items() if name not in _LEFT_OUT})
        raise _Resolved

    script = _loaded(path)
    reading = mock.patch.object(argparse.ArgumentParser, "parse_args", parse)
    with reading, mock.patch.object(sys, "argv", [path, *words]), contextlib.suppress(_Resolved):
        script.main()
    return found


@contextlib.contextmanager
def _recording(source: Any) -> Iterator[dict[str, Any]]:
    """Settings of the trainings that would begin meanwhile, on a stand-in of all data."""
    from vqkit.data import load_source
    from vqkit.studies.ladder import rungs
    from vqkit.training import train

    for name in ("cli.training.start", *(f"studies.{each}" for each in _STUDIES)):
        importlib.import_module(f"vqkit.{name}")
    found: dict[str, Any] = {}

    def begin(model: Any, _: Any, *, out: Any = None, config: Any = None, **__: Any) -> None:
        path = Path(out or "run")
        part = {"run": path.parent.name, "out": "run"}.get(path.name, path.name)
        settings = {"model": {"model_type": model.model_type, **model.config}, "training": config.as_dict()}
        found.update({f"{part}: {name}": value for name, value in _flat(settings) if not _is_left_out(name)})
        raise _Resolved

    def stand_in(given: Any, *_: Any, **__: Any) -> Any:
        return source if isinstance(given, (str, Path)) else given

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(rungs, "_components", return_value=(None, 16, 16)))
        for module in [each for name, each in sys.modules.items() if name.startswith("vqkit")]:
            for name, original, other in (("load_source", load_source, stand_in), ("train", train, begin)):
                if vars(module).get(name) is original:
                    stack.enter_context(mock.patch.dict(vars(module), {name: other}))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        yield found


def _loaded(path: str) -> Any:
    """A script of this folder as a module."""
    with mock.patch.object(sys, "path", [str(HERE), *sys.path]):
        spec = importlib.util.spec_from_file_location(f"row_{Path(path).stem}", HERE / Path(path).name)
        assert spec is not None
        assert spec.loader is not None
        script = importlib.util.module_from_spec(spec)
        # Not by patch.dict, which forgets what the script imports too: torch registers its operators once a process.
        sys.modules[spec.name] = script
        try:
            spec.loader.exec_module(script)
        finally:
            del sys.modules[spec.name]
    return script


def _without_out(words: Sequence[str]) -> list[str]:
    kept = list(words)
    for option in ("--out", "-o"):
        while option in kept:
            del kept[kept.index(option) : kept.index(option) + 2]
    return kept


def _defaults(name: str) -> dict[str, Any]:
    module, _, attribute = name.partition(":")
    part: Any = importlib.import_module(module)
    for each in attribute.split("."):
        part = getattr(part, each)
    if not callable(part):  # settings at hand
        values = part.as_dict() if hasattr(part, "as_dict") else vars(part) if is_dataclass(part) else part
        return dict(_flat(values)) if isinstance(values, Mapping) else {"value": _plain(values)}
    parameters = inspect.signature(part).parameters.values()
    return {each.name: _plain(each.default) for each in parameters if each.default is not inspect.Parameter.empty}


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", _plain(value)


def _is_left_out(name: str) -> bool:
    return name.rpartition(".")[2] in _LEFT_OUT


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)

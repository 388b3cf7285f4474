"""The rule of ``vqkit.storage.outputs``, applied before any command that writes begins.

An option says what it writes beside what typer reads of it: ``Annotated[Path, typer.Option("--out"), Writes(SHEET)]``.
All other values that name something on the disk are inputs, and so is what the run folders among them were trained on.
"""

from __future__ import annotations

import functools
import glob
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import typer

from vqkit.errors import ConfigError
from vqkit.storage import outputs
from vqkit.storage.outputs import FileKind
from vqkit.storage.reading import read_json
from vqkit.storage.remote import is_url, whole_url

FORCE = "force"
_Force = Annotated[
    bool, typer.Option("--force", help="Overwrite a file even if vqkit did not write it; an input never.")
]


@final
@dataclass(frozen=True)
class Writes:
    """Kinds of output that an option of a command writes.

    Attributes:
        file: the kind of file; None: a folder.
        signals: a folder whose files a reader takes for signals.
        check: called with the path first; raises where its name will not do.
        folder: whether the path is that of a folder all the same; for options that take both.
        remote: whether it may be an address (``s3://...``), where the command looks itself at what is there.
    """

    file: FileKind | None = None
    signals: bool = False
    check: Callable[[Path], None] | None = None
    folder: Callable[[Path], bool] | None = None
    remote: bool = False


def writing(command: Callable[..., None]) -> Callable[..., None]:
    """The command, which begins only when every place that it writes to is safe to write to.

    A command that writes files gets the option ``--force``.
    """
    hints = typing.get_type_hints(command, include_extras=True)
    written = {name: found for name, hint in hints.items() if (found := _writes(hint)) is not None}
    options = {name: _option(hints[name]) for name in written}
    signature = inspect.signature(command, eval_str=True)
    with_force = any(each.file is not None for each in written.values())

    @functools.wraps(command)
    def checked(**values: Any) -> None:
        force = bool(values.pop(FORCE, False))
        given = {name: values[name] for name in written if values.get(name) is not None}
        for name in [name for name, path in given.items() if is_url(path)]:
            _check_address(given.pop(name), written[name], options[name])
        outputs.check_different((options[name], path) for name, path in given.items())
        inputs = [path for name, value in values.items() if name not in written for path in _inputs(value)]
        for name, path in given.items():
            _check(path, written[name], inputs, options[name], force)
        command(**values)

    if with_force:
        extra = inspect.Parameter(FORCE, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Force)
        signature = signature.replace(parameters=[*signature.parameters.values(), extra])
        hints = {**hints, FORCE: _Force}
    del checked.__wrapped__  # typer would read its parameters, without the one added
    checked.__signature__ = signature  # type: ignore[attr-defined]
    checked.__annotations__ = hints
    return checked


def written_by(command: Callable[..., None]) -> dict[str, Writes]:
    """The parameters of a command that name places to write to."""
    hints = command.__annotations__
    return {name: found for name, hint in hints.items() if (found := _writes(hint)) is not None}


def _check(path: Path, what: Writes, inputs: list[Path], option: str, force: bool) -> None:
    if what.check is not None:
        what.check(path)
    if what.file is None or (what.folder is not None and what.folder(path)):
        outputs.check_folder(path, inputs, option=option, signals=what.signals)
    else:
        outputs.check_file(path, what.file, inputs, option=option, force=force)


def _check_address(path: Path, what: Writes, option: str) -> None:
    if not what.remote:
        raise ConfigError(f"{whole_url(path)}: this command writes to this machine only; name a place here ({option})")


def _writes(hint: Any) -> Writes | None:
    metadata = hint.__metadata__ if typing.get_origin(hint) is Annotated else ()
    return next((each for each in metadata if isinstance(each, Writes)), None)


def _option(hint: Any) -> str:
    (option,) = (each for each in hint.__metadata__ if isinstance(each, typer.models.OptionInfo))
    names = (option.default, *(option.param_decls or ()))  # typer takes the first name for a default at first
    return next(name for name in names if isinstance(name, str) and name.startswith("--"))


def _inputs(value: Any) -> Iterator[Path]:
    """Return the paths that a value of an option or argument names."""
    if isinstance(value, list | tuple):
        for each in value:
            yield from _inputs(each)
    elif isinstance(value, str | Path):
        yield from _named(str(value))


def _named(text: str) -> Iterator[Path]:
    """Return the path that a text names: a path, a pattern, ``DATA:NUMBER``, ``FOLDER@SPLIT``, ``NAME=VALUE``."""
    texts = (text, *(text.rpartition(mark)[0] for mark in ":@"), text.partition("=")[2])
    for each in dict.fromkeys(filter(None, texts)):
        try:
            path = Path(each).expanduser()
            found = [path] if path.exists() else [Path(one) for one in glob.glob(str(path))]  # noqa: PTH207
        except (OSError, ValueError, RuntimeError):  # too long for a path, a null byte, no home
            continue
        for one in found:
            yield one
            yield from _learned_from(one)


def _learned_from(folder: Path) -> Iterator[Path]:
    """The data of a run folder, which a command may read when it is given no other."""
    try:
        settings = read_json(folder / "run.json")
    except (OSError, ValueError):
        return
    training = settings.get("training") if isinstance(settings, Mapping) else None
    held_out = training.get("validation") if isinstance(training, Mapping) else None
    for name in (settings.get("data") if isinstance(settings, Mapping) else None, held_out):
        if isinstance(name, str) and name and Path(name).exists():
            yield Path(name)

"""The model of a command that names none: the reference model for the kind of its signals, said in a line."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vqkit.spelling import quoted

if TYPE_CHECKING:
    from vqkit.coding import FileHeader
    from vqkit.pretrained.reference import ReferenceModel

_MOST_LOOKED_AT = 10_000


def model_for(model: str | None, data: Sequence[str], how: str = "--model") -> str:
    """The model that was named, or the reference model for signals of this kind, which is said.

    Args:
        model: named, or None.
        data: names of data.
        how: a model is named, for messages.

    Raises:
        ConfigError: the kind of the signals is not known from their names, or no model of it comes with vqkit.
    """
    from vqkit.errors import ConfigError
    from vqkit.pretrained.reference import for_kind, reference_models

    if model is not None:
        return model
    kinds = {kind for name in data if (kind := kind_of(name)) is not None}
    found = for_kind(next(iter(kinds))) if len(kinds) == 1 else None
    if found is None:
        known = ", ".join(f"{each.name} (of {each.kind})" for each in reference_models().values()) or "none"
        what = f"of {' and '.join(sorted(kinds))}" if kinds else "of no kind that its name tells"
        raise ConfigError(
            f"no model was named, and {' '.join(map(str, data))} is {what}: name one ({how}); models that come with "
            f"vqkit: {known}"
        )
    say_chosen(found, how)
    return name_of(found)


def model_of_file(header: FileHeader, file: Path) -> str:
    """The reference model that a file names by its digest.

    Raises:
        WrongModelError: it names another model.
    """
    from vqkit.errors import WrongModelError
    from vqkit.pretrained.reference import by_digest

    found = by_digest(header.tokenizer)
    if found is None:
        raise WrongModelError(
            f"{file} was written with a tokenizer of digest {header.tokenizer.hex()}, which is none of those that come "
            "with this vqkit: name it (--model)"
        )
    say_chosen(found)
    return name_of(found)


def say_chosen(found: ReferenceModel, how: str = "--model") -> None:
    """Say in one line on standard error which reference model was taken."""
    typer.echo(
        f"model: {found.name}, which comes with vqkit, for {found.about.get('title', found.kind)} "
        f"(another: {how}; see vqkit models)",
        err=True,
    )


def name_of(found: ReferenceModel) -> str:
    """The name of a reference model that no path here stands before."""
    from vqkit.pretrained.reference import BUILTIN_PREFIX, shadow_note

    return found.name if shadow_note(found.name) is None else f"{BUILTIN_PREFIX}{found.name}"


def model_and_data(first: str, second: str | None, *, needs_data: bool) -> tuple[str, str | None]:
    """What one or two arguments name, ``[MODEL] DATA``: a single one is data, unless it is a model.

    Args:
        first: argument.
        second: argument, or None.
        needs_data: whether a command without data has nothing to do; else a model alone is used on its run's.

    Raises:
        ConfigError: a model alone where data are needed, no model for the data, or a file in place of a model.
    """
    from vqkit.errors import ConfigError

    if second is not None:
        if Path(first).is_file():
            check_model(first)
        return first, second
    if not _is_model(first):
        return model_for(None, [first], "as the first argument"), first
    if needs_data:
        raise ConfigError(f"{first} is a model; name the DATA too: vqkit encode {quoted(Path(first))} DATA")
    return first, None


def check_model(first: str) -> None:
    """Raise ``ConfigError`` where the first of two names is something here that is no model, as a photograph."""
    from vqkit.errors import ConfigError

    if Path(first).exists() and not _is_model(first):
        what = "a model is a folder with config.json and model.safetensors"
        raise ConfigError(
            f"{first} is no model, and of two names the first is the model: {what}, or one of vqkit models; "
            f"to take the one that comes with vqkit, name {first} alone"
        )


def _is_model(name: str) -> bool:
    """Return True for a run, a model folder, a model that comes with vqkit, or what only the hub can have."""
    from vqkit.data.naming import HUB_PREFIX, builtin_name, kind_in
    from vqkit.pretrained import hub
    from vqkit.pretrained.locating import CONFIG, seeds_hint
    from vqkit.pretrained.reference import BUILTIN_PREFIX, reference_folder, reference_models

    path = Path(name)
    if any((path / each).is_file() for each in (CONFIG, f"model/{CONFIG}", "run.json")) or seeds_hint(path):
        return True
    if name.startswith(BUILTIN_PREFIX):
        return name.removeprefix(BUILTIN_PREFIX) in reference_models()
    if reference_folder(name) is not None:
        return True
    is_data = builtin_name(name) is not None or name.startswith(HUB_PREFIX) or kind_in(name)[1] is not None
    if is_data or path.exists() or kind_of(name) is not None:
        return False
    return hub.asks_hub(name) or not path.suffix


def kind_of(name: str) -> str | None:
    """The kind of signal that a name of data tells: by what was said, by an extension, or by a folder's first file."""
    from vqkit.data.builtin import BUILTIN_PREFIX
    from vqkit.data.naming import builtin_name, kind_in
    from vqkit.signals import assumed_kind

    rest, said = kind_in(name)
    said = said or assumed_kind()
    if said is not None:
        return said.name.partition("@")[0]
    builtin = builtin_name(rest.removeprefix(BUILTIN_PREFIX) if rest.startswith(BUILTIN_PREFIX) else rest)
    if builtin is not None:
        return "sound" if builtin == "speech" else "image"
    return next((kind for file in _files(rest) if (kind := _kind_of_file(file)) is not None), None)


def _files(name: str) -> Iterator[Path]:
    path = Path(name).expanduser()
    if path.is_dir():
        entries = (entry for entry in path.rglob("*") if not entry.name.startswith("."))
        yield from (entry for _, entry in zip(range(_MOST_LOOKED_AT), entries, strict=False))
    elif path.exists() or not glob.has_magic(name):
        yield path
    else:
        yield from map(Path, glob.iglob(name))  # noqa: PTH207


def _kind_of_file(file: Path) -> str | None:
    from vqkit.data.images.reading import EXTENSIONS
    from vqkit.data.sounds.loading import EXTENSIONS as SOUND_EXTENSIONS

    ending = file.suffix.lower()
    return "image" if ending in EXTENSIONS else "sound" if ending in SOUND_EXTENSIONS else None

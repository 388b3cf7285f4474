"""Columns, windows and groups of series that are said beside the name of data: ``--columns``, ``--window``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from vqkit.errors import ConfigError
from vqkit.signals import Field, assumed_kind
from vqkit.spelling import option
from vqkit.storage.remote import is_url

TABLES = (".csv", ".tsv", ".parquet")
"""Extensions of tables whose columns are series."""


@dataclass(frozen=True)
class SeriesChoice:
    """What is read of series, as their names say it too: ``log.csv:x,y@window=512,hop=256,group=who``.

    Attributes:
        columns: of a table, in the order of the channels, with commas between them; None: all of numbers.
        group: the column whose value changes where another series begins.
        window: rows of an item.
        hop: rows from the beginning of an item to that of the next.

    Example:
        >>> from vqkit.data.grids.choosing import SeriesChoice
        >>> SeriesChoice(columns="x", window=64).in_name("missing.csv")
        'missing.csv'
    """

    columns: str | None = None
    group: str | None = None
    window: int | None = None
    hop: int | None = None

    def in_name(self, spec: str) -> str:
        """Return a name of data that says this too; one of nothing that is there stays as it is.

        Raises:
            ConfigError: the name says it itself, otherwise; or such data have no columns or groups.
        """
        file, names, more = parts_of(spec)
        if file is None:
            return spec
        kind = assumed_kind()
        if kind is not None and not isinstance(kind, Field):
            first = next(option(name, value) for name, value in vars(self).items() if value is not None)
            raise ConfigError(
                f"{first}: of series, which are fields, and kind={kind.name!r} was said; columns of vectors are named "
                "with the file: FILE.csv:x,y"
            )
        table = file.lower().endswith(TABLES)
        settings = dict(each.partition("=")[::2] for each in more.split(",") if each)
        own = {"columns": names or None, **{name: settings.get(name) for name in ("group", "window", "hop")}}
        said = {"columns": self.columns, "group": self.group, "window": self.window, "hop": self.hop}
        for name, value in said.items():
            if value is None:
                continue
            if not table and name in ("columns", "group"):
                raise ConfigError(f"{option(name, value)}: of tables ({', '.join(TABLES)}), and {spec} is none")
            if own[name] not in (None, str(value)):
                raise ConfigError(f"{option(name, value)}: {spec} says {name} {own[name]} itself; say it once")
            if name != "columns":
                settings[name] = str(value)
        columns = names or self.columns
        named = f"{file}:{columns}" if columns else file
        if table and "window" not in settings:
            settings["window"] = "512"
        return f"{named}@{','.join(f'{name}={value}' if value else name for name, value in settings.items())}"


def parts_of(spec: str) -> tuple[str | None, str, str]:
    """The file that a name of data begins with, the names after its colon and what follows ``@``; (None, "", "").

    Example:
        >>> from vqkit.data.grids.choosing import parts_of
        >>> parts_of("nowhere.csv:x@window=4")
        (None, '', '')
    """
    for file, names, more in readings(spec):
        if file and Path(file).expanduser().exists():
            return file, names, more
    return None, "", ""


def readings(spec: str) -> Iterator[tuple[str, str, str]]:
    """What a name of data may be: a file, the names after its colon, and what follows ``@``; what is likelier first.

    A folder may have an ``@`` in its name, and a file a colon.

    Example:
        >>> from vqkit.data.grids.choosing import readings
        >>> list(readings("me@home/log.csv:x"))[-1]
        ('me@home/log.csv', 'x', '')
    """
    whole, _, more = spec.rpartition("@")
    in_folder = "/" in more.partition("=")[0] or Path(spec).expanduser().exists()
    for text, said in ((spec, ""),) if in_folder or not whole else ((whole, more), (spec, "")):
        yield text, "", said
        yield *text.rpartition(":")[::2], said


def in_windows(spec: str) -> tuple[str, int, int] | None:
    """The data, the window and the hop of ``DATA@window=512,hop=256``, of other data than tables; None: other names.

    Raises:
        ConfigError: no numbers of positions.
    """
    file, names, more = parts_of(spec)
    if file is None or file.lower().endswith(TABLES) or not more:
        return None
    settings = dict(each.partition("=")[::2] for each in more.split(","))
    if not set(settings) <= {"window", "hop"}:
        return None
    numbers = []
    for name in ("window", "hop"):
        text = settings.get(name, settings.get("window", ""))
        if not text.isdecimal() or not int(text):
            raise ConfigError(f"{spec}: {name}={text or 'nothing'} is no number of positions; give one from 1 on")
        numbers.append(int(text))
    return f"{file}:{names}" if names else file, numbers[0], numbers[1]


_chosen: ContextVar[SeriesChoice | None] = ContextVar("series", default=None)


@contextmanager
def series_chosen(choice: SeriesChoice | None) -> Iterator[None]:
    """Within the block, this is read of data that are series; None: what their names say.

    Example:
        >>> from vqkit.data.grids.choosing import SeriesChoice, chosen_name, series_chosen
        >>> with series_chosen(SeriesChoice(window=64)):
        ...     chosen_name("missing.csv")
        'missing.csv'
    """
    token = _chosen.set(choice)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen_name(spec: str) -> str:
    """Return the name of data with what ``series_chosen`` says, within its block.

    Raises:
        ConfigError: an address, or see ``SeriesChoice.in_name``.
    """
    choice = _chosen.get()
    if choice is None:
        return spec
    if is_url(spec):
        said = next(option(name, value) for name, value in vars(choice).items() if value is not None)
        raise ConfigError(f"{said}: of series in files of this machine; fetch {spec} first")
    return choice.in_name(spec)

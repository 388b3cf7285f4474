"""The format of the files that signals are written to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vqkit.errors import ConfigError

if TYPE_CHECKING:
    from vqkit.models import Model


def written_suffix(model: Model, said: str | None, named: str | None = None) -> str:
    """Return the extension of the files of a model's signals.

    Args:
        model: any.
        said: ``--format``; None: the usual one.
        named: the extension of a file that ``--out`` names, which decides.

    Raises:
        ConfigError: signals that are not written so.
    """
    have = model.kind.suffixes(model.channels)
    wanted = named or (have[0] if said is None else f".{said.lower().removeprefix('.')}")
    if wanted not in have:
        given = f"--format {said}" if named is None else f"--out with {named}"
        words = f"{model.kind.describe(2, model.channels)}, written as {' or '.join(each[1:] for each in have)}"
        more = "" if model.kind.axes != 1 or model.kind.rate else " (their sample rate is not known to the model)"
        raise ConfigError(f"{given}: the model is of {words}{more}; name one of these, or leave it out")
    return wanted

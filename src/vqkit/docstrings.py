"""Arguments that a class shares with its bases are documented once, there; ``help`` of the class shows them too."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

_ENTRY = re.compile(r" {4}(?P<name>\w+): ")
_SECTION = re.compile(r"\n(?P<title>Args|Attributes|Raises|Returns|Example):\n")


def argument_docs(doc: str) -> dict[str, str]:
    """Return what the ``Args`` section of a docstring says of each argument, as it stands there.

    Args:
        doc: without its indentation, as ``inspect.cleandoc`` gives it.

    Example:
        >>> from vqkit.docstrings import argument_docs
        >>> argument_docs("A shape.\\n\\nArgs:\\n    sides: how many,\\n        3 or more.\\n\\nReturns:\\n    It.")
        {'sides': '    sides: how many,\\n        3 or more.'}
    """
    _, head, rest = f"\n{doc}".partition("\nArgs:\n")
    found: dict[str, str] = {}
    name = ""
    for line in rest.splitlines() if head else ():
        entry = _ENTRY.match(line)
        if entry:
            name = entry["name"]
            found[name] = line
        elif line.startswith(" " * 8) and name:
            found[name] += f"\n{line}"
        else:
            break
    return found


def share_argument_docs(cls: type) -> None:
    """Add to a class's docstring the arguments of its constructor that only docstrings of its bases tell of.

    They stand in the order of the constructor. A class without a docstring of its own stays as it is.
    """
    if not cls.__dict__.get("__doc__"):
        return
    doc = inspect.cleandoc(str(cls.__doc__))
    own = argument_docs(doc)
    inherited = _inherited(cls.__mro__[1:])
    names = [name for name in inspect.signature(cls.__init__).parameters if name in own or name in inherited]  # type: ignore[misc]
    if all(name in own for name in names):
        return
    first = [own.get(name, inherited.get(name, "")) for name in names]
    section = "\n".join(["Args:", *first, *(text for name, text in own.items() if name not in names)])
    if own:
        before, _, rest = f"\n{doc}".partition("\nArgs:\n")
        after = rest.removeprefix("\n".join(own.values()))
        cls.__doc__ = f"{before.lstrip()}\n{section}{after}"
    else:
        place = _SECTION.search(doc)
        before, after = (doc, "") if place is None else (doc[: place.start()], doc[place.start() :])
        cls.__doc__ = f"{before.rstrip()}\n\n{section}\n{after}".rstrip()


def _inherited(bases: Iterable[type]) -> dict[str, str]:
    found: dict[str, str] = {}
    for base in bases:
        doc = base.__dict__.get("__doc__") if base.__module__.partition(".")[0] != "torch" else None
        for name, text in argument_docs(inspect.cleandoc(doc or "")).items():
            found.setdefault(name, text)
    return found

"""BibTeX entries by key: those of ``references.bib``, and whole ones that parts of other packages bring."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files

from vqkit._version import __version__
from vqkit.errors import ConfigError

_START = re.compile(r"@\w+\{([^,\s]+),")
TOOLKIT = f"""@misc{{vqkit,
  title = {{vqkit: {{VQ-VAEs}} from Signals to Tokens, Files and New Signals}},
  author = {{{{The vqkit maintainers}}}},
  note = {{Version {__version__}, Apache License 2.0}},
}}"""
"""vqkit itself, as ``CITATION.cff`` has it."""


@functools.cache
def known_entries() -> Mapping[str, str]:
    """The entries of vqkit's own references, by key."""
    text = (files("vqkit.results.citations") / "references.bib").read_text(encoding="utf-8")
    return {key_of(entry): entry for entry in re.split(r"\n\n(?=@)", text.strip())}


def key_of(entry: str) -> str:
    """Return the key of a BibTeX entry.

    Raises:
        ConfigError: it is none.
    """
    found = _START.match(entry.strip())
    if found is None:
        raise ConfigError(f"citations: {entry!r} is no BibTeX entry; give a key of vqkit's, or @article{{KEY, ...}}")
    return found[1]


def entries_of(citations: Iterable[str]) -> dict[str, str]:
    """Return entries by key.

    Args:
        citations: keys of vqkit's references, or whole entries (``@...``).

    Raises:
        ConfigError: an unknown key, or no entry.
    """
    found = {}
    for citation in citations:
        entry = known_entries().get(citation, citation.strip())
        found[key_of(entry)] = entry
    return found

"""The tables of docs/parts.md, made from the registries; ``python -m tests.docs.tables`` (``make tables``) writes them.

A table stands between ``<!-- NAME -->`` and ``<!-- end of NAME -->``: a row for each part of vqkit, in the order of
its registry. What a part is, is the first line of its docstring; its options are the arguments of its constructor.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.docs import result_tables
from vqkit.export import EXPORT_FORMATS
from vqkit.likelihoods import LIKELIHOODS
from vqkit.models import MODELS
from vqkit.networks import DECODERS, ENCODERS
from vqkit.objectives import OBJECTIVES
from vqkit.pretrained.foreign import FOREIGN
from vqkit.priors import PRIORS
from vqkit.quantizers import QUANTIZERS
from vqkit.registry import Registry, origin_of
from vqkit.signals import SIGNALS
from vqkit.tokens import ENGINES, TOKEN_FORMATS
from vqkit.training import OPTIMIZERS, SCHEDULES

PAGE = Path(__file__).parents[2] / "docs" / "parts.md"
REGISTRIES: dict[str, Registry[Any]] = {
    "models": MODELS,
    "quantizers": QUANTIZERS,
    "encoders": ENCODERS,
    "decoders": DECODERS,
    "likelihoods": LIKELIHOODS,
    "objectives": OBJECTIVES,
    "priors": PRIORS,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "signals": SIGNALS,
    "formats": TOKEN_FORMATS,
    "engines": ENGINES,
    "export_formats": EXPORT_FORMATS,
    "foreign": FOREIGN,
}
"""The table of each is between the marks of its name."""


def about(part: type) -> str:
    """Return the first line of a class's docstring, for a cell of a table."""
    line = (part.__doc__ or "").splitlines()[0].replace("``", "`")
    return line.removesuffix(".").replace("|", r"\|")


def options(part: type) -> str:
    """Return the arguments of a constructor, with their defaults."""
    parameters = list(inspect.signature(part).parameters.values())
    known = [item for item in parameters if item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)]
    written = [item.name if item.default is item.empty else f"{item.name}={item.default!r}" for item in known]
    return ", ".join(f"`{text}`" for text in written) or "none"


def of_signals(part: Any) -> str:
    """Return the axes, the arrays and the files of a kind of signal."""
    return f"{getattr(part, 'axes', '1 to 3')} | {part.layouts} | {', '.join(f'`{end}`' for end in part.extensions)}"


def of_formats(part: Any) -> str:
    """Return the ending of a format's shards, whether items may differ in size, and what they are."""
    sizes = "any" if part.several_sizes else "one"
    return f"`{part.suffix}` | {sizes} | {'sequences of ids' if part.sequences else 'arrays of indices'}"


def table(name: str) -> str:
    """Return the table of a registry."""
    registry = REGISTRIES[name]
    special: dict[str, tuple[str, Callable[[Any], str]]] = {
        "signals": ("axes | arrays | files", of_signals),
        "formats": ("files | sizes | items", of_formats),
        "foreign": ("model of vqkit", lambda part: f"`{part.model_type}`"),
    }
    titles, cells = special.get(name, ("options", options))
    lines = [f"| name | class | what it is | {titles} |", "|---|---|---|---|" + "---|" * titles.count("|")]
    own = [(key, part) for key, part in registry.available().items() if origin_of(part) == "vqkit"]
    return "\n".join(lines + [f"| `{key}` | `{part.__name__}` | {about(part)} | {cells(part)} |" for key, part in own])


def filled(text: str) -> str:
    """Return a page with the tables between its marks made anew."""
    for name in REGISTRIES:
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        assert text.count(start) == text.count(end) == 1, f"{PAGE.name}: the marks {start} and {end}, once each"
        made = f"{start}\n{table(name)}\n{end}"
        text = re.sub(f"{re.escape(start)}.*?{re.escape(end)}", lambda _, made=made: made, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    formats = result_tables.PAGE
    formats.write_text(result_tables.filled(formats.read_text(encoding="utf-8")), encoding="utf-8")

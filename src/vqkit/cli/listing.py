"""Help texts that list registered parts; the registries are imported only when help is shown."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from typer.core import TyperCommand, TyperOption

_REGISTRIES = {
    "quantizers": "vqkit.quantizers:QUANTIZERS",
    "priors": "vqkit.priors:PRIORS",
    "models": "vqkit.models:MODELS",
    "objectives": "vqkit.objectives:OBJECTIVES",
    "signals": "vqkit.signals:SIGNALS",
    "formats": "vqkit.tokens.formats:TOKEN_FORMATS",
    "engines": "vqkit.tokens.engines:ENGINES",
    "optimizers": "vqkit.training:OPTIMIZERS",
    "export_formats": "vqkit.export.formats:EXPORT_FORMATS",
    "schedules": "vqkit.training:SCHEDULES",
}


def listed(text: str) -> str:
    """Return a help text with the names of the registries that it holds in braces: ``{quantizers} (default: ema).``"""

    def names(found: re.Match[str]) -> str:
        module, _, registry = _REGISTRIES[found[1]].partition(":")
        return ", ".join(getattr(import_module(module), registry))

    return re.sub("{(" + "|".join(_REGISTRIES) + ")}", names, text)


class ListingCommand(TyperCommand):
    """A command whose options list registered parts in their help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Fill in the names, and show the help."""
        for option in self.params:
            if isinstance(option, TyperOption) and option.help:
                option.help = listed(option.help)
        super().format_help(ctx, formatter)

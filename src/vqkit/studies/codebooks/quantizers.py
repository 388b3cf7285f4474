"""Quantizers as a person names them in a study: a kind, and what is set differently."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vqkit.errors import ConfigError
from vqkit.models import VQVAE
from vqkit.models.levels.options import LEVELS, named_levels
from vqkit.quantizers import quantizer_options

_STACKING = ("num_codebooks", "stacking")
_OF_LEVELS = {"within"} | quantizer_options("ema")


@dataclass(frozen=True)
class QuantizerSpec:
    """One quantizer with its options, to be tried at several codebook sizes.

    Attributes:
        name: as it was given: ``"ema"``, ``"ema:gradient=rotation"``, ``"ema:num_codebooks=2:stacking=residual"``,
            ``"hierarchical:scales=[1,2]"``.
        quantizer: a key of ``vqkit.quantizers.QUANTIZERS``.
        num_codebooks: C.
        stacking: of several codebooks.
        options: further options of the quantizer.
    """

    name: str
    quantizer: str
    num_codebooks: int = 1
    stacking: str = "product"
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> QuantizerSpec:
        """From ``KIND[:OPTION=VALUE]...``; values are JSON where they are some, else words.

        Raises:
            ConfigError: an unknown kind or option (the valid ones are listed), or an option without "=".
        """
        kind, *assignments = (part.strip() for part in text.split(":"))
        allowed = quantizer_options(kind) | (_OF_LEVELS if kind in LEVELS else set(_STACKING))
        found: dict[str, Any] = {}
        for assignment in assignments:
            name, equals, value = assignment.partition("=")
            name = name.strip().replace("-", "_")
            if not equals or name not in allowed:
                raise ConfigError(
                    f"quantizer {text!r}: give KIND:OPTION=VALUE; the options of {kind} are: "
                    f"{', '.join(sorted(allowed))}"
                )
            try:
                found[name] = json.loads(value)
            except ValueError:
                found[name] = value.strip()
        stacked = {name: found.pop(name) for name in _STACKING if name in found}
        count = stacked.get("num_codebooks", 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigError(f"quantizer {text!r}: num_codebooks is a whole number, 1 or more")
        return cls(text.strip(), kind, count, str(stacked.get("stacking", "product")), found)

    def codes_each(self, codebook_size: int) -> int:
        """Codes in each codebook so that together they name ``codebook_size`` codewords: the same bits.

        Raises:
            ConfigError: there is no such whole number.
        """
        each = round(codebook_size ** (1 / self.num_codebooks))
        if each**self.num_codebooks != codebook_size:
            raise ConfigError(
                f"{codebook_size:,} codewords cannot be shared by {self.num_codebooks} codebooks of equal size; "
                f"{each**self.num_codebooks:,} can, {each:,} each"
            )
        return each

    def slug(self, codebook_size: int) -> str:
        """A name for files."""
        return f"{re.sub(r'[^A-Za-z0-9._]+', '-', self.name).strip('-')}-k{codebook_size}"

    def settings(self, codebook_size: int) -> dict[str, Any]:
        """Keyword arguments of ``VQVAE.for_source``."""
        if self.quantizer in LEVELS:
            named = {"codebook_size": codebook_size, "quantizer": self.quantizer}
            return {**named, "quantizer_options": dict(self.options)}
        return {
            "codebook_size": self.codes_each(codebook_size),
            "quantizer": self.quantizer,
            "quantizer_options": dict(self.options),
            "num_codebooks": self.num_codebooks,
            "stacking": self.stacking,
        }


def check_contenders(names: Sequence[str], sizes: Sequence[int], code_dim: int) -> list[QuantizerSpec]:
    """Contenders by name, each of which can be built at one size at least.

    Raises:
        ConfigError: one that cannot, with what it says; two of one name.
    """
    found = [QuantizerSpec.parse(name) for name in names]
    if len({each.slug(2) for each in found}) < len(found):
        raise ConfigError(f"quantizers={', '.join(names)}: name each once")
    for each in found:
        errors = [error for size in sizes if (error := _problem(each, size, code_dim))]
        if len(errors) == len(sizes):
            raise ConfigError(f"quantizer {each.name!r}: {errors[0]}")
    return found


def _problem(contender: QuantizerSpec, size: int, code_dim: int) -> ConfigError | None:
    """Return why a quantizer cannot be built, or None: a tiny model of it is built."""
    try:
        given = {"code_dim": code_dim, **contender.settings(size)}
        if contender.quantizer in LEVELS:
            given = named_levels(given, 2, given.pop("codebook_size"), None)
        VQVAE(hidden_channels=2, residual_channels=1, **given)
    except ConfigError as error:
        return error
    return None

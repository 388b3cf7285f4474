"""Quantizers by the names that configs use."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from vqkit.checking import check_types
from vqkit.errors import ConfigError
from vqkit.quantizers.base import Quantizer
from vqkit.quantizers.ema import EMAVectorQuantizer
from vqkit.quantizers.vector import VectorQuantizer

QUANTIZERS: dict[str, type[Quantizer]] = {"ema": EMAVectorQuantizer, "gradient": VectorQuantizer}


def build_quantizer(name: str, codebook_size: int, code_dim: int, options: Mapping[str, Any]) -> Quantizer:
    """The quantizer that a config names.

    Args:
        name: a key of ``QUANTIZERS``.
        codebook_size: K.
        code_dim: D.
        options: further keyword arguments of that class.

    Raises:
        ConfigError: an unknown name or option (the valid ones are listed), or a value that is no good.
    """
    if name not in QUANTIZERS:
        raise ConfigError(f"quantizer={name!r} is unknown; choose one of: {', '.join(QUANTIZERS)}")
    parameters = inspect.signature(QUANTIZERS[name].__init__).parameters.values()
    allowed = {parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY}
    unknown = sorted(set(options) - allowed)
    if unknown:
        raise ConfigError(
            f"quantizer {name!r} has no option {', '.join(unknown)}; its options are: {', '.join(sorted(allowed))}"
        )
    check_types(QUANTIZERS[name].__init__, options)
    quantizer: Any = QUANTIZERS[name]
    built: Quantizer = quantizer(codebook_size, code_dim, **options)
    return built

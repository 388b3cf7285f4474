"""Quantizers by the names that configs use."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from vqkit.checking import check_types
from vqkit.errors import ConfigError
from vqkit.quantizers.base import Quantizer
from vqkit.quantizers.ema import EMAVectorQuantizer
from vqkit.quantizers.product import ProductQuantizer
from vqkit.quantizers.simvq import SimVQ
from vqkit.quantizers.vector import VectorQuantizer

QUANTIZERS: dict[str, type[Quantizer]] = {"ema": EMAVectorQuantizer, "gradient": VectorQuantizer, "simvq": SimVQ}


def build_quantizer(
    name: str, codebook_size: int, code_dim: int, options: Mapping[str, Any], num_codebooks: int = 1
) -> Quantizer:
    """The quantizer that a config names.

    Args:
        name: a key of ``QUANTIZERS``.
        codebook_size: K.
        code_dim: D.
        options: further keyword arguments of that class.
        num_codebooks: more than one cuts the latents into that many parts, each with a quantizer of its own.

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
    if num_codebooks == 1:
        built: Quantizer = quantizer(codebook_size, code_dim, **options)
        return built
    if num_codebooks < 1 or code_dim % num_codebooks:
        raise ConfigError(
            f"num_codebooks={num_codebooks}: each codebook takes an equal part of the latents, so code_dim={code_dim} "
            "must be a multiple of it (and it is 1 or more)"
        )
    seed = options.get("seed", 0)
    parts = [
        quantizer(codebook_size, code_dim // num_codebooks, **{**options, "seed": seed + 7919 * number})
        for number in range(num_codebooks)
    ]
    return ProductQuantizer(parts)

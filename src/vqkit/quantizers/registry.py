"""Quantizers by the names that configs use, and their compositions."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from vqkit.checking import check_types, refuse_class, shown
from vqkit.errors import ConfigError
from vqkit.quantizers.base import Quantizer
from vqkit.quantizers.binary import BinarySphericalQuantizer, LookupFreeQuantizer
from vqkit.quantizers.codebook.ema import EMAVectorQuantizer
from vqkit.quantizers.codebook.factorized import FactorizedQuantizer
from vqkit.quantizers.codebook.gumbel import GumbelQuantizer
from vqkit.quantizers.codebook.index_backprop import IndexBackpropQuantizer
from vqkit.quantizers.codebook.simvq import SimVQ
from vqkit.quantizers.codebook.vector import VectorQuantizer
from vqkit.quantizers.composite.product import ProductQuantizer
from vqkit.quantizers.composite.projected import Projected
from vqkit.quantizers.composite.residual import ResidualQuantizer
from vqkit.quantizers.fixed.gaussian import GaussianQuantizer
from vqkit.quantizers.levels.hierarchical import HierarchicalQuantizer
from vqkit.quantizers.levels.multiscale import MultiScaleQuantizer
from vqkit.quantizers.levels.wavelet import WaveletQuantizer
from vqkit.quantizers.scalar import FiniteScalarQuantizer
from vqkit.recording import build_part
from vqkit.registry import Registry
from vqkit.seeds import check_seed, later_seed

QUANTIZERS: Registry[type[Quantizer]] = Registry("quantizer", "vqkit.quantizers", Quantizer)
"""Every class of quantizer by name; compositions are found by name too, but not listed."""
for _name, _kind, _cited in (
    ("ema", EMAVectorQuantizer, ("vandenoord2017neural",)),
    ("gradient", VectorQuantizer, ("vandenoord2017neural",)),
    ("simvq", SimVQ, ("zhu2024addressing",)),
    ("fsq", FiniteScalarQuantizer, ("mentzer2024finite",)),
    ("lfq", LookupFreeQuantizer, ("yu2024language",)),
    ("bsq", BinarySphericalQuantizer, ("zhao2024image",)),
    ("ibq", IndexBackpropQuantizer, ("shi2024taming",)),
    ("gumbel", GumbelQuantizer, ("jang2017categorical", "ramesh2021zero")),
    ("gaussian", GaussianQuantizer, ("xu2025vector",)),
):
    QUANTIZERS.register(_name, citations=_cited)(_kind)
for _name, _composed, _cited in (
    ("product", ProductQuantizer, ("jegou2011product",)),
    ("residual", ResidualQuantizer, ("juang1982multiple", "zeghidour2022soundstream")),
    ("projected", Projected, ("yu2022vector",)),
    ("factorized", FactorizedQuantizer, ("kumar2023high", "yu2022vector")),
    ("hierarchical", HierarchicalQuantizer, ("razavi2019generating",)),
    ("multiscale", MultiScaleQuantizer, ("tian2024visual",)),
    ("wavelet", WaveletQuantizer, ("rippel2014learning", "mallat1989theory")),
):
    QUANTIZERS.register(_name, listed=False, citations=_cited)(_composed)
STACKINGS = ("product", "residual")
COMPOSING = ("projection_dim", "quantizer_dropout", "dropout_codebooks", "rate_weight_range")
"""Options that every kind takes, because they are about what is put around it."""


def quantizer_options(name: str) -> set[str]:
    """The options of a kind of quantizer, those of its compositions included.

    Raises:
        ConfigError: an unknown name.

    Example:
        >>> from vqkit.quantizers import quantizer_options
        >>> sorted(quantizer_options("fsq"))
        ['dropout_codebooks', 'levels', 'projection_dim', 'quantizer_dropout', 'rate_weight_range']
    """
    parameters = inspect.signature(QUANTIZERS.get_part(name).__init__).parameters.values()
    own = {parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY}
    return own | set(COMPOSING)


def build_quantizer(
    name: str,
    codebook_size: int,
    code_dim: int,
    options: Mapping[str, Any] | None = None,
    num_codebooks: int = 1,
    stacking: str = "product",
) -> Quantizer:
    """The quantizer that a config names.

    Args:
        name: a key of ``QUANTIZERS``.
        codebook_size: K.
        code_dim: D of the latents.
        options: further keyword arguments of that class; and ``projection_dim`` (codewords of so many numbers, behind
            a linear map: see ``Projected``; quantizers with a dimension of their own get it by themselves), and
            ``quantizer_dropout``, ``dropout_codebooks`` and ``rate_weight_range`` (of a residual stack: see
            ``ResidualQuantizer``).
        num_codebooks: more than one stacks that many.
        stacking: ``"product"`` cuts the latents into parts, each with a quantizer of its own; ``"residual"`` lets each
            quantise what the ones before it have left.

    Raises:
        ConfigError: an unknown name or option (the valid ones are listed), or a value that is no good.

    Example:
        >>> from vqkit.quantizers import build_quantizer
        >>> type(build_quantizer("ema", 64, 8, {"decay": 0.95})).__name__
        'EMAVectorQuantizer'
        >>> type(build_quantizer("fsq", 64, 8)).__name__
        'Projected'
    """
    options = options or {}
    allowed = quantizer_options(name)
    unknown = sorted(set(options) - allowed)
    if unknown:
        raise ConfigError(
            f"quantizer {name!r} has no option {', '.join(unknown)}; its options are: {', '.join(sorted(allowed))}"
        )
    own = {key: value for key, value in options.items() if key not in COMPOSING}
    check_types(QUANTIZERS[name].__init__, own)
    check_types(_composing, {key: value for key, value in options.items() if key in COMPOSING})
    projection = options.get("projection_dim")
    dropout, fewer = options.get("quantizer_dropout", 0.0), options.get("dropout_codebooks")
    if stacking not in STACKINGS:
        raise ConfigError(f"stacking={stacking!r} is unknown; choose one of: {', '.join(STACKINGS)}")
    weights = options.get("rate_weight_range")
    if (dropout or fewer or weights) and (num_codebooks == 1 or stacking != "residual"):
        said = next(
            f"{key}={options[key]}"
            for key in ("quantizer_dropout", "dropout_codebooks", "rate_weight_range")
            if options.get(key)
        )
        raise ConfigError(f"{said} is for num_codebooks of 2 or more with stacking=residual")
    if num_codebooks < 1:
        raise ConfigError(f"num_codebooks={num_codebooks}: give 1 or more")
    if num_codebooks == 1:
        return _one(name, codebook_size, code_dim, own, projection)
    first = check_seed(options.get("seed", 0))
    own_seeds = "seed" in allowed
    each = [{**own, "seed": later_seed(first, 7919 * number)} if own_seeds else own for number in range(num_codebooks)]
    if stacking == "residual":
        inner = _inner_dim(name, codebook_size, code_dim, own, projection)
        stages = [_plain(name, codebook_size, inner, settings) for settings in each]
        stack = ResidualQuantizer(stages, dropout=dropout, dropout_codebooks=fewer, rate_weight_range=weights)
        return stack if inner == code_dim else Projected(stack, code_dim)
    if code_dim % num_codebooks:
        raise ConfigError(
            f"num_codebooks={num_codebooks}: each codebook takes an equal part of the latents, so code_dim={code_dim} "
            "must be a multiple of it"
        )
    return ProductQuantizer(
        [_one(name, codebook_size, code_dim // num_codebooks, settings, projection) for settings in each]
    )


def _composing(
    *,
    projection_dim: int | None = None,
    quantizer_dropout: float = 0.0,
    dropout_codebooks: Sequence[int] | None = None,
    rate_weight_range: Sequence[float] | None = None,
) -> None:
    """Types of the composing options."""


def _inner_dim(name: str, codebook_size: int, code_dim: int, options: Mapping[str, Any], projection: int | None) -> int:
    fixed = QUANTIZERS[name].own_dim(codebook_size, options)
    if projection is not None and not 1 <= projection <= code_dim:
        raise ConfigError(f"projection_dim={projection}: give 1 to code_dim={code_dim}")
    if fixed is not None and projection not in (None, fixed):
        raise ConfigError(
            f"projection_dim={projection}: quantizer {name!r} of {codebook_size} codes takes {fixed} channels; leave "
            "projection_dim out"
        )
    return fixed or projection or code_dim


def _one(name: str, codebook_size: int, code_dim: int, options: Mapping[str, Any], projection: int | None) -> Quantizer:
    inner = _inner_dim(name, codebook_size, code_dim, options, projection)
    built = _plain(name, codebook_size, inner, options)
    return built if inner == code_dim else Projected(built, code_dim)


def _plain(name: str, codebook_size: int, code_dim: int, options: Mapping[str, Any]) -> Quantizer:
    quantizer: Any = QUANTIZERS[name]
    built: Quantizer = quantizer(codebook_size, code_dim, **options)
    _check_attributes(built)
    return built


def given_quantizer(
    quantizer: str | Mapping[str, Any] | Quantizer,
    codebook_size: int,
    default_size: int,
    options: Mapping[str, Any] | None,
    beside: Mapping[str, tuple[int, int]] | None = None,
) -> Quantizer | None:
    """Return the quantizer that was given as an instance or as a saved config; None for a name.

    Args:
        quantizer: a name, a config or an instance.
        codebook_size: as it was given beside it.
        default_size: where it was not given.
        options: as they were given beside it.
        beside: further settings that were given beside it, each with its default.

    Raises:
        ConfigError: another module, or settings beside it that it does not have.

    Example:
        >>> from vqkit.quantizers import FiniteScalarQuantizer, given_quantizer
        >>> own = FiniteScalarQuantizer(240, 3)
        >>> given_quantizer(own, 512, 512, None) is own, given_quantizer("ema", 512, 512, None)
        (True, None)
    """
    refuse_class(quantizer, "quantizer")
    if isinstance(quantizer, str):
        return None
    own = build_part(quantizer, QUANTIZERS) if isinstance(quantizer, Mapping) else quantizer
    if not isinstance(own, Quantizer):
        raise ConfigError(
            f"quantizer is a {type(own).__name__}; give a name ({', '.join(QUANTIZERS)}) or an instance of a subclass "
            "of vqkit.quantizers.Quantizer"
        )
    _check_attributes(own)
    if options:
        raise ConfigError("quantizer_options are for a quantizer given by name; give them to the instance")
    if codebook_size not in (default_size, own.codebook_size):
        raise ConfigError(
            f"codebook_size={codebook_size}, and the quantizer has {own.codebook_size} codes: leave it out"
        )
    for name, (value, default) in (beside or {}).items():
        if value not in (default, getattr(own, name)):
            raise ConfigError(
                f"{name}={value}, and the quantizer, a {type(own).__name__}, has {getattr(own, name)}: leave it out"
            )
    return own


def _check_attributes(quantizer: Quantizer) -> None:
    """Raise ``ConfigError`` unless a quantizer says its sizes."""
    for name in ("codebook_size", "code_dim", "num_codebooks"):
        value = getattr(quantizer, name, None)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(
                f"quantizer: {type(quantizer).__name__}.{name} is {shown(value)}; a quantizer says its codebook_size "
                "and code_dim (and num_codebooks, where there are several) as attributes, each 1 or more"
            )

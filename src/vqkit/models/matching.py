"""Match of data and model: settings that a source implies, and a source in the channels of a model."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from os import PathLike
from typing import Any, TypedDict, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from vqkit.checking import counted
from vqkit.data import CenterCrops, Source, evaluation_batches, load_source
from vqkit.data.arrays.items import holds_batches, holds_items
from vqkit.data.batches import fitting_batch
from vqkit.errors import ConfigError, DataError
from vqkit.networks.pair import NetworkSpec
from vqkit.priors.labels import picked
from vqkit.quantizers.base import Quantizer
from vqkit.signals import assumed_kind, default_kind, kind_assumed
from vqkit.spelling import option

Method = TypeVar("Method", bound=Callable[..., Tensor])

_BATCH = 64
_LOOK = 1024
_APART = 100.0
"""Variance of the columns' means over that within a column, from which on each has a mean of its own."""


class SignalOptions(TypedDict, total=False):
    """Keyword arguments of every model (see ``VQVAE``), for completion and type checks of ``for_source``."""

    channels: int
    axes: int
    channel_means: bool
    kind: str | None


class NetworkOptions(SignalOptions, total=False):
    """Those of every model of networks."""

    downsampling: int | Sequence[int]
    hidden_channels: int
    residual_blocks: int
    residual_channels: int
    widths: Sequence[int] | None
    upsampling: str
    encoder: NetworkSpec
    decoder: NetworkSpec
    likelihood: str | None
    likelihood_warmup: int
    linear_path: bool
    classes: int | None
    class_names: Sequence[str] | None
    condition_dim: int | None
    condition_dropout: float
    condition_channels: int


class VQVAEOptions(NetworkOptions, total=False):
    """Those of ``VQVAE``."""

    code_dim: int
    quantizer: str | Mapping[str, Any] | Quantizer
    quantizer_options: Mapping[str, Any] | None
    num_codebooks: int
    stacking: str
    gaussian_encoder: bool


class AutoencoderOptions(NetworkOptions, total=False):
    """Those of ``Autoencoder``."""

    latent: str
    size: Sequence[int] | None
    noise: float
    density_components: int


class VAEOptions(NetworkOptions, total=False):
    """Those of ``VAE``."""

    latent: str
    size: Sequence[int] | None
    beta: float
    beta_warmup: int
    free_bits: float
    group_bits: float
    group_size: int | None


class PCAOptions(SignalOptions, total=False):
    """Those of ``PCA``."""

    size: Sequence[int] | None
    whiten: bool
    method: str
    passes: int


def show_options(cls: type) -> None:
    """Give the ``for_source`` of a class the signature of its constructor, with ``source`` and what it has itself."""
    own = cls.__dict__.get("for_source")
    if own is None:
        return
    first = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("cls", "source")]
    rest = list(inspect.signature(cls).parameters.values())
    keyword = next((at for at, item in enumerate(rest) if item.kind is item.KEYWORD_ONLY), len(rest))
    own_words = [item for item in inspect.signature(own.__func__).parameters.values() if item.kind is item.KEYWORD_ONLY]
    seed = inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="int | None")
    own_words = own_words if any(item.name == "seed" for item in own_words) else [seed, *own_words]
    own.__func__.__signature__ = inspect.Signature(
        [*first, *rest[:keyword], *own_words, *rest[keyword:]], return_annotation=cls.__name__
    )


def signals_of(source: Any, options: Mapping[str, Any]) -> Source:
    """The data that a model is made for, as ``load_source`` takes them: of the kind that its options say.

    Raises:
        DataError: no such data.
    """
    return source if isinstance(source, Source) else load_source(source, kind=options.get("kind"))


def source_options(source: Source) -> dict[str, Any]:
    """What a source says of the signals: channels, axes, and whether the offsets of its columns lie far apart."""
    options: dict[str, Any] = {"channels": source.channels, "axes": source.axes}
    if source.kind != default_kind(source.axes):
        options["kind"] = source.kind.name
    if source.axes == 0 and source.channels > 1:
        some = np.asarray(source.gather(range(min(len(source), _LOOK))), dtype=np.float64)
        within, between = float(some.var(axis=0).mean()), float(some.mean(axis=0).var())
        if between > _APART * within > 0:
            options["channel_means"] = True
    return options


def readable(model: Any, source: Source) -> Source:
    """The items as a model of one size can judge them: of images of other sizes the middle; else as they are."""
    size = getattr(model, "only_size", None)
    if not size or source.size == size or len(set(size)) > 1:
        return source
    return CenterCrops(source, size[0])


def open_source(model: Any, data: Any) -> Source:
    """Load data as the kind of signal that a model reads (see ``kind_expected``).

    Raises:
        DataError: no such data.
    """
    with kind_expected(model):
        return load_source(data)


def kind_expected(model: Any) -> AbstractContextManager[None]:
    """Within the block, data are read as the kind that a model reads, where nobody said one and shapes suggest none."""
    said = assumed_kind()
    if said is not None and model.kind.reads(said):
        return kind_assumed(model.kind.expecting(said))
    return kind_assumed(None if said is not None or model.kind.suggested else model.kind.expecting(None))


def is_data(x: Any) -> bool:
    """Return whether something is a data set, or the name of one, which is read in batches; else it is a batch.

    A data set is a source, a data set or a loader of torch, a data set of Hugging Face: what has no numbers itself.
    """
    if isinstance(x, Source | str | PathLike):
        return True
    return not isinstance(x, Tensor | list | tuple) and (holds_batches(x) or holds_items(x))


def by_batches(method: Method) -> Method:
    """Let a model's method that takes a batch also take a data set of one size, which it is given batch by batch.

    A data set is a source, a data set or a loader of torch, a data set of Hugging Face: what has no numbers itself.
    Where the method takes a condition, it is given the labels of the data.

    Raises:
        DataError: no signals of the model, items of several sizes, or a mask beside a data set.
    """

    conditioned = "condition" in inspect.signature(method).parameters

    @functools.wraps(method)
    def taken(model: Any, x: Any, *arguments: Any, **options: Any) -> Tensor:
        if isinstance(x, str | PathLike) or not is_data(x):
            return method(model, x, *arguments, **options)
        given = any(each is not None for each in (*arguments, options.get("mask")))
        if given and not conditioned:
            raise DataError(f"a mask belongs to a batch: give {method.__name__} a part of the data, source[:16]")
        source = in_channels(model, open_source(model, x))
        if source.size is None:
            raise DataError(
                f"{source.describe()}: of several sizes, which make no batch; give them one by one (source[0]), or "
                "vqkit.tokenize(model, source)"
            )
        labels = model.known_conditions_of(source) if conditioned and not given else None
        parts = []
        for numbers, signals in evaluation_batches(source, fitting_batch(source, _BATCH)):
            with model.conditioned_on(*picked(labels, numbers, model.device)):
                parts.append(method(model, signals, *arguments, **options))
        return torch.cat(parts)

    return cast("Method", taken)


def in_channels(model: Any, source: Source, name: str | None = None) -> Source:
    """The items in the channels that a model reads: images converted, other signals as they are.

    Args:
        model: any.
        source: the data.
        name: of the data, for messages.

    Raises:
        DataError: signals of another kind, or of channels that cannot be converted.
    """
    name = source.name if name is None else name
    if source.axes != model.axes:
        wanted = f"signals of {counted(model.axes, 'axis', 'axes')}" if model.axes else "vectors"
        raise DataError(f"{name} is {source.describe()}; the model reads {wanted}")
    if not model.kind.reads(source.kind):
        raise DataError(
            f"{name} is {source.describe()}; the model reads {model.kind.describe(2, model.channels)}: say so when it "
            "is loaded, "
            f"{option('kind', model.kind.name)}"
        )
    if source.channels == model.channels:
        return source
    if not source.kind.converts_channels(source.channels, model.channels):
        wanted = f"{model.channels} channels" if model.axes else f"vectors of {counted(model.channels, 'number')}"
        raise DataError(f"{name} is {source.describe()}; the model reads {wanted}")
    return source.with_channels(model.channels)


def check_layout(model: Any, source: Source) -> None:
    """Raise ``ConfigError`` unless a source holds signals of the axes and channels that a model is trained on."""
    if source.dtype == np.int32:
        raise ConfigError(f"{source.describe()} are indices: a prior learns them, not a {type(model).__name__}")
    if (model.channels, model.axes) != (source.channels, source.axes):
        raise ConfigError(
            f"the model reads signals of {counted(model.axes, 'axis', 'axes')} and "
            f"{counted(model.channels, 'channel')}, but this is "
            f"{source.describe()}; make the model with {type(model).__name__}.for_source(source), or "
            f"channels={source.channels}, axes={source.axes}"
        )


def check_options(config: Mapping[str, Any]) -> None:
    """Raise ``ConfigError`` for an argument of a model of networks that is out of range."""
    if config["axes"] == 0 and config["downsampling"] not in (1, []):
        raise ConfigError(f"downsampling={config['downsampling']}: a vector (axes=0) has no grid; give downsampling=1")
    if config["upsampling"] not in ("transposed", "resize"):
        raise ConfigError(f"upsampling={config['upsampling']!r}: choose 'transposed' or 'resize'")
    for name in ("code_dim", "latent_dim", "hidden_channels", "residual_channels"):
        if config.get(name, 1) < 1:
            raise ConfigError(f"{name}={config[name]}: give 1 or more")
    for name in ("residual_blocks", "likelihood_warmup"):
        if config[name] < 0:
            raise ConfigError(f"{name}={config[name]}: give 0 or more")


def said_kind(config: dict[str, Any]) -> dict[str, Any]:
    """A config without its kind of signal where that is the one of so many axes, as configs have always been."""
    if config["kind"] is None or config["kind"] == default_kind(config["axes"]).name:
        del config["kind"]
    return config

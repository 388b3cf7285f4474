"""Model folders of other libraries, read as folders of vqkit: their configs and the names of their tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from vqkit.errors import ModelFolderError
from vqkit.registry import Registry
from vqkit.storage.reading import TensorHeader, TensorSpec

WEIGHTS = ("model.safetensors", "diffusion_pytorch_model.safetensors")
"""Names of the file of tensors, ours first."""


class ForeignFolder(ABC):
    """Abstract: a kind of folder that another library writes, and what it is in vqkit.

    A reader has no state. The tensors are renamed, and those that only vqkit has (running counts, the scale of the
    signal) are added; nothing is computed from them.

    Attributes:
        name: by which it is registered.
        model_type: the class of vqkit that computes the same.
    """

    name: ClassVar[str]
    model_type: ClassVar[str] = "vqvae"

    @abstractmethod
    def matches(self, config: Mapping[str, Any]) -> bool:
        """Return whether a ``config.json`` is of this kind of folder."""

    @abstractmethod
    def translate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the class of vqkit.

        Raises:
            ValueError: a setting that vqkit has no counterpart of; the message names it.
        """

    @abstractmethod
    def rename(self, name: str) -> str | None:
        """Return the name of a tensor in vqkit; None: it is not needed."""

    @abstractmethod
    def added(self, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """Return the tensors that only vqkit has.

        Args:
            config: the foreign one.
            shapes: of the tensors that are there, by their names in vqkit: what is added is no larger than they are.
        """

    def squeezes(self, name: str) -> bool:
        """Return whether a tensor ``[.., 1]`` (by its foreign name) has no last axis in vqkit."""
        del name
        return False


FOREIGN: Registry[type[ForeignFolder]] = Registry(
    "foreign folder", "vqkit.foreign_folders", ForeignFolder, attribute="name"
)
"""Kinds of folders of other libraries, by name."""


def reader_of(config: Any) -> ForeignFolder | None:
    """Return the reader of the folder with this ``config.json``; None: it is one of vqkit's, or unknown."""
    if not isinstance(config, dict) or "vqkit_format" in config:
        return None
    readers = (part() for part in FOREIGN.available().values())
    return next((reader for reader in readers if reader.matches(config)), None)


def weights_of(folder: Path) -> Path | None:
    """Return the file of tensors in a folder; None: there is none."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def translated(reader: ForeignFolder, config: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """Return the arguments of the class of vqkit.

    Raises:
        ModelFolderError: a setting that vqkit has no counterpart of.
    """
    try:
        return reader.translate(config)
    except (ValueError, ArithmeticError, LookupError) as error:
        raise ModelFolderError(f"{where}: a {reader.name} folder that vqkit cannot read: {error}") from error


def renamed_header(reader: ForeignFolder, config: Mapping[str, Any], header: TensorHeader) -> TensorHeader:
    """Return a header as vqkit would have written it."""
    specs: dict[str, TensorSpec] = {}
    for name, spec in header.tensors.items():
        new = reader.rename(name)
        if new is not None:
            shape = spec.shape[:-1] if reader.squeezes(name) and spec.shape[-1:] == (1,) else spec.shape
            specs[new] = TensorSpec(spec.dtype, shape, spec.nbytes)
    for name, tensor in reader.added(config, {name: spec.shape for name, spec in specs.items()}).items():
        dtype = "F32" if tensor.dtype.is_floating_point else "I64"
        specs[name] = TensorSpec(dtype, tuple(tensor.shape), prod(tensor.shape) * tensor.itemsize)
    return TensorHeader(specs, {})


def renamed_tensors(
    reader: ForeignFolder, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return tensors by their names in vqkit, with those that only vqkit has."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        new = reader.rename(name)
        if new is not None:
            found[new] = tensor.squeeze(-1) if reader.squeezes(name) and tensor.shape[-1:] == (1,) else tensor
    return found | reader.added(config, {name: tuple(tensor.shape) for name, tensor in found.items()})

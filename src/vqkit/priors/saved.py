"""A prior as a folder: its config in JSON, its tensors beside it."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from vqkit.checking import listed, shown
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.models import folder
from vqkit.ops.buffers import SteadyBuffers


class SavedPrior(SteadyBuffers, ABC, metaclass=folder.Affordable):
    """Abstract: what can be written to a folder and read back, whatever it computes.

    Attributes:
        prior_type: the class, as folders name it.
        config: all keyword arguments of the class, as strict JSON values.
    """

    prior_type: ClassVar[str]
    config: dict[str, Any]

    def save_pretrained(self, path: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder; each file appears whole or not at all.

        Raises:
            OSError: the folder cannot be written (the files that were there before stay as they were).
        """
        folder.save(path, self.prior_type, self.config, self.state_dict())

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None) -> Self:
        """A prior from a local folder, or from the Hugging Face hub by ``owner/name``; in evaluation mode.

        Raises:
            ModelFolderError: nothing there, incomplete, damaged, or another class.
            ConfigError: the config has keys that this class does not take.
        """
        location = folder.locate(name, revision)
        found, config = folder.read_config(location)
        if found != cls.prior_type:
            raise ModelFolderError(f"{location}: holds a {shown(found)}, not a {cls.prior_type!r} prior")
        return folder.load(cls, config, location)

    @classmethod
    def from_state(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Self:
        """A prior from its config and its tensors; ``where`` names their folder in errors."""
        prior = folder.build(cls, config, folder.specs_of(tensors), where)
        folder.fill(prior, tensors, where)
        return prior.eval()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A new prior from its keyword arguments.

        Raises:
            ConfigError: an unknown key (the valid ones are listed), or a required one that is missing.
        """
        valid = {name: each for name, each in inspect.signature(cls.__init__).parameters.items() if name != "self"}
        unknown = sorted(set(config) - set(valid))
        if unknown:
            raise ConfigError(f"{cls.__name__} takes no {listed(unknown)}; it takes: {', '.join(valid)}")
        missing = [name for name, each in valid.items() if each.default is each.empty and name not in config]
        if missing:
            raise ConfigError(f"{cls.__name__} needs {', '.join(missing)}")
        return cls(**config)

"""Base of everything saved as a folder: its config in JSON beside its tensors (the Hugging Face convention)."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from vqkit.checking import listed, shown
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.ops.buffers import SteadyBuffers
from vqkit.pretrained import folder, hub


class Pretrained(SteadyBuffers, ABC, metaclass=folder.Affordable):
    """Abstract: a module that can be written to a folder and read back, whatever it computes.

    Attributes:
        model_type: the class, as the config in a folder names it.
        config: all keyword arguments of the class, as strict JSON values.
    """

    model_type: ClassVar[str]
    config: dict[str, Any]

    def save_pretrained(self, path: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder; each file appears whole or not at all.

        Raises:
            OSError: the folder cannot be written (the files that were there before stay as they were).
        """
        folder.save(path, self.model_type, self.config, self.state_dict())

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None) -> Self:
        """Read one from a local folder, or from the Hugging Face hub by ``owner/name``; in evaluation mode.

        Raises:
            ModelFolderError: nothing there, incomplete, damaged, or of another class.
            ConfigError: the config has keys that this class does not take.
        """
        location = folder.locate(name, revision)
        model_type, config = folder.read_config(location)
        if model_type != cls.model_type:
            raise ModelFolderError(
                f"{location}: holds a {shown(model_type)}, not a {cls.model_type!r}; vqkit.load_model() reads any "
                "model, vqkit.load_prior() any prior"
            )
        return folder.load(cls, config, location)

    @classmethod
    def from_state(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Self:
        """Build one from its config and its tensors; ``where`` names their folder in errors."""
        made = folder.build(cls, config, folder.specs_of(tensors), where)
        folder.fill(made, tensors, where)
        return made.eval()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build a new one from its keyword arguments.

        Raises:
            ConfigError: an unknown key (the valid ones are listed), or a required one that is missing.
        """
        valid = {name: item for name, item in inspect.signature(cls.__init__).parameters.items() if name != "self"}
        unknown = sorted(set(config) - set(valid))
        if unknown:
            raise ConfigError(f"{cls.__name__} takes no {listed(unknown)}; it takes: {', '.join(valid)}")
        missing = [name for name, item in valid.items() if item.default is item.empty and name not in config]
        if missing:
            raise ConfigError(f"{cls.__name__} needs {', '.join(missing)}")
        return cls(**config)

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload the folder to the Hugging Face hub; returns the address of the commit."""
        return hub.push(self.save_pretrained, repo_id, private=private, token=token)

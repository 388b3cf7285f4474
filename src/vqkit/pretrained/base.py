"""Base of everything saved as a folder: its config in JSON beside its tensors (the Hugging Face convention)."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from vqkit.checking import listed, shown
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.ops.buffers import SteadyBuffers
from vqkit.ops.compacting import compact_weights
from vqkit.pretrained import card as cards
from vqkit.pretrained import folder, hub
from vqkit.pretrained.card import ModelCard
from vqkit.pretrained.packing import PACKED
from vqkit.recording import Recorded, has_own_constructor, own_config
from vqkit.registry import Registry, origin_of
from vqkit.storage import atomic


class Pretrained(Recorded, SteadyBuffers, ABC, metaclass=folder.Affordable):
    """Abstract: a module that can be written to a folder and read back, whatever it computes.

    A subclass with a constructor of its own writes nothing for this: its arguments are recorded, and are its config.

    Attributes:
        model_type: the class, as the config in a folder names it; registering a class sets it.
        usage: lines of Python for the model card, after ``import vqkit``.
        part_registries: of the parts that may be given to the constructor as instances.
        training_defaults: settings of ``TrainConfig`` that suit the class, where they are not those of every model: the
            command line and ``vqkit.train`` begin with them.
        config: all keyword arguments of the class, as strict JSON values.
    """

    model_type: ClassVar[str]
    usage: ClassVar[str] = 'model = vqkit.load_model("path/or/owner/name")'
    part_registries: ClassVar[tuple[Registry[Any], ...]] = ()
    training_defaults: ClassVar[Mapping[str, Any]] = {}
    config: dict[str, Any]
    _card: str = ""
    _packed: bool = False

    def complete_config(self) -> None:
        """Record the arguments of a constructor that no class of vqkit has recorded; called once it is made."""
        if has_own_constructor(self):
            self.config = own_config(self, self.part_registries)

    def save_pretrained(self, path: str | Path, *, card: ModelCard | None = None) -> None:
        """Write ``config.json``, ``model.safetensors`` and a model card into a folder; all of them, or none.

        Args:
            path: the folder.
            card: what the card (``README.md``) says beside the config: licence, data, measures. None: as it was when
                the same weights were loaded, or nothing more. A ``README.md`` that a person wrote or changed stays.

        Raises:
            ModelFolderError: the folder holds files of these names that vqkit did not write.
            ConfigError: a class without a name: register it.
            OSError: the folder cannot be written (the files that were there before stay as they were).
        """
        atomic.write_files(self.file_writers(Path(path), card))

    def file_writers(self, path: Path, card: ModelCard | None = None) -> dict[Path, Callable[[Path], object]]:
        """Return what writes each file of the folder; arguments and errors as ``save_pretrained``."""
        kind = type(self)
        if not hasattr(kind, "model_type") or (has_own_constructor(self) and "model_type" not in kind.__dict__):
            raise ConfigError(
                f"a {kind.__name__} has no name of its own to be saved under: register the class, as in "
                '@vqkit.models.MODELS.register("mine")'
            )
        package = origin_of(kind)
        extras = {**({} if package == "vqkit" else {folder.PACKAGE: package}), **self._extras()}
        tensors = self.state_dict()
        text = self._card_text(folder.digest(tensors), card) if cards.is_free(path) else None
        return folder.writers(
            path, self.model_type, self.config, tensors, extras=extras, card=text, packed=self._packed
        )

    def compact(self) -> Self:
        """Round the weights in place, so that folders of it are small from now on; returns itself.

        Parameters and codebooks become float16 numbers (what they are computed in stays float32), layers of integers
        those integers, and running averages that only training needs begin anew. What is saved is then stored in the
        fewest bytes that give back the very same numbers, so that its digest is that of the model here: measure, make
        tokens and learn priors after this, not before.

        Example:
            >>> import tempfile, vqkit
            >>> model = vqkit.VQVAE(16, channels=1, hidden_channels=8).compact()
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save_pretrained(folder)
            ...     back = vqkit.load_model(folder)
            >>> all((back.state_dict()[name] == value).all() for name, value in model.state_dict().items())
            True
        """
        compact_weights(self)
        self._packed = True
        return self

    def save_card(self, path: str | Path, card: ModelCard) -> None:
        """Write the model card into a folder where the model has been saved already, unless a person wrote one.

        Raises:
            OSError: the folder cannot be written.
        """
        if cards.is_free(Path(path)):
            text = self._card_text(folder.digest(self.state_dict()), card)
            atomic.write_text(Path(path) / cards.CARD, text)

    def _card_text(self, weights: str, card: ModelCard | None) -> str:
        if card is None and cards.belongs_to(self._card, weights):
            return self._card
        lines = (inspect.getdoc(type(self)) or type(self).__name__).splitlines()
        page = cards.render(
            card or ModelCard(),
            name=self.model_type,
            title=f"{type(self).__name__} ({self.model_type})",
            about=lines[0],
            usage=self.usage,
            config=self.config,
        )
        return cards.signed(page, weights)

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
        return cls.from_folder(config, location)

    @classmethod
    def from_folder(cls, config: Mapping[str, Any], location: Path) -> Self:
        """Read one from the folder that this config is from, in evaluation mode.

        The header of the tensors is read first; nothing is built that is larger than it says, and no tensor is read
        before the names, shapes and dtypes of all are those that the config makes.

        Raises:
            ModelFolderError: tensors and config that do not belong together, damage, NaN or Inf.
            ConfigError: the config has keys or values that the class does not take.
        """
        header = folder.read_header(location)
        made = folder.build(cls, config, header.tensors, str(location))
        folder.fill(made, folder.read_tensors(location, header), str(location))
        made._card = cards.read(location)
        made._packed = PACKED in header.metadata
        made._load_beside(location)
        return made.eval()

    @classmethod
    def from_registry(cls, registry: Registry[Any], name: str | Path, revision: str | None) -> Self:
        """Read one of any registered class, as ``from_pretrained``.

        Raises:
            ModelFolderError: as there; of a class that is not registered here: says which package to install.
            ConfigError: the config has keys that the class does not take.
        """
        location = folder.locate(name, revision)
        model_type, config = folder.read_config(location)
        if model_type not in registry:
            package = folder.read_extras(location).get(folder.PACKAGE)
            raise ModelFolderError(f"{location}: {registry.missing(model_type, package)}")
        found: Self = registry.get_part(model_type).from_folder(config, location)
        return found

    def _extras(self) -> dict[str, str]:
        """Return what the config file says besides the config, by names of ``folder.EXTRAS``."""
        return {}

    def _load_beside(self, location: Path) -> None:
        """Load what lies in the folder beside the model's own files."""

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
        open_ended = any(item.kind is item.VAR_KEYWORD for item in valid.values())
        valid = {name: item for name, item in valid.items() if item.kind is not item.VAR_KEYWORD}
        unknown = sorted(set(config) - set(valid))
        if unknown and not open_ended:
            raise ConfigError(f"{cls.__name__} takes no {listed(unknown)}; it takes: {', '.join(valid)}")
        missing = [name for name, item in valid.items() if item.default is item.empty and name not in config]
        if missing:
            raise ConfigError(f"{cls.__name__} needs {', '.join(missing)}")
        return cls(**config)

    def push_to_hub(
        self, repo_id: str, *, private: bool = False, token: str | None = None, card: ModelCard | None = None
    ) -> str:
        """Upload the folder to the Hugging Face hub; returns the address of the commit.

        Args:
            repo_id: ``owner/name``.
            private: for a new repository.
            token: of an account that may write there.
            card: see ``save_pretrained``; a card that a person wrote in the repository stays.
        """
        return hub.push(lambda path: self.save_pretrained(path, card=card), repo_id, private=private, token=token)

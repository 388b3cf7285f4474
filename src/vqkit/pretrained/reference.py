"""Reference models: tokenizers that come with the package, each a model folder with its context prior and its card.

They lie in ``weights/``, one folder a name. ``builtin:photo`` names one always, ``photo`` alone where no path is called
so. ``reference.json`` beside the weights says for which signals it is, its rates, its licence, and what was measured.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from vqkit.checking import reason
from vqkit.errors import ModelFolderError
from vqkit.storage.reading import read_json, read_tensor_header

BUILTIN_PREFIX = "builtin:"
WEIGHTS = Path(__file__).parent / "weights"
ABOUT = "reference.json"
_CONFIG, _TENSORS, _DIGEST = "config.json", "model.safetensors", "sha256"


@final
@dataclass(frozen=True)
class ReferenceModel:
    """A model that comes with the package.

    Attributes:
        name: of it: ``"photo"``.
        path: its folder.
        about: what ``reference.json`` says: ``title``, ``kind`` (of signal), ``rates``, ``license``, ``measured``
            (a list of lines), ``command`` (that makes it again).

    Example:
        >>> from vqkit.pretrained.reference import reference_models
        >>> all(model.nbytes < 4_000_000 for model in reference_models().values())
        True
    """

    name: str
    path: Path
    about: dict[str, Any]

    @property
    def kind(self) -> str:
        """The name of the kind of signal, without a sample rate: ``"image"``, ``"sound"``."""
        return str(self.about.get("kind", "")).partition("@")[0]

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors, those of the prior included."""
        return sum(file.stat().st_size for file in self.path.rglob("*.safetensors"))

    @property
    def digest(self) -> str:
        """SHA-256 of its weights, as files of it name their tokenizer by the first half."""
        return read_tensor_header(self.path / _TENSORS).metadata.get(_DIGEST, "")


def reference_models() -> dict[str, ReferenceModel]:
    """Return the models that come with this version, by name."""
    places = sorted(WEIGHTS.iterdir()) if WEIGHTS.is_dir() else []
    return {place.name: _read(place) for place in places if (place / _CONFIG).is_file()}


def _read(place: Path) -> ReferenceModel:
    try:
        about = read_json(place / ABOUT)
    except FileNotFoundError:
        about = {}
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{place / ABOUT}: cannot be read ({reason(error)}); install vqkit again") from error
    return ReferenceModel(place.name, place, about if isinstance(about, dict) else {})


def reference_folder(name: str | Path) -> Path | None:
    """Return the folder of the reference model that a text names; None: it names none, or a path is called so.

    Raises:
        ModelFolderError: ``builtin:`` and a name that no model has.
    """
    if not isinstance(name, str):
        return None
    if name.startswith(BUILTIN_PREFIX):
        return _named(name.removeprefix(BUILTIN_PREFIX))
    if not name or Path(name).name != name or os.path.lexists(name):
        return None
    return WEIGHTS / name if (WEIGHTS / name / _CONFIG).is_file() else None


def _named(name: str) -> Path:
    known = reference_models()
    if name not in known:
        listed = ", ".join(known) or "none: this copy of vqkit was built without them"
        raise ModelFolderError(f"{BUILTIN_PREFIX}{name}: the models that come with vqkit are {listed}")
    return known[name].path


def shadow_note(name: str | Path) -> str | None:
    """Return a note if a path here has the name of a reference model, else None."""
    text = str(name)
    if Path(text).name != text or not os.path.lexists(text) or not (WEIGHTS / text / _CONFIG).is_file():
        return None
    return f"{text} is the path {Path(text).absolute()} here; the model that comes with vqkit is {BUILTIN_PREFIX}{text}"


def by_digest(start: bytes) -> ReferenceModel | None:
    """Return the reference model whose digest begins with these bytes, as a ``.vqk`` file names its tokenizer."""
    return next((model for model in reference_models().values() if model.digest.startswith(start.hex())), None)


def for_kind(kind: str) -> ReferenceModel | None:
    """Return the reference model for a kind of signal, by its name (a sample rate in it does not count)."""
    wanted = kind.partition("@")[0]
    return next((model for model in reference_models().values() if model.kind == wanted), None)

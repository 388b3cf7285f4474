"""A model is a folder: ``config.json`` and ``model.safetensors``, the Hugging Face convention. Never pickle."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vqkit import atomic
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.ops.buffers import take_dtypes

if TYPE_CHECKING:
    from vqkit.models.base import Model

CONFIG = "config.json"
TENSORS = "model.safetensors"
FORMAT = 1
"""Version of the folder's layout, raised when an older vqkit could not read it."""


def save(path: str | Path, model_type: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a model folder; both files are written whole before either takes the place of an earlier one.

    Raises:
        ModelFolderError: the folder holds files of these names that are no model of vqkit's.
        OSError: the folder cannot be written.
    """
    path = Path(path)
    check_free(path)
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    document = {"model_type": model_type, "vqkit_format": FORMAT, **config}
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    atomic.write_files(
        {
            path / TENSORS: lambda temporary: save_file(flat, temporary, metadata={"format": "pt"}),
            path / CONFIG: lambda temporary: temporary.write_text(text, encoding="utf-8"),
        }
    )


def check_free(path: Path) -> None:
    """Raise ``ModelFolderError`` where saving a model would overwrite files that are no model of vqkit's."""
    if path.exists() and not path.is_dir():
        raise ModelFolderError(f"{path} is a file; a model is saved in a folder: name another")
    foreign = next((name for name in (CONFIG, TENSORS) if (path / name).exists()), None)
    if foreign is None or _is_saved_here(path / CONFIG):
        return
    raise ModelFolderError(
        f"{path} holds a {foreign} that is no model of vqkit's, and saving would overwrite it; name another folder, or "
        "remove that file first"
    )


def _is_saved_here(config: Path) -> bool:
    """Whether the config is one that ``save`` wrote."""
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"model_type", "vqkit_format"} <= set(found)


def load_model(name: str | Path, *, revision: str | None = None) -> Model:
    """The model in a folder (or run folder, or hub repository), whatever its class; in evaluation mode.

    Raises:
        ModelFolderError: nothing there, incomplete or damaged.
        ConfigError: the config has keys that the class does not take.
    """
    from vqkit.models.registry import MODELS

    location = locate(name, revision)
    model_type, config = read_config(location)
    if model_type not in MODELS:
        raise ModelFolderError(f"{location}: model_type {model_type!r} is unknown here; known: {', '.join(MODELS)}")
    return MODELS[model_type].from_state(config, read_tensors(location), str(location))


def locate(name: str | Path, revision: str | None = None) -> Path:
    """The folder that holds the model: ``name`` itself, ``name/model`` (a run), or a download from the hub."""
    path = Path(name)
    for candidate in (path, path / "model"):
        if (candidate / CONFIG).is_file() and (candidate / TENSORS).is_file():
            return candidate
    if path.exists():
        lacks = " and ".join(name for name in (CONFIG, TENSORS) if not (path / name).is_file())
        hint = "; this run has not finished yet: `vqkit train --resume` it" if (path / "run.json").is_file() else ""
        raise ModelFolderError(f"{path}: a model folder holds {CONFIG} and {TENSORS}; here is no {lacks}{hint}")
    if not is_hub_name(str(name)):
        raise ModelFolderError(f"{path}: there is no such folder, and it is no hub name of the form owner/name")
    return _download(str(name), revision)


def is_hub_name(name: str) -> bool:
    """Whether this has the form of a repository's name on the hub, ``owner/name``."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name) is not None


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[CONFIG, TENSORS]))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelFolderError(
            f"{name}: no such local folder, and the hub gave nothing ({reason}); check the spelling and the connection"
        ) from error


def read_config(location: Path) -> tuple[str, dict[str, Any]]:
    """``(model_type, keyword arguments)`` from ``config.json``."""
    try:
        config = json.loads((location / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{location / CONFIG}: not readable as JSON ({error})") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise ModelFolderError(f"{location / CONFIG}: has no model_type, so it is not the config of a vqkit model")
    version = config.pop("vqkit_format", FORMAT)
    if version != FORMAT:
        raise ModelFolderError(
            f"{location / CONFIG}: layout version {version}; this vqkit reads version {FORMAT}: update vqkit"
        )
    return str(config.pop("model_type")), config


def check_type(location: Path, found: str, wanted: str) -> None:
    """Raise unless the folder holds the wanted class of model."""
    if found != wanted:
        raise ModelFolderError(f"{location}: holds a {found!r} model, not {wanted!r}; vqkit.load_model() reads any")


def read_tensors(location: Path) -> dict[str, Tensor]:
    """The tensors of ``model.safetensors``."""
    try:
        return load_file(location / TENSORS)
    except (OSError, SafetensorError) as error:
        raise ModelFolderError(f"{location / TENSORS}: truncated or damaged ({error})") from error


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy tensors into a model; names and shapes must match exactly."""
    own = model.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name} is {tuple(tensors[name].shape)}, the config makes it {tuple(own[name].shape)}"
        for name in sorted(own.keys() & tensors.keys())
        if own[name].shape != tensors[name].shape
    ]
    problems = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has also {', '.join(extra)}"] * bool(extra) + shapes
    if problems:
        raise ModelFolderError(f"{where}: the tensors do not fit the config: {'; '.join(problems)}")
    take_dtypes(model, tensors)
    model.load_state_dict(dict(tensors))


def push(model: Model, repo_id: str, *, private: bool, token: str | None) -> str:
    """Upload ``model`` to the hub as ``repo_id``; returns the address of the commit."""
    from huggingface_hub import HfApi

    if not is_hub_name(repo_id):
        raise ConfigError(f"repo_id={repo_id!r}: a hub repository is named owner/name")
    api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        model.save_pretrained(temporary)
        commit = api.upload_folder(repo_id=repo_id, folder_path=temporary, commit_message="Upload a vqkit model")
    return str(commit)


def content_hash(model: nn.Module) -> str:
    """SHA-256 over the names, shapes, dtypes and bytes of a model's tensors: what tokens belong to."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(array.shape)} {array.dtype}\n".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

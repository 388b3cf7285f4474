"""Repositories of the Hugging Face hub: a model's folder from there, and to there."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from vqkit.checking import reason
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.optional import require
from vqkit.pretrained.card import CARD, is_free


def is_hub_name(name: str) -> bool:
    """Return True if ``name`` has the form of a repository name on the hub, ``owner/name``."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name) is not None


def asks_hub(name: str | Path, revision: str | None = None) -> bool:
    """Return True if a name that no local folder has is looked for on the hub.

    That is ``owner/name``, as text, unless there is a folder ``owner`` here (a misspelt path then); with a
    ``revision``, which only the hub has, also then.
    """
    if not isinstance(name, str) or not is_hub_name(name):
        return False
    return revision is not None or not Path(name).parent.is_dir()


def download(name: str, revision: str | None, files: list[str]) -> Path:
    """A folder with these files of a repository.

    Raises:
        ModelFolderError: there is no such repository, or it cannot be reached.
    """
    hub = require("huggingface_hub", f"models of the Hugging Face hub ({name})")
    try:
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=files))
    except Exception as error:  # the client's own, its HTTP library's, and the system's share no base
        raise ModelFolderError(
            f"{name}: no such local folder, and the hub gave nothing ({_why(error)}); check the spelling and the "
            "connection"
        ) from error


def _why(error: BaseException) -> str:
    """Return why the hub gave nothing, in a few words: the first line, without the number of the request."""
    text = reason(error).removeprefix("Got: ")
    return re.sub(r"\s*\(Request ID: [^)]*\)|\.$", "", text)


def push(save: Callable[[Path], object], repo_id: str, *, private: bool, token: str | None) -> str:
    """Upload the folder that ``save`` writes to the hub as ``repo_id``; returns the address of the commit.

    A card that a person wrote there stays.

    Raises:
        ConfigError: no name of a repository.
        ModelFolderError: the hub cannot be reached, or refuses.
    """
    if not is_hub_name(repo_id):
        raise ConfigError(f"repo_id={repo_id!r}: a hub repository is named owner/name")
    hub = require("huggingface_hub", "models of the Hugging Face hub")
    with tempfile.TemporaryDirectory() as temporary:
        there, new = Path(temporary) / "there", Path(temporary) / "new"
        save(new)
        try:
            api = hub.HfApi(token=token)
            api.create_repo(repo_id, private=private, exist_ok=True)
            if api.file_exists(repo_id, CARD):
                api.hf_hub_download(repo_id, CARD, local_dir=there)
            if not is_free(there):
                (new / CARD).unlink(missing_ok=True)
            commit = api.upload_folder(repo_id=repo_id, folder_path=str(new), commit_message="Upload a vqkit model")
        except Exception as error:
            raise ModelFolderError(
                f"{repo_id}: the hub took nothing ({_why(error)}); check the connection, the name and the token"
            ) from error
    return str(commit.commit_url)

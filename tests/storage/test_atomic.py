"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from vqkit.storage import atomic


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def half_then(error: BaseException) -> object:
    def write(path: Path) -> None:
        path.write_text("half")
        raise error

    return write


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_replaced_whole(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "deep" / "er" / "a.txt"
    atomic.write_file(path, lambda temporary: temporary.write_text("one"), durable=durable)
    with path.open() as reader:
        atomic.write_file(path, lambda temporary: temporary.write_text("two"), durable=durable)
        assert reader.read() == "one"  # who has the old file open keeps it: it is replaced, not rewritten
    assert path.read_text() == "two"
    assert names(path.parent) == ["a.txt"]


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_permissions_are_what_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    atomic.write_file(tmp_path / "a.txt", lambda temporary: temporary.write_text("one"))
    atomic.write_file(tmp_path / "b", lambda temporary: save_file({"a": np.zeros(9)}, temporary))
    with atomic.new_folder(tmp_path / "c") as folder:
        pass
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "a.txt", tmp_path / "b", tmp_path / "c")]
    assert modes == [0o666 & ~umask, 0o666 & ~umask, 0o777 & ~umask]
    assert not folder.exists()


@pytest.mark.parametrize("name", ["n" * 255, "ä" * 127, "n" * 244 + ".txt"])
def test_the_longest_names_can_be_written(tmp_path: Path, name: str) -> None:
    atomic.write_file(tmp_path / name, lambda temporary: temporary.write_text("one"))
    with atomic.new_folder(tmp_path / "deep" / name):
        pass
    assert names(tmp_path) == sorted(["deep", name])
    assert names(tmp_path / "deep") == [name]


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)):
        atomic.write_file(path, half_then(error))  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_system_errors_name_the_file_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for error in (
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"),
    ):
        with pytest.raises(OSError) as caught:
            atomic.write_file(path, half_then(error))  # type: ignore[arg-type]
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename == str(path)
    elsewhere = FileNotFoundError(errno.ENOENT, "no", "/input")
    with pytest.raises(FileNotFoundError) as missing:
        atomic.write_file(path, half_then(elsewhere))  # type: ignore[arg-type]
    assert missing.value.filename == "/input"


def test_the_text_of_safetensors_is_understood(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:  # its own error is no OSError
        atomic.write_file(tmp_path / "a", lambda temporary: save_file({"a": np.zeros(9)}, temporary / "no" / "folder"))
    assert caught.value.errno == errno.ENOTDIR
    assert caught.value.filename == str(tmp_path / "a")
    assert names(tmp_path) == []


def test_json_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    atomic.write_json(path, {"b": [1, 2.5, None], "a": "Grüße"})
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["b", "a"]
    assert "Grüße" in path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8"))["a"] == "Grüße"


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "a"
    with atomic.new_folder(path) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "x").write_text("x")
        assert not path.exists()
    assert (path / "sub" / "x").read_text() == "x"
    assert names(path.parent) == ["a"]


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_a_failed_folder_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), atomic.new_folder(tmp_path / "a") as temporary:  # noqa: PT012
        (temporary / "x").write_text("x")
        raise error
    assert names(tmp_path) == []


def test_a_folder_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").write_text("mine")
    with pytest.raises(OSError), atomic.new_folder(tmp_path / "a") as temporary:
        (temporary / "x").write_text("x")
    assert (tmp_path / "a" / "mine").read_text() == "mine"
    assert names(tmp_path) == ["a"]


def test_killed_while_writing(tmp_path: Path) -> None:
    """SIGKILL in the middle: the old file stays, and ``remove_leftovers`` clears what is left."""
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / ".hidden").write_text("the user's")
    code = (
        "import os, signal, sys; from pathlib import Path; from vqkit.storage import atomic\n"
        "def write(path):\n"
        "    path.write_text('half'); (path.parent / '.b.part').mkdir(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic.write_file(Path(sys.argv[1]) / 'a.txt', write)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(names(tmp_path)) == 4
    atomic.remove_leftovers(tmp_path)
    assert names(tmp_path) == [".hidden", "a.txt"]


def test_flush_of_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        atomic.flush(tmp_path / "nothing")
    atomic.flush(tmp_path)
    assert os.path.isdir(tmp_path)  # noqa: PTH112

"""Locks of folders and files: one writer at a time, told by name, and none that outlives its process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from vqkit.errors import ConfigError
from vqkit.storage import lock
from vqkit.storage.lock import LOCK, file_lock, folder_lock

HOLD = """import sys, pathlib
from vqkit.storage import lock
with lock.folder_lock(pathlib.Path(sys.argv[1]), 'encoding'):
    """


def holding(path: Path, then: str = "print('held', flush=True); sys.stdin.read()") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD + then, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def without_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "fcntl", None)


@pytest.fixture(params=["flock", "file"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "file":
        without_flock(monkeypatch)
    return str(request.param)


def test_the_second_is_told_who_the_first_is(tmp_path: Path, either: str) -> None:
    with (
        folder_lock(tmp_path / "out", "encoding"),
        pytest.raises(ConfigError, match="this process is already encoding here") as told,
        folder_lock(tmp_path / "out", "training"),
    ):
        pass
    for word in (str(tmp_path / "out"), f"process {os.getpid()}", "since 20", "wait for it"):
        assert word in str(told.value)
    assert "\n" not in str(told.value)


def test_nothing_is_left_behind(tmp_path: Path, either: str) -> None:
    with folder_lock(tmp_path / "new", "encoding"):
        pass
    assert not (tmp_path / "new").exists()
    with folder_lock(tmp_path / "new", "encoding"):
        (tmp_path / "new" / "result").touch()
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["result"]
    with file_lock(tmp_path / ("x" * 200 + ".vqk"), "compressing"):
        assert len(list(tmp_path.iterdir())) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["new"]
    with pytest.raises(KeyError), folder_lock(tmp_path / "new", "encoding"):
        raise KeyError
    with folder_lock(tmp_path / "new", "encoding"):
        pass


def test_files_have_locks_of_their_own(tmp_path: Path, either: str) -> None:
    with file_lock(tmp_path / "a.vqk", "compressing"), file_lock(tmp_path / "b.vqk", "compressing"):
        with pytest.raises(ConfigError, match=r"a\.vqk: this process is already compressing"):
            file_lock(tmp_path / "a.vqk", "compressing").__enter__()
        with folder_lock(tmp_path, "encoding"):
            pass


def test_the_lock_of_a_killed_process_counts_for_nothing(tmp_path: Path) -> None:
    first = holding(tmp_path)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    with pytest.raises(ConfigError, match=f"process {first.pid}, since"), folder_lock(tmp_path, "encoding"):
        pass
    first.kill()
    first.communicate()
    assert (tmp_path / LOCK).is_file()
    with folder_lock(tmp_path, "encoding"):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert not (tmp_path / LOCK).exists()


def owner(**other: Any) -> str:
    return json.dumps(
        {"pid": os.getppid(), "host": socket.gethostname(), "since": "then", "doing": "encoding", **other}
    )


def test_without_flock_a_lock_is_stale_when_its_process_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_flock(monkeypatch)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    file = tmp_path / LOCK
    for text, held in (
        (owner(), f"process {os.getppid()}"),
        (owner(pid=gone.pid), None),
        (owner(pid=gone.pid, host="elsewhere"), f"process {gone.pid} on elsewhere"),
        (owner(command="a\x1b[2J\nb"), r"a \[2J b"),
        ("", "wait for it"),  # just being written
    ):
        file.write_text(text)
        if held is None:
            with folder_lock(tmp_path, "encoding"):
                pass
            continue
        with pytest.raises(ConfigError, match=held), folder_lock(tmp_path, "encoding"):
            pass
    os.utime(file, (1, 1))
    with folder_lock(tmp_path, "encoding"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="no flock")
def test_an_owner_that_ends_before_it_has_said_who_it_is_lets_the_next_one_in(tmp_path: Path) -> None:
    import fcntl

    lock = tmp_path / ".out.lock"
    handle = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)

    def end() -> None:
        lock.unlink()
        os.close(handle)

    later = threading.Timer(0.1, end)
    later.start()
    with file_lock(tmp_path / "out", "compressing"):
        assert lock.exists()
    later.join()
    assert not lock.exists()

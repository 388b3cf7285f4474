"""A crew of processes: all tasks are done, and what goes wrong is told as one process would tell it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, final

import pytest

from vqkit import registry
from vqkit.cli.failures import end
from vqkit.crew import Crew, Failure
from vqkit.errors import ConfigError, DataError, WorkerError

KEPT = "what is whole is kept: call it again"


class Odd(Exception):
    """An error that cannot be sent: its constructor takes two arguments, and keeps one."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


@final
class Broken:
    """A part of somebody else's."""

    def fail(self) -> None:
        raise LookupError("no such shelf")


def work(scale: int) -> Callable[[Any], Iterator[int]]:
    if scale == 0:
        raise DataError("nothing to work with; give some")

    def do(task: Any) -> Iterator[int]:
        if task == "typed":
            raise DataError("a.npy: it is cut short; give another")
        if task == "system":
            raise OSError(28, "No space left on device", "/far/indices-00000.npy")
        if task == "odd":
            raise Odd("strange", "thing")
        if task == "part":
            Broken().fail()
        yield scale * task
        yield scale * task + 1

    return do


def test_all_tasks_are_done_by_one_or_another() -> None:
    with Crew(work, [(10,), (10,)], kept=KEPT) as crew:
        for _ in range(2):  # it may be given more
            assert sorted(crew.run([1, 2, 3])) == [(0, 10), (0, 11), (1, 20), (1, 21), (2, 30), (2, 31)]
        with pytest.raises(DataError, match=r"^a\.npy: it is cut short; give another$") as told:
            list(crew.run(["typed"]))
    assert "in do" in str(told.value.__cause__)  # where it arose there


def test_what_cannot_begin_says_so_and_what_cannot_be_sent_too(capfd: pytest.CaptureFixture[str]) -> None:
    with Crew(work, [(0,)], kept=KEPT) as crew, pytest.raises(DataError, match="nothing to work with"):
        list(crew.run([1]))
    with pytest.raises(ConfigError, match=r"cannot be given to other processes .*workers=1, or data that has a name"):
        Crew(work, [(lambda: 3,)], kept=KEPT)
    assert capfd.readouterr().err == ""  # not a word of Python's


@pytest.mark.parametrize(
    ("task", "words", "status"),
    [
        ("typed", "vqkit: a.npy: it is cut short; give another", 2),
        ("system", "vqkit: /far/indices-00000.npy: the disk is full; make room or choose another place to write to", 2),
        ("part", "vqkit: the widget 'broken' (package tests) failed (LookupError: no such shelf)", 2),
        ("odd", "vqkit: internal error, a fault of vqkit's own", 70),
    ],
)
def test_the_line_is_that_of_one_process(
    task: str, words: str, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_REGISTRIES", [])
    if task == "part":
        registry.Registry("widget", "vqkit.widgets", object).register("broken", listed=False)(Broken)
    lines = []
    for far in (False, True):
        try:
            list(work(1)(task))
        except Exception as error:  # noqa: BLE001
            ended = end(Failure.of(error).error() if far else error)
        lines.append(f"{ended} {capsys.readouterr().err}")
    assert lines[0].startswith(f"{status} {words}")
    assert lines[0] == lines[1]
    assert lines[1].count("\n") == 1


SCRIPT = """
from operator import methodcaller
from vqkit.crew import Crew
from vqkit.errors import WorkerError
try:
    with Crew(methodcaller, [("split",)], kept="") as crew:
        print(list(crew.run(["a b"])))
except WorkerError as error:
    print(error)
"""


def test_a_script_without_a_guard_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip().endswith('put what it does below if __name__ == "__main__":')
    assert done.stderr == ""


def test_one_that_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    with Crew(work, [(1,)], kept=KEPT) as crew:
        (member,) = crew._members
        member.process.kill()
        with pytest.raises(WorkerError, match=rf"worker 0 .*\(SIGKILL\); memory may not suffice; {KEPT}"):
            list(crew.run([1]))

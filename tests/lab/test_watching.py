"""The watch over a training: logs that grow, are cut, are half written; runs that begin later, end, are killed."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import vqkit
from vqkit.lab.acts.live import watching
from vqkit.lab.acts.live.watching import FINISHED, RUNNING, STOPPED, WAITING, RunWatch, runs_in
from vqkit.storage.lock import LOCK, folder_lock, folder_writer


def line(step: int, kind: str = "train", **values: Any) -> str:
    return json.dumps({"step": step, "kind": kind, **values}) + "\n"


def write(folder: Path, *lines: str) -> None:
    folder.mkdir(exist_ok=True)
    with (folder / "log.jsonl").open("a") as file:
        file.writelines(lines)


def losses(watch: RunWatch) -> list[tuple[float, float]]:
    return watch.train.series("loss")


def test_a_run_that_begins_later_is_waited_for(tmp_path: Path) -> None:
    watch = RunWatch(tmp_path / "run")
    assert not watch.look()
    assert watch.state == WAITING
    write(tmp_path / "run", line(1, loss=3.0))
    assert watch.look()
    assert losses(watch) == [(1, 3.0)]


def test_only_what_is_new_is_read_and_a_half_written_line_waits(tmp_path: Path) -> None:
    whole = line(2, loss=2.0)
    write(tmp_path, line(1, loss=3.0), whole[:9])
    watch = RunWatch(tmp_path)
    watch.look()
    assert losses(watch) == [(1, 3.0)]
    assert not watch.look()
    write(tmp_path, whole[9:])
    assert watch.look()
    assert losses(watch) == [(1, 3.0), (2, 2.0)]
    assert watch.skipped == 0


@pytest.mark.parametrize("again", [[line(2, loss=9.0)], [line(2, loss=9.0), line(3, loss=8.0), line(4, loss=7.0)]])
def test_a_log_that_a_resumed_run_has_cut_is_read_anew(tmp_path: Path, again: list[str]) -> None:
    write(tmp_path, line(1, loss=3.0), line(2, loss=2.0), line(3, loss=1.0))
    watch = RunWatch(tmp_path)
    watch.look()
    log = tmp_path / "log.jsonl"
    log.write_text(line(1, loss=3.0) + "".join(again))
    watch.look()
    expected = [(1.0, 3.0), *((float(json.loads(each)["step"]), json.loads(each)["loss"]) for each in again)]
    assert losses(watch) == expected


def test_damaged_lines_are_counted_and_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "nonsense\n", '{"step": 1}\n', "[1]\n", '{"step": "1", "kind": "train"}\n', line(5, loss=None))
    write(tmp_path, line(6, loss=1.0))
    watch = RunWatch(tmp_path)
    watch.look()
    assert watch.skipped == 4
    assert losses(watch) == [(6, 1.0)]  # null is a number that was not finite


def test_a_long_log_is_thinned_evenly_and_keeps_its_newest_line(tmp_path: Path) -> None:
    write(tmp_path, *(line(step, loss=float(step)) for step in range(1, 5001)))
    watch = RunWatch(tmp_path)
    watch.look()
    steps = [step for step, _ in losses(watch)]
    assert len(steps) <= 1025
    assert steps[-1] == 5000
    assert {round(b - a) for a, b in itertools.pairwise(steps[:-1])} == {8}


def test_a_log_of_many_bytes_is_caught_up_with_in_several_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_AT_ONCE", 100)
    write(tmp_path, *(line(step, loss=1.0) for step in range(20)), line(20, text="x" * 300))
    watch = RunWatch(tmp_path)
    looks = 0
    while watch.look():
        looks += 1
    assert watch.train.count == 21
    assert looks > 5


def test_states_of_a_run(tmp_path: Path) -> None:
    write(tmp_path, line(1, loss=1.0))
    watch = RunWatch(tmp_path)
    with folder_lock(tmp_path, "training"):
        watch.look()
        assert watch.state == RUNNING
        assert (folder_writer(tmp_path) or {})["doing"] == "training"
    watch.look()
    assert watch.state == STOPPED


def test_a_killed_training_is_told_from_one_that_runs(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom vqkit.storage.lock import folder_lock\n"
        f"with folder_lock(Path({str(tmp_path)!r}), 'training'):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    write(tmp_path, line(1, loss=1.0))
    assert (tmp_path / LOCK).is_file()
    assert folder_writer(tmp_path) is None
    watch = RunWatch(tmp_path)
    watch.look()
    assert watch.state == STOPPED


def test_a_real_run_has_measures_pictures_and_an_end(tmp_path: Path) -> None:
    digits = vqkit.load_source("builtin:digits").subset(range(100))
    model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8, residual_channels=4)
    run = vqkit.train(model, digits, out=tmp_path / "runs" / "one", steps=4, log_every=2, evaluations=1, quiet=True)
    assert runs_in([tmp_path]) == [run.path]
    watch = RunWatch(run.path)
    watch.look()
    assert watch.state == FINISHED
    assert (watch.step, watch.fraction, watch.codes, watch.seconds_left) == (4, 1.0, 16, None)
    assert [step for step, _ in losses(watch)] == [2, 4]
    usage = watch.train.series("usage")[-1][1]
    assert watch.dead == round((1 - usage) * 16)
    assert [name for name in ("psnr_db", "perplexity", "bits_per_dim") if not watch.validation.series(name)] == []
    assert watch.pictures()[-1].name == "final.png"


def test_runs_are_listed_the_newest_first_and_not_what_lies_in_them(tmp_path: Path) -> None:
    for age, name in enumerate(["old", "new", "deep/er"]):
        folder = tmp_path / name
        (folder / "model").mkdir(parents=True)
        for place in (folder, folder / "model"):
            (place / "run.json").write_text("{}")
        (folder / "log.jsonl").write_text("")
        os.utime(folder / "log.jsonl", (1000 + age, 1000 + age))
    assert [each.relative_to(tmp_path).as_posix() for each in runs_in([tmp_path])] == ["deep/er", "new", "old"]

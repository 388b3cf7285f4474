"""Number of CPU threads: chosen by the time of steps on a simulated machine; a person's own number holds."""

from __future__ import annotations

import copy
import io
import json
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from vqkit import threads as cpu
from vqkit.codec import Compressor, Decompressor, Signal
from vqkit.errors import ConfigError
from vqkit.threads import ThreadChoice, choice_of_threads, counts_up_to, is_contended
from vqkit.training.record.channels import Channels
from vqkit.training.record.progress import Progress
from vqkit.training.reporting import report_contention

CPU = torch.device("cpu")


class Machine:
    """A machine of so many cores, some of them taken by neighbors: a step takes a clock that tests can read."""

    def __init__(self, cores: int, step: float = 0.01, alone: float = 0.1) -> None:
        self.cores, self.taken, self.now = cores, 0, 0.0
        self.step, self.alone = step, alone
        self.wasted = 0.0

    def seconds(self, count: int) -> float:
        """Amdahl's law, and 20 times as long where threads wait for a core that another process has."""
        plain = self.step * (self.alone + (1 - self.alone) / count)
        return plain * (20 if count > max(1, self.cores - self.taken) else 1)

    def contended(self, count: int) -> bool:
        waits = count > self.cores - self.taken and count > 1
        self.now += 0.04 if waits else 0.0001
        return waits

    def choice(self, counts: list[int] | None = None) -> ThreadChoice:
        return ThreadChoice(counts or counts_up_to(self.cores), lambda: self.now, self.contended)

    def run(self, choice: ThreadChoice, seconds: float) -> float:
        """Steps for so long; returns how many of them per second."""
        end, steps, start = self.now + seconds, 0, self.now
        while self.now < end:
            with choice.step():
                self.now += self.seconds(choice._trying)
            steps += 1
        return steps / (self.now - start)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of ``Machine`` take no time, so none of torch's threads is started and ended for each of them."""
    monkeypatch.setattr(cpu, "use_threads", lambda count: None)


@pytest.fixture(autouse=True)
def as_before() -> Any:
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)
    cpu._asked = None
    cpu._recent = (0, 0, float("-inf"))


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize(
    ("cores", "taken", "best"), [(2, 0, 2), (2, 1, 1), (8, 0, 8), (8, 1, 7), (8, 4, 4), (64, 62, 2)]
)
def test_the_fastest_number_is_found_and_kept(cores: int, taken: int, best: int) -> None:
    machine = Machine(cores, step=0.05)
    machine.taken = taken
    choice = machine.choice()
    machine.run(choice, 10)
    assert choice.chosen == best
    rate = machine.run(choice, 100) * machine.seconds(best)
    assert rate > 1 / 1.15, rate  # of the best number's rate


@pytest.mark.usefixtures("simulated")
def test_a_neighbor_that_comes_and_goes_is_followed() -> None:
    machine = Machine(2)
    choice = machine.choice()
    said: list[str] = []
    choice.say = said.append
    machine.run(choice, 20)
    assert choice.chosen == 2
    machine.taken = 1
    machine.run(choice, 2)
    assert choice.chosen == 1
    machine.taken = 0
    machine.run(choice, 10)
    assert choice.chosen == 2
    assert said[0] == (
        "1 of 2 CPU threads from now on: 2 wait for one another, because other processes use their cores"
    )
    assert "times as fast as 1" in said[1]


@pytest.mark.usefixtures("simulated")
def test_what_no_thread_makes_faster_stays_with_the_number_that_is_faster() -> None:
    machine = Machine(4, alone=1.3)  # threads cost more than they do
    choice = machine.choice()
    machine.run(choice, 20)
    assert choice.chosen == 1


@pytest.mark.usefixtures("simulated")
def test_a_probe_that_is_wrong_is_overruled_by_the_steps() -> None:
    machine = Machine(2, step=0.03)
    choice = ThreadChoice([1, 2], lambda: machine.now, lambda count: count > 1)
    machine.run(choice, 200)
    assert choice.chosen == 2


@pytest.mark.usefixtures("simulated")
def test_slow_steps_are_measured_one_by_one() -> None:
    machine = Machine(4, step=20.0)
    machine.taken = 2
    choice = machine.choice()
    machine.run(choice, 400)
    assert choice.chosen == 2


@pytest.mark.usefixtures("simulated")
def test_steps_of_different_work_are_compared_per_unit_of_it() -> None:
    machine = Machine(2)
    choice = machine.choice()
    for number in range(3000):
        work = 1 + 9 * (number % 2)
        with choice.step(work):
            machine.now += work * machine.seconds(choice._trying)
    assert choice.chosen == 2


def test_threads_are_as_before_outside_of_steps_and_after_a_fault() -> None:
    torch.set_num_threads(3)
    choice = ThreadChoice([1, 2], contended=lambda count: True)
    with choice.step():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with choice, choice.step():
        assert torch.get_num_threads() == 1
    with pytest.raises(RuntimeError, match="fault"), choice, choice.step():
        raise RuntimeError("fault")
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(
    ("make", "counts"),
    [
        (lambda: choice_of_threads(CPU), [1, 2]),
        (lambda: choice_of_threads(CPU, fixed=True), [2]),
        (lambda: choice_of_threads(CPU, "auto", fixed=True), [1, 2]),
        (lambda: choice_of_threads(CPU, 7), [7]),
        (lambda: choice_of_threads(torch.device("cuda")), [2]),
    ],
)
def test_a_choice_is_left_to_a_cpu_whose_number_nobody_set(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], ThreadChoice], counts: list[int]
) -> None:
    for name in cpu._OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    torch.set_num_threads(2)
    assert make().counts == counts
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert choice_of_threads(CPU).counts == [2]
    monkeypatch.delenv("OMP_NUM_THREADS")
    torch.set_num_threads(5)
    assert choice_of_threads(CPU).counts == [5]
    cpu.set_threads(2)
    assert choice_of_threads(CPU).counts == [2]


def test_a_single_thread_waits_for_nobody_and_the_look_changes_no_number() -> None:
    torch.set_num_threads(2)
    assert not is_contended(1)
    is_contended(2)
    assert torch.get_num_threads() == 2


def test_a_run_has_the_threads_that_it_is_given(vq: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    step = ThreadChoice.step
    monkeypatch.setattr(ThreadChoice, "step", lambda self, *a: seen.append(torch.get_num_threads()) or step(self, *a))
    digits = vqkit.load_source("builtin:digits").subset(range(40))
    settings: dict[str, Any] = {"steps": 2, "batch_size": 4, "quiet": True, "evaluations": 0}
    model = vqkit.VQVAE.for_source(digits, 8, hidden_channels=8, residual_blocks=0)
    run = vqkit.train(model, digits, out=tmp_path / "run", threads=3, **settings)
    assert set(seen) == {3}
    assert vqkit.train(model, digits, out=tmp_path / "second", **settings)
    assert json.loads((run.path / "run.json").read_text())["training"]["threads"] == 3
    assert "threads" not in json.loads((tmp_path / "second" / "run.json").read_text())["training"]
    made = vq("train", "digits", "--out", str(tmp_path / "third"), "--steps", 1, "--threads", "auto")
    assert made.status == 0, made.err
    for wrong in ("some", "0", "4097", "-1", "1.5"):
        outcome = vq("eval", str(run.path), "--threads", wrong)
        assert outcome.status == 2
        assert "Usage: vqkit" in outcome.err


def test_a_run_of_steps_is_told_that_its_threads_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    channels = Channels(Progress("", show=False))
    monkeypatch.setattr(Progress, "say", lambda self, line, style="": said.append(line))
    for choice in (ThreadChoice([1, 2], contended=bool), ThreadChoice([2], contended=lambda count: False)):
        report_contention(channels, choice)
    assert said == []
    report_contention(channels, ThreadChoice([2], contended=lambda count: count == 2))
    assert "threads=1" in said[0]


@pytest.mark.parametrize("wrong", [0, -1, 4097, True, "many", 1.5])
def test_other_numbers_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"threads=.*give a number from 1 to 4096, or 'auto'"):
        vqkit.TrainConfig(threads=wrong)


def test_a_thread_that_begins_meanwhile_has_the_number_of_the_process() -> None:
    torch.set_num_threads(3)
    found: list[int] = []
    with ThreadChoice([1, 2], contended=lambda count: True):
        assert torch.get_num_threads() == 1
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
    assert found == [3]
    assert torch.get_num_threads() == 3


def test_contexts_of_one_choice_nest() -> None:
    torch.set_num_threads(3)
    choice = ThreadChoice([2])
    with choice, choice:
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 3


def test_what_a_command_was_told_ends_with_it(vq: Any, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    np.save(tmp_path / "images.npy", np.zeros((8, 1, 8, 8), np.uint8))
    for asked in ("1", "auto"):
        vq("train", str(tmp_path / "images.npy"), "--out", str(tmp_path / asked), "--steps", 1, "--threads", asked)
        assert (tmp_path / asked / "run.json").is_file()
        assert torch.get_num_threads() == 2
        assert choice_of_threads(CPU, fixed=True).counts == [2]


def test_readers_and_writers_of_files_are_copied_and_follow_the_number_that_is_set_later() -> None:
    torch.set_num_threads(2)
    model = vqkit.VQVAE(8, channels=1, hidden_channels=8, residual_blocks=0).eval()
    file, seen = io.BytesIO(), []
    writer = Compressor(model)
    writer.write(file, [Signal(np.zeros((1, 8, 8), np.uint8))])
    reader = Decompressor(model)
    list(reader.read(io.BytesIO(file.getvalue())))
    for each in (reader, writer):
        copy.deepcopy(each)
        pickle.dumps(each)
    torch.set_num_threads(1)
    plain = Decompressor.signals
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decompressor, "signals", lambda *a: seen.append(torch.get_num_threads()) or plain(*a))
        list(reader.read(io.BytesIO(file.getvalue())))
    assert seen == [1]


@pytest.mark.usefixtures("simulated")
def test_a_pass_begins_where_the_one_before_it_was() -> None:
    machine = Machine(2)
    machine.taken = 1
    machine.run(machine.choice(), 1)
    looked = machine.now
    second = machine.choice()
    with second.step():
        pass
    assert second.chosen == 1
    assert machine.now == looked  # no look of its own
    machine.now += 60
    machine.taken = 0
    third = machine.choice()
    with third.step():
        pass
    assert third.chosen == 2

"""Worker threads: every job done once, failures and interruptions raised, torch's own threads left as they were."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from tests.reference.nearest import nearest
from vqkit.ops import nearest_code
from vqkit.ops.assignment import nearest_blocks, worker_threads
from vqkit.ops.assignment.worker_threads import Share, in_workers


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Set torch's threads for the test, and let the smallest search use them."""
    monkeypatch.setattr(nearest_blocks, "_WORTH_THREADS", 1)
    monkeypatch.setattr(nearest_blocks, "_SMALL", 0)
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def vectors(n: int, k: int, d: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    codebook = torch.randn(k, d, generator=generator)
    codebook = codebook[torch.randint(k, (k,), generator=generator)]  # equal codes, so that rows are searched again
    return torch.randn(n, d, generator=generator), codebook


def ids_of_workers() -> set[int | None]:
    return {thread.ident for thread in threading.enumerate() if thread.name.startswith("vqkit-worker")}


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("metric", ["euclidean", "dot"])
def test_a_search_in_threads_is_exact(threads: Callable[[int], None], count: int, metric: str) -> None:
    latents, codebook = vectors(3001, 1400, 5)
    threads(count)
    found = nearest_code(latents, codebook, metric=metric)
    assert torch.equal(found, nearest(latents, codebook, metric))
    threads(1)
    assert torch.equal(found, nearest_code(latents, codebook, metric=metric))


def test_unsound_codes_are_never_chosen_in_threads(threads: Callable[[int], None]) -> None:
    latents, codebook = vectors(600, 70, 4)
    codebook[::7] = torch.nan
    threads(2)
    found = nearest_code(latents, codebook)
    threads(1)
    assert torch.equal(found, nearest_code(latents, codebook))
    threads(2)
    with pytest.raises(ValueError, match="no code of the codebook is finite"):
        nearest_code(latents, torch.full((3, 4), torch.nan))


def test_one_thread_and_small_searches_use_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a worker was asked for")

    monkeypatch.setattr(nearest_blocks, "in_workers", refuse)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        nearest_code(*vectors(1000, 64, 4))
        torch.set_num_threads(1)
        monkeypatch.setattr(nearest_blocks, "_WORTH_THREADS", 1)
        monkeypatch.setattr(nearest_blocks, "_SMALL", 0)
        nearest_code(*vectors(1000, 64, 4))
        torch.set_num_threads(2)
        with pytest.raises(AssertionError, match="a worker was asked for"):
            nearest_code(*vectors(1000, 64, 4))
    finally:
        torch.set_num_threads(before)


def test_modes_of_the_caller_hold(threads: Callable[[int], None]) -> None:
    latents, codebook = vectors(900, 80, 4)
    expected = nearest(latents, codebook)
    threads(2)
    with torch.inference_mode():
        found = nearest_code(latents * 1.0, codebook)
        assert found.is_inference()
    assert torch.equal(found, expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nearest_code(latents.requires_grad_(), codebook), expected)
    found = nearest_code(latents, codebook)
    assert not found.is_inference()
    assert not found.requires_grad


def test_numbers_of_threads_stay_as_they_were(threads: Callable[[int], None]) -> None:
    threads(3)
    worker_threads.forget_workers()
    nearest_code(*vectors(900, 80, 4))
    assert torch.get_num_threads() == 3
    of_new_threads: list[int] = []
    newcomer = threading.Thread(target=lambda: of_new_threads.append(torch.get_num_threads()))
    newcomer.start()
    newcomer.join()
    assert of_new_threads == [3]

    def compute(share: Share) -> list[int]:
        return [torch.get_num_threads()]

    assert in_workers(compute, 2) == [1]


def test_a_thread_that_begins_beside_a_starting_worker_has_its_own_number(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads(3)
    worker_threads.forget_workers()
    really = torch.set_num_threads

    def slowly(count: int) -> None:
        really(count)
        if count == 1:
            time.sleep(0.2)  # as where another process has the core

    monkeypatch.setattr(torch, "set_num_threads", slowly)
    in_workers(lambda share: share(range(2), list), 2)
    of_new_threads: list[int] = []
    newcomer = threading.Thread(target=lambda: of_new_threads.append(torch.get_num_threads()))
    newcomer.start()
    newcomer.join()
    assert of_new_threads == [3]


def test_every_job_is_done_once_and_by_several_workers() -> None:
    workers = 2 if (os.cpu_count() or 1) > 1 else 1
    meeting = threading.Barrier(workers, timeout=30)  # passed only when so many threads work at the same time

    def compute(share: Share) -> list[int]:
        done: list[int] = []

        def work(jobs: Iterator[int]) -> None:
            for number, job in enumerate(jobs):
                if number == 0:
                    meeting.wait()
                done.append(job)

        share(range(100), work)
        return done

    assert sorted(in_workers(compute, workers)) == list(range(100))


@pytest.mark.parametrize("failing", [0, 57])
def test_an_exception_in_a_worker_reaches_the_caller_and_ends_the_others(failing: int) -> None:
    begun: list[int] = []

    def compute(share: Share) -> None:
        def work(jobs: Iterator[int]) -> None:
            for job in jobs:
                begun.append(job)
                if job == failing:
                    raise OSError(f"job {job}")

        share(range(1_000_000), work)

    with pytest.raises(OSError, match=f"job {failing}"):
        in_workers(compute, 2)
    assert len(begun) < 1_000_000
    assert in_workers(lambda share: 7, 2) == 7


def test_searches_at_the_same_time_do_not_wait_for_one_another_for_ever(threads: Callable[[int], None]) -> None:
    latents, codebook = vectors(3000, 300, 4)
    expected = nearest(latents, codebook)
    threads(2)
    answers: list[Tensor] = []

    def search() -> None:
        torch.set_num_threads(2)
        answers.extend(nearest_code(latents, codebook) for _ in range(5))

    callers = [threading.Thread(target=search) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert len(answers) == 30
    assert all(torch.equal(answer, expected) for answer in answers)


def _search_in_child(connection: object, latents: Tensor, codebook: Tensor) -> None:
    answer = nearest_code(latents, codebook).tolist()
    connection.send((torch.get_num_threads(), len(ids_of_workers()), answer))  # type: ignore[attr-defined]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_workers_of_its_own(threads: Callable[[int], None]) -> None:
    latents, codebook = vectors(900, 80, 4)
    threads(2)
    expected = nearest_code(latents, codebook).tolist()
    assert ids_of_workers()
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_search_in_child, args=(there, latents, codebook))
    child.start()
    try:
        assert here.poll(60), "the search of the child hangs"
        number, workers, answer = here.recv()
    finally:
        child.join(10)
        child.kill()
    assert number == 2
    assert workers > 0
    assert answer == expected
    assert child.exitcode == 0


PROGRAM = """
    import signal, sys, torch
    from vqkit.ops import nearest_code
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background of a shell begin with it ignored
    torch.set_num_threads(2)
    latents, codebook = torch.randn(400_000, 64), torch.randn(16_384, 64)
    nearest_code(latents[:4000], codebook)
    print("searching", flush=True)
    try:
        nearest_code(latents, codebook)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    assert torch.equal(nearest_code(latents[:9], codebook), torch.cdist(latents[:9], codebook).argmin(1))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_ctrl_c_ends_a_long_search_and_its_workers() -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "searching\n"
        threading.Event().wait(0.3)
        program.send_signal(signal.SIGINT)
        output, errors = program.communicate(timeout=20)
    finally:
        program.kill()
    assert output == "interrupted\n", errors
    assert program.returncode == 0, errors


def test_without_threads_to_be_had_the_caller_searches(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed:
        def __init__(self, *_: object) -> None:
            pass

        def submit(self, *_: object) -> None:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    latents, codebook = vectors(900, 80, 4)
    threads(2)
    monkeypatch.setattr(worker_threads, "ThreadPoolExecutor", Closed)
    worker_threads.forget_workers()
    try:
        assert torch.equal(nearest_code(latents, codebook), nearest(latents, codebook))
    finally:
        worker_threads.forget_workers()

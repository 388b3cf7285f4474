"""Several workers: the same bytes as one, whatever is killed on the way."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch

from tests.tokens.cases import contents, shard_files
from tests.tokens.test_tokens import Endless
from tests.tokens.test_tokens import tiny as coloured
from vqkit import VQVAE, tokenize
from vqkit.data import ArraySource
from vqkit.errors import ConfigError, DataError, WorkerError
from vqkit.models.copies import load_copy
from vqkit.pretrained.identity import model_digest
from vqkit.threads import ThreadChoice
from vqkit.tokens import TOKEN_FORMATS, TokenFormat, load_tokens
from vqkit.tokens.encoder import Encoder, Encoding, Message
from vqkit.tokens.engines import ENGINES, Engine
from vqkit.tokens.formats import NpyFormat
from vqkit.tokens.pieces import Piece
from vqkit.tokens.shards import Shard

PIXELS = np.random.default_rng(0).integers(0, 256, (240, 1, 8, 8), dtype=np.uint8)
OPTIONS: dict[str, Any] = {"batch_size": 4, "shard_items": 7}


def tiny() -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(16, hidden_channels=8, residual_channels=4, code_dim=4, downsampling=2, channels=1)
    model.prepare([torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(5))])
    return model.eval()


def data(count: int = 40) -> ArraySource:
    return ArraySource(PIXELS[:count], labels=np.arange(count) % 3, item_names=[f"{n}.png" for n in range(count)])


def test_the_bytes_are_those_of_one_process(tmp_path: Path) -> None:
    """Of one format in processes; of the others by an engine that starts none, below."""
    one = tokenize(tiny(), data(), tmp_path / "one", kind="parquet", **OPTIONS)
    several = tokenize(tiny(), data(), tmp_path / "several", kind="parquet", workers=2, **OPTIONS)
    assert several.kept == 0
    assert contents(several.path) == contents(one.path)


@ENGINES.register("backwards", listed=False)
@final
class Backwards(Engine):
    """Any number of workers, one after the other, the last task first; it ends after so many messages."""

    most = 10**9

    def run(
        self, encoding: Encoding, model: VQVAE, tasks: Sequence[Sequence[Piece]], workers: int
    ) -> Iterator[Message]:
        said = 0
        for task in reversed(tasks):
            for message in Encoder(encoding, model, ThreadChoice([1])).run(task):
                said += 1
                if said > self.most:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(Path(encoding.place.where) / "indices"))
                yield message


@pytest.mark.parametrize(("kind", "weights"), [("npy", ()), ("bin", ()), ("jsonl", (0.0, 50.0)), ("llamagen", ())])
def test_any_engine_gives_the_same_bytes_and_goes_on_from_any_shards(
    tmp_path: Path, kind: str, weights: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    options = {**OPTIONS, "kind": kind, "rate_weights": weights}
    one = contents(tokenize(tiny(), data(), tmp_path / "one", **options).path)
    for most in (0, 4, 9, 14):
        out = tmp_path / str(most)
        monkeypatch.setattr(Backwards, "most", most)
        with pytest.raises(OSError, match="No space left"):
            tokenize(tiny(), data(), out, engine="backwards", workers=3, **options)
        assert out.exists() == bool(most)
        monkeypatch.setattr(Backwards, "most", 10**9)
        before = {file: file.stat().st_mtime_ns for file in shard_files(out, kind)}
        tokens = tokenize(tiny(), data(), out, engine="backwards", workers=3, **options)
        assert contents(out) == one
        assert (tokens.kept > 0) == (most > 0)
        same = sum(file.stat().st_mtime_ns == there for file, there in before.items())
        assert same == tokens.kept if kind == "llamagen" else same == -(-tokens.kept // 7)


def test_the_digest_of_a_shard_is_that_of_what_sha256sum_prints(tmp_path: Path) -> None:
    tokens = tokenize(tiny(), data(), tmp_path / "t", **OPTIONS)
    for number, shard in enumerate(tokens.manifest["shards"]):
        names = [f"{what}-{number:05d}" for what in ("indices", "labels", "names")]
        files = sorted(file for file in tokens.path.iterdir() if file.stem in names)
        lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
        assert len(lines) == 3
        assert shard["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.parametrize("kind", TOKEN_FORMATS)
def test_a_bit_that_has_changed_is_seen(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    tokens = tokenize(tiny(), data(), tmp_path / "t", kind=kind, shard_items=20)
    tokens.check_digests()
    told = ("tokens.json", "README.md")  # the description, and the card
    shards = [each for each in tokens.path.rglob("*") if each.is_file() and not each.name.endswith(told)]
    for file in shards[:9]:
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(DataError, match="its digest is another"):
            tokens.check_digests()
        file.write_bytes(whole)
    tokens.check_digests()
    file.unlink()
    with pytest.raises(DataError, match="encode"):
        tokens.check_digests()


def test_one_shard_begins_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqkit.tokens.engines.processes.Crew", None)
    one = tokenize(tiny(), data(), tmp_path / "one", batch_size=4, workers=3)
    assert contents(one.path) == contents(tokenize(tiny(), data(), tmp_path / "alone", batch_size=4).path)


def test_numbers_of_workers_and_engines_that_are_not(tmp_path: Path) -> None:
    for workers in (0, -1, 41, True, 1.5):
        with pytest.raises(ConfigError, match=r"workers=.*: give 1 or more, and at most one for each of 40 items"):
            tokenize(tiny(), data(), tmp_path / "t", workers=workers)
    with pytest.raises(ConfigError, match="engine 'spark' is unknown; known: processes"):
        tokenize(tiny(), data(), tmp_path / "t", engine="spark")
    assert not (tmp_path / "t").exists()


def test_a_worker_computes_what_the_driver_does(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path)
    cpu, changed = torch.device("cpu"), tiny()
    assert model_digest(load_copy(tmp_path, model_digest(changed), cpu)) == model_digest(changed)
    changed.encoder.scale = 2.0
    with pytest.raises(ConfigError, match=r"give workers=1$"):
        load_copy(tmp_path, model_digest(changed), cpu)


# --- killed processes


ENCODE = """
import sys, torch, vqkit
from vqkit.pretrained.identity import model_digest
from vqkit.threads import set_threads
if __name__ == "__main__":
    set_threads(1)
    vqkit.tokenize(vqkit.load_model(sys.argv[1]), sys.argv[2], sys.argv[3], batch_size=8, shard_items=3, workers=2)
"""


def children(pid: int) -> list[int]:
    """Return the workers that a process has started."""
    words = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(pid)]
    lines = subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "spawn_main" in line]


def runs(pid: int) -> bool:
    """Return True if a process has not ended (one that nobody has asked for since has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(done: Callable[[], bool]) -> None:
    for _ in range(12000):
        if done():
            return
        time.sleep(0.005)
    raise AssertionError("a minute has passed")


@pytest.mark.skipif(sys.platform != "linux", reason="kill -9 and ps of Linux")
@pytest.mark.parametrize("whom", ["driver", "worker"])
def test_what_was_killed_goes_on(tmp_path: Path, whom: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # of this process
    model, out = tmp_path / "model", tmp_path / "t"
    tiny().save_pretrained(model)
    np.save(tmp_path / "x.npy", np.concatenate([PIXELS] * 5))
    options: dict[str, Any] = {"batch_size": 8, "shard_items": 3}
    one = contents(tokenize(VQVAE.from_pretrained(model), tmp_path / "x.npy", tmp_path / "one", **options).path)
    (kill_the_driver if whom == "driver" else kill_a_worker)(tmp_path, options)
    written = {file: file.stat().st_mtime_ns for file in out.glob("indices-*")}
    noted = len((out / "encoding.jsonl").read_text().splitlines()) - 1
    tokens = tokenize(VQVAE.from_pretrained(model), tmp_path / "x.npy", out, **options)
    assert contents(out) == one
    assert tokens.kept == 3 * noted < 1200
    assert sum(file.stat().st_mtime_ns == before for file, before in written.items()) == noted
    assert load_tokens(out).is_whole()


def wait_for_shards(out: Path, ended: Callable[[], bool]) -> None:
    moment = random.randrange(1, 40)  # of 400 shards
    wait_until(lambda: len(list(out.glob("indices-*"))) >= moment or ended())


def kill_the_driver(folder: Path, options: dict[str, Any]) -> None:
    """Workers end with their driver, however it ended."""
    script, out = folder / "encode.py", folder / "t"
    script.write_text(ENCODE)
    words = [sys.executable, str(script), str(folder / "model"), str(folder / "x.npy"), str(out)]
    driver = subprocess.Popen(words)
    wait_until(lambda: len(children(driver.pid)) == 2 or driver.poll() is not None)
    workers = children(driver.pid)
    wait_for_shards(out, lambda: driver.poll() is not None)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait(timeout=120)
    wait_until(lambda: not any(map(runs, workers)))


def kill_a_worker(folder: Path, options: dict[str, Any]) -> None:
    """This process is the driver; the other worker is ended by it."""
    found: list[int] = []
    ended = threading.Event()

    def kill() -> None:
        wait_until(lambda: len(children(os.getpid())) == 2 or ended.is_set())
        found.extend(children(os.getpid()))
        wait_for_shards(folder / "t", ended.is_set)
        os.kill(random.choice(found), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(WorkerError, match=r"worker \d .*\(SIGKILL\)"):
            tokenize(VQVAE.from_pretrained(folder / "model"), folder / "x.npy", folder / "t", workers=2, **options)
    finally:
        ended.set()
        killer.join()
    assert len(found) == 2
    assert not any(map(runs, found))


@TOKEN_FORMATS.register("full", listed=False)
class FullDisk(TokenFormat):
    """Arrays of NumPy on a disk that holds three of them."""

    suffix = ".npy"

    def write(self, path: Path, shard: Shard) -> list[Path]:
        if len(list(path.parent.glob("indices-*"))) >= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return [path.with_name(file.name) for file in NpyFormat().write(path, shard)]

    def _read(self, path: Path, expected: Any, count: int, *, ranges: bool) -> Any:
        return NpyFormat().read(path, expected, count, ranges=ranges)


class Elsewhere(Endless):
    """A source that workers know from this file, so that they know its format too."""


def test_a_full_disk_in_a_worker(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as told:
        tokenize(coloured(), Elsewhere(40), tmp_path / "t", kind="full", workers=2, **OPTIONS)
    assert told.value.errno == errno.ENOSPC
    assert str(told.value.filename).startswith(str(tmp_path / "t"))
    kept = sum(file.name.startswith("indices-") for file in (tmp_path / "t").iterdir())
    assert kept >= 3
    tokens = tokenize(coloured(), Elsewhere(40), tmp_path / "t", **OPTIONS)
    assert tokens.replaced == "another format"

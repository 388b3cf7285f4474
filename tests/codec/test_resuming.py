"""A compression that was killed goes on with what it has worked out; two never write one file."""

from __future__ import annotations

import io
import resource
import signal as system
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from vqkit import VQVAE, ContextPrior, HistogramPrior
from vqkit.cli.main import app
from vqkit.codec import Compressor, RateController, Signal, entropy_model
from vqkit.codec.lossless import PixelCoder
from vqkit.codec.resuming.file import going_on
from vqkit.codec.resuming.work import Memory
from vqkit.errors import ConfigError, DataError
from vqkit.pixels import PixelPrior

IMAGES = np.random.default_rng(0).integers(0, 256, (9, 1, 24, 20), dtype=np.uint8)


def tiny(seed: int = 0, **options: Any) -> VQVAE:
    torch.manual_seed(seed)
    small = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 4, "channels": 1}
    model = VQVAE(16, **{**small, **options})
    model.prepare([torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(5))])
    return model.eval()


def signals(images: np.ndarray[Any, Any] = IMAGES) -> list[Signal]:
    """Of two sizes in turn: every one a group of its own."""
    return [Signal(image[:, : 24 - 4 * (number % 2)], f"{number}.png") for number, image in enumerate(images)]


def prior(seed: int = 0) -> ContextPrior:
    torch.manual_seed(seed)
    return ContextPrior(16, (6, 5), hidden_channels=8, layers=1).eval()


def histogram(model: VQVAE) -> HistogramPrior:
    found = HistogramPrior(16, (6, 5))
    found.count(model.encode(torch.from_numpy(IMAGES)))
    return found


def compressor(how: str, seed: int = 0) -> Compressor:
    if how == "rate":
        model = tiny(seed, num_codebooks=2, stacking="residual")
        uniform = entropy_model(None, 16)
        return Compressor(model, uniform, search=RateController(model, uniform, 0.3))
    model = tiny(seed)
    if how == "lossless":
        torch.manual_seed(3)
        pixels = PixelPrior.for_model(model, hidden_channels=8, layers=1, neighbours=4, features=4, token_channels=8)
        return Compressor(model, pixel_model=PixelCoder(pixels.eval()))
    if how == "histogram":
        return Compressor(model, entropy_model(histogram(model), 16), beside=[entropy_model(None, 16)])
    return Compressor(model, entropy_model(None, 16), rate_weight=0.5)


def written(writer: Compressor, given: list[Signal], **options: Any) -> tuple[bytes, Any]:
    file = io.BytesIO()
    report = writer.write(file, given, **options)
    return file.getvalue(), report


def stop_at(count: int) -> Any:
    def progress(done: int) -> None:
        if done >= count:
            raise KeyboardInterrupt

    return progress


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How often latents are computed."""
    calls: list[int] = []
    real = VQVAE.latents
    with monkeypatch.context() as patch:
        patch.setattr(VQVAE, "latents", lambda self, x: calls.append(len(x)) or real(self, x))
        yield calls


@pytest.mark.parametrize("how", ["plain", "histogram", "rate", "lossless"])
def test_the_bytes_are_those_of_a_whole_one(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = signals()
    want, report = written(compressor(how), given)
    out = tmp_path / "out.vqk"
    for count in (2, 5, 9):
        writer = compressor(how)
        with pytest.raises(KeyboardInterrupt), going_on(writer, out):
            written(writer, given, progress=stop_at(count))
    assert [each.name for each in tmp_path.iterdir()] == [".out.vqk.work"]
    writer = compressor(how)
    with counted(monkeypatch) as calls, going_on(writer, out) as memory:
        again, told = written(writer, given)
    assert again == want
    assert told == report
    assert (calls, memory.made) == ([], 0)
    assert memory.found > 0
    assert list(tmp_path.iterdir()) == []


def killed(out: Path, count: int = 6, how: str = "histogram") -> None:
    writer = compressor(how)
    with pytest.raises(KeyboardInterrupt), going_on(writer, out):
        written(writer, signals(), progress=stop_at(count))


def test_only_the_same_content_is_kept(tmp_path: Path) -> None:
    def missing(writer: Compressor, given: list[Signal]) -> int:
        out = tmp_path / "out.vqk"
        killed(out, 9)
        want, _ = written(writer, given)
        with going_on(writer, out) as memory:
            assert written(writer, given)[0] == want
        return memory.made

    assert missing(compressor("histogram"), signals()) == 0
    assert missing(compressor("histogram"), [Signal(each.values, "other name") for each in signals()]) == 0
    assert missing(compressor("histogram"), signals()[::-1]) == 0
    whole = missing(compressor("histogram", seed=1), signals())
    assert whole == 3 * 9
    changed = IMAGES.copy()
    changed[4, 0, 3, 3] ^= 255
    assert 0 < missing(compressor("histogram"), signals(changed)) <= 3
    weighing = compressor("histogram")
    weighing.model.quantizer.rate_weight = 9.0
    assert missing(weighing, signals()) >= 9
    assert missing(Compressor(tiny(), compressor("histogram").entropy, rate_weight=9.0), signals()) >= 9
    other = histogram(tiny())
    other.counts += 7
    assert missing(Compressor(tiny(), entropy_model(other, 16)), signals()) == 9  # the indices are the same


def test_a_context_prior_is_told_by_its_content_and_grid(tmp_path: Path) -> None:
    out = tmp_path / "out.vqk"
    for seed, made in ((0, 4), (1, 2), (1, 0), (0, 0)):
        writer = Compressor(tiny(), entropy_model(prior(seed), 16))
        want, _ = written(writer, signals()[:2])
        memories: list[Memory] = []
        found: list[bytes] = []

        def stopped(writer: Compressor = writer, memories: list[Memory] = memories, found: list[bytes] = found) -> None:
            with going_on(writer, out) as memory:
                memories.append(memory)
                found.append(written(writer, signals()[:2])[0])
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            stopped()
        assert found == [want]
        assert memories[0].made == made


@pytest.mark.parametrize("keep", [0, 5, 13, 40, 200, -1, -30])
def test_what_a_kill_has_cut_off_is_worked_out_again(tmp_path: Path, keep: int) -> None:
    out = tmp_path / "out.vqk"
    killed(out)
    file = tmp_path / ".out.vqk.work"
    file.write_bytes(file.read_bytes()[:keep])
    writer = compressor("histogram")
    with going_on(writer, out) as memory:
        assert written(writer, signals())[0] == written(compressor("histogram"), signals())[0]
    assert memory.made > 0


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    want = written(compressor("histogram"), signals())[0]
    for place in (20, 60, 90, 400, -20):
        killed(tmp_path / "out.vqk")
        file = tmp_path / ".out.vqk.work"
        data = bytearray(file.read_bytes())
        data[place] ^= 1
        file.write_bytes(data)
        writer = compressor("histogram")
        with going_on(writer, tmp_path / "out.vqk"):
            assert written(writer, signals())[0] == want


def test_an_error_leaves_nothing_and_leftovers_go(tmp_path: Path) -> None:
    (tmp_path / ".out.vqk.0123abcd.part").write_text("half a file")
    (tmp_path / ".other.vqk.0123abcd.part").write_text("another's")
    writer = compressor("plain")
    with pytest.raises(DataError), going_on(writer, tmp_path / "out.vqk"):
        written(writer, [*signals(), Signal(np.zeros((3, 8, 8), np.uint8), "colour")])
    assert [each.name for each in tmp_path.iterdir()] == [".other.vqk.0123abcd.part"]
    assert (writer.memory, writer.entropy.memory) == (None, None)


def test_two_never_write_one_file(tmp_path: Path) -> None:
    with (
        going_on(compressor("plain"), tmp_path / "out.vqk"),
        pytest.raises(ConfigError, match=r"out\.vqk: this process is already compressing here"),
        going_on(compressor("plain"), tmp_path / "out.vqk"),
    ):
        pass


def test_the_command_says_how_much_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny().save_pretrained(tmp_path / "model")
    (tmp_path / "in").mkdir()
    for signal in signals():
        Image.fromarray(signal.values[0]).save(tmp_path / "in" / str(signal.name))
    words = ["compress", str(tmp_path / "in"), "-m", str(tmp_path / "model"), "--threads", "1", "--prior", "none", "-o"]
    assert CliRunner().invoke(app, [*words, str(tmp_path / "whole.vqk")]).exit_code == 0
    real, calls = Memory.recall, []

    def recall(self: Memory, *given: Any) -> Any:
        calls.append(0)
        if len(calls) > 12:
            raise KeyboardInterrupt
        return real(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Memory, "recall", recall)
        assert CliRunner().invoke(app, [*words, str(tmp_path / "out.vqk")]).exit_code != 0
    assert not (tmp_path / "out.vqk").exists()
    done = CliRunner().invoke(app, [*words, str(tmp_path / "out.vqk")])
    assert done.exit_code == 0
    assert "kept 6 of 9 signals" in done.output
    assert (tmp_path / "out.vqk").read_bytes() == (tmp_path / "whole.vqk").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_work_for_which_there_is_no_room_is_not_kept(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "work")
    assert memory.recall("a", 1, [], lambda: ("kept", b"1")) == ("kept", b"1")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "work").stat().st_size + 100, limits[1]))
    before = system.signal(system.SIGXFSZ, system.SIG_IGN)
    try:
        assert memory.recall("a", 2, [], lambda: (None, bytes(100_000))) == (None, bytes(100_000))
        assert memory.recall("a", 1, [], lambda: ("again", b"1")) == ("again", b"1")
        memory.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        system.signal(system.SIGXFSZ, before)
    assert (tmp_path / "work").stat().st_size == 0
    assert Memory(tmp_path / "work").recall("a", 1, [], lambda: ("new", b"1")) == ("new", b"1")

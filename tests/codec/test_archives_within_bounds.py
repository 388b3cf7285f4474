"""Archives of fields within a bound: what is added later keeps what the file promises, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import vqkit
from tests.crews import OneAfterAnother
from vqkit.codec import Compressor, Signal
from vqkit.codec.archive.adding import add_signals
from vqkit.codec.archive.archive import Archive
from vqkit.codec.archive.verifying import verify_file
from vqkit.codec.bounded.bound import MaxError
from vqkit.codec.decompressor import Decompressor
from vqkit.codec.inspect import Inspection, Item, inspect_file
from vqkit.codec.parallel import _Several
from vqkit.codec.resuming.work import Memory
from vqkit.errors import ConfigError


def winds(count: int = 4, seed: int = 0) -> np.ndarray[Any, Any]:
    found = np.random.default_rng(seed).normal(size=(count, 2, 20, 18)).cumsum(2).cumsum(3).astype(np.float32)
    found[0, 0, 3:6, 7:12] = np.nan
    return found


def model_of(values: np.ndarray[Any, Any]) -> vqkit.VQVAE:
    source = vqkit.load_source(values, kind="field@NCHW")
    return vqkit.VQVAE.for_source(source, codebook_size=16, hidden_channels=8, seed=0).eval()


@pytest.fixture(scope="module")
def model() -> vqkit.VQVAE:
    return model_of(winds())


def within(archive: Archive, name: str, values: np.ndarray[Any, Any], bounds: Any) -> bool:
    """Whether a decoded signal has the gaps and keeps the bounds of each channel."""
    found = archive[name].numpy().astype(np.float64)
    same = np.array_equal(np.isnan(found), np.isnan(values))
    error = np.nan_to_num(np.abs(found - values)).max(axis=(1, 2))
    return same and bool((error <= np.asarray(bounds)).all())


def inspected(path: Path) -> tuple[Inspection, list[Item]]:
    items: list[Item] = []
    with path.open("rb") as file:
        return inspect_file(file, items=items), items


def test_what_is_added_later_keeps_the_bound(tmp_path: Path, model: vqkit.VQVAE) -> None:
    path, values = tmp_path / "a.vqk", winds()
    archive = vqkit.open_archive(path, model)
    archive.add(values[:2], ["0.npy", "1.npy"], max_error="0.1,0.3")
    archive.add(values[2:3], ["2.npy"])  # as in the file
    archive.add(values[3:], ["3.npy"], max_error=[0.05, 0.3])  # closer than the file
    for number, own in enumerate(values):
        assert within(archive, f"{number}.npy", own, (0.1, 0.3)), number
    assert within(archive, "3.npy", values[3], (0.05, 0.3))
    about, items = inspected(path)
    assert [each.bounds for each in items] == [(0.1, 0.3)] * 3 + [(0.05, 0.3)]
    assert about.promise.most == (0.1, 0.3)
    assert "values:   every value (float32) to within 0.1, 0.3, and some signals to within 0.05, 0.3 and more" in (
        about.lines(0)
    )
    assert about.as_dict()["bounds"]["signals"] == 4
    with path.open("rb") as file:
        found = verify_file(file, Decompressor(model))
    assert found.whole
    assert found.promise == about.promise


@pytest.mark.parametrize("given_bound", [0.2, "0.1%", "0.1,0.2", "1%,0"])
def test_a_looser_bound_is_refused(given_bound: Any, tmp_path: Path, model: vqkit.VQVAE) -> None:
    path, values = tmp_path / "a.vqk", winds()
    archive = vqkit.open_archive(path, model)
    archive.add(values[:2], ["0.npy", "1.npy"], max_error=0.1)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"0\.1 or less"):
        archive.add(values[2:], ["2.npy", "3.npy"], max_error=given_bound)
    assert path.read_bytes() == before


def test_a_file_is_within_bounds_throughout_or_not_at_all(tmp_path: Path, model: vqkit.VQVAE) -> None:
    archive = vqkit.open_archive(tmp_path / "a.vqk", model)
    archive.add(winds()[:1], ["0.npy"])
    with pytest.raises(ConfigError, match="promises nothing"):
        archive.add(winds()[1:], max_error=0.1)


def test_parts_of_the_range_are_to_be_said_again(tmp_path: Path, model: vqkit.VQVAE) -> None:
    values = winds()
    archive = vqkit.open_archive(tmp_path / "a.vqk", model)
    archive.add(values[:1], ["0.npy"], max_error="1%")
    archive.add(values[1:3], ["1.npy", "2.npy"], max_error="1%")
    with pytest.raises(ConfigError, match=r"a bound of its own.*max_error='0.1%'"):
        archive.add(values[3:], ["3.npy"])
    archive.add(values[3:], ["3.npy"], max_error="1%")
    for number, own in enumerate(values):
        spread = np.nanmax(own, axis=(1, 2)).astype(float) - np.nanmin(own, axis=(1, 2))
        assert within(archive, f"{number}.npy", own, 0.01 * spread), number


def test_files_of_compress_grow_within_their_bound(tmp_path: Path, model: vqkit.VQVAE) -> None:
    path, values = tmp_path / "a.vqk", winds()
    with path.open("wb") as file:
        Compressor(model, max_error=0.25).write(file, [Signal(own, f"{n}.npy") for n, own in enumerate(values[:3])])
    archive = vqkit.open_archive(path, model)
    found = archive.add(values, [f"{number}.npy" for number in range(4)])
    assert found.same == ["0.npy", "1.npy", "2.npy"]
    for number, own in enumerate(values):
        assert within(archive, f"{number}.npy", own, 0.25), number
    moved = values[1:2].copy()
    moved[0, 1, 0, 0] += 0.6
    with pytest.raises(ConfigError, match=r"1\.npy"):
        archive.add(moved, ["1.npy"])


def test_the_bytes_of_a_signal_do_not_depend_on_its_company(tmp_path: Path, model: vqkit.VQVAE) -> None:
    values = winds()
    signals = [Signal(own, f"{number}.npy") for number, own in enumerate(values)]
    add_signals(tmp_path / "a.vqk", Compressor(model, max_error="0.1,2%"), signals)
    for each in signals:
        add_signals(tmp_path / "b.vqk", Compressor(model, max_error="0.1,2%"), [each])
    blocks = []
    for name in ("a.vqk", "b.vqk"):
        with vqkit.open_archive(tmp_path / name, model) as archive:
            access = archive._access
            assert access is not None
            places = [access.place(number)[0] for number in range(4)]
            own = [[(group.header, [block.data for block in group]) for group in access.groups(at)] for at in places]
            blocks.append(own)
    assert blocks[0] == blocks[1]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["uint8", "int16", "uint16", "int32", "float16", "float32", "float64"]),
    bound=st.sampled_from([0, 1, 0.01, 3.5, "0.5%"]),
    sizes=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=4),
    gaps=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_fields_in_any_order_keep_their_bounds(
    kind: str, bound: Any, sizes: list[tuple[int, int]], gaps: bool, seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    random, own = np.random.default_rng(seed), np.dtype(kind)
    values = [random.normal(0, 30, (1, *size)).cumsum(1).clip(0, 200).astype(own) for size in sizes]
    model = model_of(random.normal(50, 30, (2, 1, 16, 16)).clip(0, 200).astype(own))
    if gaps and own.kind == "f":
        values[0][0, 0, 0] = np.nan
    wides = [each.astype(np.float64) for each in values]
    spreads = [0.0 if np.isnan(wide).all() else float(np.nanmax(wide) - np.nanmin(wide)) for wide in wides]
    # parts of equal ranges (of constants: 0) look like one bound for the whole file, which a part may not loosen
    assume(not isinstance(bound, str) or len(set(spreads)) == len(spreads))
    path = tmp_path_factory.mktemp("archive") / "a.vqk"
    for number, each in enumerate(values):
        with vqkit.open_archive(path, model) as archive:
            archive.add(each[None], [f"{number}.npy"], max_error=bound)
    with vqkit.open_archive(path, model) as archive:
        for number, (wide, spread) in enumerate(zip(wides, spreads, strict=True)):
            most = 0.005 * spread if isinstance(bound, str) else bound
            assert within(archive, f"{number}.npy", wide, (most,))


def test_kept_work_of_processes_is_that_of_its_bound(tmp_path: Path, model: vqkit.VQVAE) -> None:
    group = [[Signal(winds()[0], "a.npy")]]
    keys = set()
    for bound in (None, 0.1, 0.2, "0.1%", MaxError((0.1,), (False,))):
        memory = Memory(tmp_path / "work")
        compressor = Compressor(model, max_error=bound)
        compressor.memory = memory, "model"
        keys.add(_Several(None, compressor)._key(memory, group, 1))  # type: ignore[arg-type]
        memory.close()
    assert len(keys) == 4


def test_several_processes_write_the_same_bytes(
    tmp_path: Path, model: vqkit.VQVAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqkit.codec.parallel.Crew", OneAfterAnother)
    for workers in (1, 2):
        archive = vqkit.open_archive(tmp_path / f"{workers}.vqk", model)
        archive.add(torch.from_numpy(winds()), ["a", "b", "c", "d"], max_error=0.2, workers=workers)
        archive.add(torch.from_numpy(winds(2, 7)), ["e", "f"], workers=workers)
    assert (tmp_path / "1.vqk").read_bytes() == (tmp_path / "2.vqk").read_bytes()

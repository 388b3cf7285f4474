"""Plans of encodings: what will be there is what they say, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tokens.cases import contents
from tests.tokens.test_tokens import ragged
from tests.tokens.test_tokens import tiny as coloured
from tests.tokens.test_workers import OPTIONS, PIXELS, Backwards, data, tiny
from vqkit import tokenize
from vqkit.errors import ConfigError
from vqkit.tokens import plan_encoding


def size(folder: Path) -> int:
    return sum(len(found) for name, found in contents(folder).items() if not name.endswith("tokens.json"))


@pytest.mark.parametrize(("kind", "error"), [("npy", 0.0), ("megatron", 0.0), ("parquet", 0.1), ("webdataset", 0.2)])
def test_a_plan_says_what_there_will_be(tmp_path: Path, kind: str, error: float) -> None:
    options = {"kind": kind, "shard_items": 30}
    names = [f"{number:04d}" for number in range(100)]
    source = type(data())(PIXELS[:100], item_names=names, labels=np.arange(100) % 3)
    plan = plan_encoding(tiny(), source, tmp_path / "t", workers=3, **options)
    assert not (tmp_path / "t").exists()
    assert (plan.items, plan.shards, plan.kept, plan.kept_items) == (100, 4, 0, 0)
    assert 0 < plan.seconds < 60
    assert 1 <= plan.workers <= 3
    tokens = tokenize(tiny(), source, tmp_path / "t", **options)
    assert len(tokens.manifest["shards"]) == plan.shards
    assert abs(size(tmp_path / "t") / plan.nbytes - 1) <= error
    done = plan_encoding(tiny(), source, tmp_path / "t", **options)
    assert (done.kept, done.kept_items, done.seconds) == (4, 100, 0.0)


def test_a_plan_of_pictures_of_different_sizes(tmp_path: Path) -> None:
    plan = plan_encoding(coloured(), ragged()[0], tmp_path / "t", kind="parquet", shard_items=4)
    tokens = tokenize(coloured(), ragged()[0], tmp_path / "t", kind="parquet", shard_items=4)
    assert len(tokens.manifest["shards"]) == plan.shards == 3
    assert abs(size(tmp_path / "t") / plan.nbytes - 1) < 0.2


def test_a_plan_knows_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backwards, "most", 9)
    with pytest.raises(OSError, match="No space"):
        tokenize(tiny(), data(), tmp_path / "t", engine="backwards", workers=2, **OPTIONS)
    before = contents(tmp_path / "t")
    plan = plan_encoding(tiny(), data(), tmp_path / "t", **OPTIONS)
    assert contents(tmp_path / "t") == before
    assert 0 < plan.kept < plan.shards == 6
    assert tokenize(tiny(), data(), tmp_path / "t", **OPTIONS).kept == plan.kept_items
    with pytest.raises(ConfigError, match="holds tokens of another number of items per file"):
        plan_encoding(tiny(), data(), tmp_path / "t", **{**OPTIONS, "shard_items": 6})


def test_the_command(vq: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny().save_pretrained("model")
    np.save("x.npy", PIXELS[:40])

    def said(*words: object, status: int = 0) -> str:
        done = vq("encode", "model", "x.npy", "--out", "t", "--threads", 1, *words)
        assert done.status == status
        return " ".join(f"{done.out} {done.err}".split())

    found = said("--plan", "--workers", 2, "--shard-items", 10)
    assert "40 items in 4 shards of npy, 1,152 bytes (nothing is written)" in found
    assert " s with " in found
    few = "1 shard for 2 workers, and each writes whole ones: --shard-items 5 makes more"
    assert few in said("--plan", "--workers", 2)
    most = "--workers 41: give 1 or more, and at most one for each of 40 items"
    assert most in said("--workers", 41, status=2)
    assert "--workers" in said("--workers", 0, status=2)
    assert "engine 'sprk' is unknown" in said("--engine", "sprk", status=2)
    assert "--workers, --plan: not of a stream" in said("--stream", "--workers", 2, "--plan", status=2)
    assert not (tmp_path / "t").exists()

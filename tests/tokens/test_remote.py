"""Tokens at addresses: the bytes of a folder, whole or not at all, and what is missing is finished."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import numpy as np
import pytest

from tests.tokens.cases import contents
from tests.tokens.test_workers import OPTIONS, PIXELS, Backwards, data, tiny
from vqkit import tokenize, train
from vqkit.errors import ConfigError, DataError, MissingExtraError
from vqkit.priors import HistogramPrior
from vqkit.storage.remote import RemoteFolder, is_url, whole_url
from vqkit.tokens import load_tokens, plan_encoding
from vqkit.tokens.source import index_source
from vqkit.training.record.run import read_config


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    return f"memory://{tmp_path.name}/t" if request.param == "memory" else f"file://{tmp_path}/far/t"


def there(url: str) -> dict[str, bytes]:
    remote = RemoteFolder(url)
    return {name: remote.read(name) for name in remote.files()}


def test_names_that_are_addresses() -> None:
    assert is_url("gs://b/x")
    assert is_url(Path("s3://b/x"))  # a path has one slash of it
    assert not any(is_url(name) for name in ("photos", "C:/x", "C://x", "hub:a/b", "sound:x.npy", "a.csv:x,y", "x:/y"))
    assert whole_url(Path("s3://b/x/")) == "s3://b/x"
    assert whole_url(Path("file:///tmp/x")) == "file:///tmp/x"


@pytest.mark.parametrize("kind", ["npy", "parquet", "llamagen"])
def test_the_bytes_are_those_of_a_folder(tmp_path: Path, url: str, kind: str) -> None:
    one = contents(tokenize(tiny(), data(), tmp_path / "one", kind=kind, **OPTIONS).path)
    tokens = tokenize(tiny(), data(), url, kind=kind, **OPTIONS)
    assert there(url) == one
    assert (tokens.url, tokens.kept) == (url, 0)
    tokens.check_digests()
    again = tokenize(tiny(), data(), url, kind=kind, **OPTIONS)
    assert again.kept == 40
    assert there(url) == one
    with pytest.raises(ConfigError, match=r"holds tokens of .*other data"):
        tokenize(tiny(), data(30), url, kind=kind, **OPTIONS)


def test_what_was_interrupted_is_finished(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = contents(tokenize(tiny(), data(), tmp_path / "one", **OPTIONS).path)
    monkeypatch.setattr(Backwards, "most", 9)
    with pytest.raises(OSError, match="No space left"):
        tokenize(tiny(), data(), url, engine="backwards", workers=3, **OPTIONS)
    with pytest.raises(DataError, match="its encoding was interrupted: encode again"):
        load_tokens(url)
    monkeypatch.setattr(Backwards, "most", 10**9)
    before = {name: about.stamp for name, about in RemoteFolder(url).files().items() if name.startswith("indices")}
    whole = len([name for name in there(url) if name.startswith("encoding/indices")])
    assert 0 < whole < 6
    victim = max(name for name in there(url) if name.startswith("encoding/indices"))
    assert plan_encoding(tiny(), data(), url, **OPTIONS).kept == whole
    RemoteFolder(url).remove(victim.removeprefix("encoding/").removesuffix(".json"))  # a shard that has gone
    tokens = tokenize(tiny(), data(), url, **OPTIONS)
    assert there(url) == one
    after = {name: about.stamp for name, about in RemoteFolder(url).files().items()}
    assert sum(after[name] == stamp for name, stamp in before.items()) == whole - 1 == tokens.kept // 7
    other = tokenize(tiny(), data(30), f"{url}2", **OPTIONS)
    assert len(other) == 30


def test_a_shard_that_cannot_be_uploaded_leaves_nothing_half(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0
    own = type(fsspec.filesystem(url.partition(":")[0])).put_file

    def failing(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == 5:
            raise TimeoutError("the network is gone\nfor now")
        return own(self, *arguments, **options)

    monkeypatch.setattr(type(fsspec.filesystem(url.partition(":")[0])), "put_file", failing)
    with pytest.raises(
        DataError, match=r"(memory|file)://.*TimeoutError: the network is gone for now\); look at the address"
    ):
        tokenize(tiny(), data(), url, **OPTIONS)
    notes = [name for name in there(url) if name.startswith("encoding/indices")]
    assert len(notes) == 1  # three files a shard
    tokens = tokenize(tiny(), data(), url, **OPTIONS)
    assert tokens.kept == 7
    assert there(url) == contents(tokenize(tiny(), data(), tmp_path / "one", **OPTIONS).path)


def test_other_things_stay(url: str) -> None:
    RemoteFolder(url).write("thesis.txt", b"mine")
    with pytest.raises(ConfigError, match=r"already holds something .*'thesis.txt'.*new or empty address"):
        tokenize(tiny(), data(), url, **OPTIONS)
    assert there(url) == {"thesis.txt": b"mine"}


def test_no_folder_is_left_beside_the_tokens(tmp_path: Path) -> None:
    tokenize(tiny(), data(), f"file://{tmp_path}/t", kind="bin", **OPTIONS)
    assert [entry.name for entry in (tmp_path / "t").iterdir() if entry.is_dir()] == []


def test_tokens_are_read_from_there_once(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = tokenize(tiny(), data(), url, kind="bin", **OPTIONS)
    fetched: list[str] = []
    own = RemoteFolder.fetch

    def noted(self: RemoteFolder, name: str, file: Path) -> None:
        fetched.append(name)
        own(self, name, file)

    monkeypatch.setattr(RemoteFolder, "fetch", noted)
    source = index_source(load_tokens(url))
    assert fetched == []  # tokenize has read them already
    assert (source.spec, source.name) == (url, url)
    np.testing.assert_array_equal(source[:][:, 0], tokens[:])
    RemoteFolder(url).write("indices-00000.bin", b"short")
    with pytest.raises(DataError, match="not readable as a bin shard"):
        load_tokens(url)[0]
    assert fetched == ["indices-00000.bin"]
    assert hashlib.sha256(url.encode()).hexdigest()[:16] in str(tokens.path)


def test_two_workers_write_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    one = contents(tokenize(tiny(), data(), tmp_path / "one", **OPTIONS).path)
    tokenize(tiny(), data(), f"file://{tmp_path}/far", workers=2, **OPTIONS)
    assert contents(tmp_path / "far") == one


def test_what_is_missing_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"nonsense://x/y: no address that can be opened \(Protocol not known"):
        load_tokens("nonsense://x/y")
    with pytest.raises(DataError, match="memory://nothing/here: no token set here"):
        load_tokens("memory://nothing/here")
    for module, name, install in (("s3fs", "s3://b/x", "pip install s3fs"), ("gcsfs", "gs://b/x", "pip install gcsfs")):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(MissingExtraError, match=install):
            load_tokens(name)
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r'pip install "vqkit\[remote\]"'):
        load_tokens("memory://x")


def test_commands_take_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vq: Any) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    tiny().save_pretrained("model")
    np.save("x.npy", PIXELS[:20])
    far = f"memory://{tmp_path.name}"
    RemoteFolder(far).put(Path("x.npy"), "x.npy")
    said = vq("encode", "model", f"{far}/x.npy", "--out", f"{far}/tokens", "--shard-items", "8")
    assert said.status == 0, said.err
    assert f"of indices in {far}/tokens" in said.out
    assert not [entry for entry in tmp_path.iterdir() if entry.name not in ("model", "x.npy", "cache")]
    assert "20 items" in vq("info", f"{far}/tokens").out
    for tokens in ("tokens", "tokens/indices-00000.npy"):
        assert vq("decode", "model", f"{far}/{tokens}", "--out", tokens.replace("/", "-")).status == 0
    assert len(list(Path("tokens").glob("*.png"))) == 20
    run = train(HistogramPrior(16, [4, 4]), f"{far}/tokens", out="prior", validation=0.2, quiet=True)
    assert read_config(run.path)["data"] == f"{far}/tokens"
    refused = vq("decode", "model", f"{far}/tokens", "--out", "s3://bucket/x")
    assert refused.status == 2
    assert "s3://bucket/x: this command writes to this machine only; name a place here (--out)" in refused.err


def test_a_journal_that_cannot_be_read_costs_no_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    url = f"memory://{tmp_path.name}/t"
    with monkeypatch.context() as once:
        once.setattr(Backwards, "most", 9)
        with pytest.raises(OSError, match="No space left"):
            tokenize(tiny(), data(), url, **{**OPTIONS, "engine": "backwards"})
    shards = set(there(url))
    assert any(name.endswith(".npy") for name in shards)

    def fails(self: RemoteFolder, name: str) -> bytes:
        raise DataError(f"{name}: the connection is gone")

    with monkeypatch.context() as once:
        once.setattr(RemoteFolder, "read", fails)
        with pytest.raises(DataError, match="the connection is gone"):
            tokenize(tiny(), data(), url, **OPTIONS)
    assert set(there(url)) == shards

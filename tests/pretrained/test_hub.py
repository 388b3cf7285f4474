"""The hub by its real client, against a server on this machine that speaks the few requests which a model needs.

``make test-hub`` runs this with the oldest and the newest ``huggingface_hub`` that ``pyproject.toml`` allows.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from vqkit import PCA, VQVAE, __version__, load_model, load_prior, train
from vqkit.cli.main import app
from vqkit.errors import ModelFolderError

REVISION = "0" * 39 + "1"
CLIENT = """
import torch
from vqkit import VQVAE, load_model
from vqkit.errors import ModelFolderError

model = VQVAE(channels=1, codebook_size=8, hidden_channels=8, residual_channels=4, code_dim=4).eval()
print(model.push_to_hub("me/my-vq.1", private=True, token="hf_secret"))
loaded = load_model("me/my-vq.1", revision="main")
signals = torch.rand(2, 1, 16, 16)
assert torch.equal(model.encode(signals), loaded.encode(signals))
assert sorted(loaded.state_dict()) == sorted(model.state_dict())
for name in ("me/none", "me/my-vq.1"):
    try:
        load_model(name, revision="elsewhere")
    except ModelFolderError as error:
        print(error)
"""


class Hub(BaseHTTPRequestHandler):
    """A hub with one revision of each repository."""

    repositories: dict[str, dict[str, bytes]]
    asked: list[tuple[str, str | None]]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, value: Any, status: int = 200, **headers: str) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(data)), "X-Repo-Commit": REVISION, **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        address = self.path.split("?")[0]
        Hub.asked.append((address, self.headers["Authorization"]))
        here = f"http://{self.headers['Host']}"
        if address == "/api/validate-yaml":  # the client asks before it sends a card
            assert json.loads(body)["content"].startswith("---\nlibrary_name: vqkit\n")
            return self.answer({"errors": [], "warnings": []})
        if address == "/api/repos/create":
            made = json.loads(body)
            name = f"{made['organization']}/{made['name']}"
            assert made.get("private") or made.get("visibility") == "private"  # 0.x, 2.x
            Hub.repositories.setdefault(name, {})
            return self.answer({"url": f"{here}/{name}", "id": name})
        if address == "/api/validate-yaml":
            assert "library_name: vqkit" in json.loads(body)["content"]
            return self.answer({"errors": [], "warnings": []})
        name = "/".join(address.split("/")[3:5])
        if address == f"/api/models/{name}/preupload/main":
            modes = [{**each, "uploadMode": "regular", "shouldIgnore": False} for each in json.loads(body)["files"]]
            return self.answer({"files": modes})
        if address == f"/api/models/{name}/commit/main":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    Hub.repositories[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"{here}/{name}/commit/{REVISION}"
            return self.answer({"commitUrl": url, "commitOid": REVISION, "pullRequestUrl": None})
        return self.answer({"error": "no such address"}, 404)

    def do_GET(self) -> None:
        address = self.path.split("?")[0]
        Hub.asked.append((address, self.headers["Authorization"]))
        for name, files in Hub.repositories.items():
            for revision in ("main", REVISION):
                if address == f"/api/models/{name}/revision/{revision}":
                    siblings = [{"rfilename": file} for file in files]
                    return self.answer({"id": name, "sha": REVISION, "siblings": siblings, "private": True})
                if address == f"/api/models/{name}/tree/{revision}":
                    return self.answer(
                        [
                            {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                            for file, data in files.items()
                        ]
                    )
                for file, data in files.items():
                    if address == f"/{name}/resolve/{revision}/{file}":
                        return self.answer(data, ETag=f'"{hashlib.sha1(data).hexdigest()}"')
        known = any(f"/{name}/" in address for name in Hub.repositories)
        return self.answer({"error": "x"}, 404, X_Error_Code="RevisionNotFound" if known else "RepoNotFound")

    def do_HEAD(self) -> None:
        self.do_GET()


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.repositories, Hub.asked = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_model_goes_to_the_hub_and_comes_back(hub: str, tmp_path: Path) -> None:
    own = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
    proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", CLIENT],
        env={**os.environ, **proxies, **own},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    commit, *refused = done.stdout.splitlines()
    assert commit.endswith(f"/me/my-vq.1/commit/{REVISION}")
    assert sorted(set(Hub.repositories["me/my-vq.1"]) - {".gitattributes"}) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert ("/api/models/me/my-vq.1/commit/main", "Bearer hf_secret") in Hub.asked
    assert [line.split(":")[0] for line in refused] == ["me/none", "me/my-vq.1"]
    assert all("the hub gave nothing" in line for line in refused)


@pytest.fixture
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A hub that cannot be reached; the names that it was asked for."""
    asked: list[str] = []

    def snapshot_download(name: str, **_: object) -> str:
        asked.append(name)
        raise RuntimeError("Got: ConnectError: Name or service\nnot known (Request ID: Root=1-2;3).")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return asked


@pytest.mark.parametrize(
    "name",
    ["./nowhere/model", "runs/x/model", "here/model", Path("nowhere/model"), Path("nowhere"), "nowhere", "~/my/model"],
)
def test_a_local_path_that_is_not_there_does_not_ask_the_hub(
    name: str | Path, nobody_answers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    for load in (load_model, load_prior, VQVAE.from_pretrained):
        with pytest.raises(ModelFolderError, match="there is no such folder") as caught:
            load(name)
        assert "\n" not in str(caught.value)
    result = CliRunner().invoke(app, ["encode", str(name), "digits", "--out", "tokens"])
    assert isinstance(result.exception, ModelFolderError)
    assert not nobody_answers or isinstance(name, Path)


def test_a_hub_that_does_not_answer_is_one_sentence(
    nobody_answers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "me").mkdir()
    monkeypatch.chdir(tmp_path)
    why = "no such local folder, and the hub gave nothing (ConnectError: Name or service not known); check the "
    with pytest.raises(ModelFolderError) as caught:
        load_model("owner/name")
    assert str(caught.value) == f"owner/name: {why}spelling and the connection"
    with pytest.raises(ModelFolderError, match="the hub gave nothing"):
        load_model("me/name", revision="main")
    result = CliRunner().invoke(app, ["info", "owner/name"])
    assert isinstance(result.exception, ModelFolderError)
    assert nobody_answers == ["owner/name", "me/name", "owner/name"]


def test_a_hub_that_refuses_an_upload_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("401 Client Error.\n\nInvalid username or password.")

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", refuse)
    with pytest.raises(ModelFolderError) as caught:
        VQVAE(8, channels=1, hidden_channels=8, residual_channels=4).push_to_hub("me/mine")
    assert str(caught.value) == (
        "me/mine: the hub took nothing (401 Client Error. Invalid username or password); check the connection, the "
        "name and the token"
    )


def test_a_run_s_card_says_versions_data_and_measures(tmp_path: Path) -> None:
    vectors = np.eye(4, dtype=np.float32).repeat(20, 0)
    run = train(PCA(2, axes=0, channels=4, size=()), vectors, out=tmp_path / "run", quiet=True)
    card = (run.path / "model" / "README.md").read_text()
    assert f"Made with vqkit {__version__}, torch {torch.__version__}." in card
    assert "80 vectors" in card
    assert "| held-out items | 8 |" in card

"""The server as a stranger meets it: files of the machine, other doors of gradio, addresses, other names of it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlparse

import pytest

from vqkit.lab import limits
from vqkit.lab.gate import Gate, names_addresses

pytestmark = pytest.mark.skipif(find_spec("gradio") is None, reason="gradio is not installed: pip install 'vqkit[lab]'")


def ask(lab: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, Any]:
    place = urlparse(lab)
    client = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    client.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        client.putheader(name.replace("_", "-"), value)
    if body is not None:
        client.putheader("Content-Length", str(len(body)))
    client.endheaders(body)
    answer = client.getresponse()
    content = answer.read()
    client.close()
    return answer.status, content, answer.headers


def test_the_page_forbids_scripts_and_requests_elsewhere(lab: str) -> None:
    status, content, headers = ask(lab, "GET", "/")
    assert status == 200
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert b"fonts.googleapis.com" not in content


def test_no_style_fetches_a_font(lab: str) -> None:
    status, content, _ = ask(lab, "GET", "/theme.css")
    assert status == 200
    assert b"url(http" not in content
    assert b"googleapis" not in content
    assert b"system-ui" in content


FILES = [
    "/gradio_api/file=/etc/passwd", "/gradio_api/file=%2Fetc%2Fpasswd", "/gradio_api/file=file:///etc/passwd",
    "/gradio_api/file=../../../../etc/passwd", "/gradio_api/file/etc/passwd", "/file=/etc/passwd",
    "/gradio_api/file=..%2F..%2Fetc%2Fpasswd", "/static/../../../../etc/passwd", "/assets/..%2f..%2f..%2fetc%2fpasswd",
    "/gradio_api/file=/proc/self/environ", "/gradio_api/file=pyproject.toml", "/gradio_api/file=./README.md",
    "/custom_component/x/client/component/../../../etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("path", FILES)
def test_files_of_the_machine_are_not_given(lab: str, path: str) -> None:
    status, content, _ = ask(lab, "GET", path)
    assert status in (403, 404)
    assert b"root:" not in content


def test_files_of_the_folder_it_was_started_in_and_of_other_temporary_ones(lab: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret")
    for path in (tmp_path / "secret.txt", Path.cwd() / "pyproject.toml"):
        status, content, _ = ask(lab, "GET", f"/gradio_api/file={quote(str(path))}")
        assert status in (403, 404)
        assert b"the secret" not in content
        assert b"vqkit" not in content


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://127.0.0.1:1/", "/monitoring", "/gradio_api/info", "/docs", "/openapi.json",
        "/gradio_api/openapi.json", "/gradio_api/deep_link", "/gradio_api/mcp/", "/gradio_api/run/predict",
        "/gradio_api/call/run", "/gradio_api/dev/reload", "/pwa_icon", "/login", "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/process_recording", "/gradio_api/vibe-code", "/runs", "/gradio_api/run-history/records",
    ],
)  # fmt: skip
def test_other_doors_are_shut(lab: str, path: str) -> None:
    status, _, _ = ask(lab, "GET", path)
    assert status in (403, 404)
    if path.startswith(("/gradio_api/run", "/gradio_api/call", "/gradio_api/process")):
        assert ask(lab, "POST", path, b"{}", Content_Type="application/json")[0] == 403


def test_another_name_for_this_machine_is_refused(lab: str) -> None:
    """A page elsewhere whose name was made to point here (DNS rebinding) gets nothing."""
    assert ask(lab, "GET", "/", Host="evil.example")[0] == 403
    assert ask(lab, "GET", "/", Host=f"localhost:{urlparse(lab).port}")[0] == 200


def joined(lab: str, file: dict[str, Any]) -> tuple[int, str]:
    """What comes of a file that a program names in place of an upload, on the page Compare."""
    config = json.loads(ask(lab, "GET", "/config")[1])
    kinds = {part["id"]: part["type"] for part in config["components"]}
    chosen = next(
        each
        for each in config["dependencies"]
        if [kinds[part] for part in each["inputs"]] == ["dropdown", "file", "dropdown", "dropdown"]
    )
    data = ["pictures", {"meta": {"_type": "gradio.FileData"}, **file}, None, "256"]
    session = os.urandom(5).hex()
    request = {"data": data, "fn_index": chosen["id"], "session_hash": session, "trigger_id": None, "event_data": None}
    status, content, _ = ask(
        lab, "POST", "/gradio_api/queue/join", json.dumps(request).encode(), Content_Type="application/json"
    )
    if status != 200:
        return status, content.decode()
    place = urlparse(lab)
    client = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    client.request("GET", f"/gradio_api/queue/data?session_hash={session}")
    answer = client.getresponse()
    told = ""
    while (line := answer.readline().decode()) and "process_completed" not in line:
        told += line
    client.close()
    return status, told + line


def test_a_file_that_was_not_uploaded_is_not_read(lab: str, tmp_path: Path) -> None:
    from tests.lab.test_uploads import png

    (tmp_path / "private.png").write_bytes(png(40, 40))
    status, told = joined(lab, {"path": str(tmp_path / "private.png"), "orig_name": "private.png"})
    assert status == 200
    assert '"success":false' in told.replace(" ", "")
    assert "PSNR" not in told


def test_an_address_is_not_fetched(lab: str) -> None:
    assert joined(lab, {"path": "http://127.0.0.1:1/a.png", "orig_name": "a.png"})[0] == 403
    assert joined(lab, {"path": "https://example.org/a.png", "orig_name": "a.png"})[0] == 403


def upload(lab: str, content: bytes, name: str) -> tuple[int, bytes]:
    body = (
        b'--edge\r\nContent-Disposition: form-data; name="files"; filename="' + name.encode() + b'"\r\n'
        b"Content-Type: image/png\r\n\r\n" + content + b"\r\n--edge--\r\n"
    )
    kind = "multipart/form-data; boundary=edge"
    return ask(lab, "POST", "/gradio_api/upload", body, Content_Type=kind)[:2]


def test_a_lab_takes_files_also_after_another_was_opened(lab: str) -> None:
    from tests.lab.cases import vector_model
    from tests.lab.test_uploads import png
    from vqkit.lab.opening import served_lab

    with served_lab({"another": vector_model()}):
        place = json.loads(upload(lab, png(40, 40), "a.png")[1])[0]
        status, told = joined(lab, {"path": place, "orig_name": "a.png"})
    assert status == 200
    assert "PSNR" in told
    assert upload(lab, b"small", "small.png")[0] == 200


def test_an_upload_has_a_limit(lab: str) -> None:
    assert upload(lab, bytes(limits.MOST_BYTES + 1), "large.png")[0] in (400, 413, 500)
    assert upload(lab, b"small", "small.png")[0] == 200


@pytest.mark.parametrize("name", ["../../../../tmp/escaped.png", "/etc/escaped.png", "a/../../b.png", ".hidden.png"])
def test_names_of_uploads_lead_nowhere(lab: str, name: str) -> None:
    status, content = upload(lab, b"content", name)
    if status == 200:
        place = Path(json.loads(content)[0]).resolve()
        assert Path(os.environ["GRADIO_TEMP_DIR"]).resolve() in place.parents
    assert not Path("/tmp/escaped.png").exists()


def test_the_gate_by_itself() -> None:
    assert Gate.opens("/gradio_api/queue/join")
    assert not Gate.opens("/gradio_api/queue/joins")
    assert not Gate.opens("/assets/../secret")
    assert names_addresses(b'{"a": [{"b": {"path": "ftp://x"}}]}')
    assert names_addresses(b"\xff no JSON")
    assert names_addresses(b"[" * 100_000)
    assert not names_addresses(b'{"data": [{"path": "/tmp/a.png"}, "http://in a text"]}')


def test_a_page_elsewhere_cannot_upload(lab: str) -> None:
    """A browser lets any page send a form to any address; it says then which page that is."""
    body = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nx\r\n--edge--\r\n'
    kind = "multipart/form-data; boundary=edge"
    for origin, status in (("http://evil.example", 403), ("null", 403), (lab, 200)):
        assert ask(lab, "POST", "/gradio_api/upload", body, Content_Type=kind, Origin=origin)[0] == status


def test_an_upload_of_many_files_has_a_limit() -> None:
    """Also one whose length nobody says, or says wrongly: the app behind the gate is not asked."""

    async def answered(length: str | None) -> int:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200})

        told: list[Any] = []

        async def send(message: Any) -> None:
            told.append(message)

        headers = [(b"host", b"127.0.0.1:1")] + ([] if length is None else [(b"content-length", length.encode())])
        scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": headers}
        await Gate(app)(scope, None, send)  # type: ignore[arg-type]
        return int(told[0]["status"])

    most = limits.MOST_FILES * limits.MOST_BYTES
    assert [asyncio.run(answered(each)) for each in ("5", str(most), str(2 * most), None, "-1")] == [
        200, 200, 403, 403, 403,
    ]  # fmt: skip


def test_without_gradio_the_command_says_so_at_once() -> None:
    script = (
        "import sys; sys.modules['gradio'] = None; sys.argv = ['vqkit', 'lab']\n"
        "import importlib.util as found; of = found.find_spec\n"
        "found.find_spec = lambda name, *rest: None if name == 'gradio' else of(name, *rest)\n"
        "from vqkit.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert 'pip install "vqkit[lab]"' in done.stderr
    assert done.stdout.split()[1:] == ["False"], done.stdout

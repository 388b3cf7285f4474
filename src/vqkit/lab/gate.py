"""The gate before gradio's server: only paths that the page uses, no address to be fetched, no script from elsewhere.

gradio's server has more doors than the page needs: files by path, proxies, recordings, monitoring, an interface for
programs, and uploads that name an address, which the server would fetch. The page uses none of these, so they are shut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, final

from vqkit.lab import limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_OPEN = re.compile(
    r"/|/config|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/(assets|svelte|static)/.*"
    r"|/gradio_api/(theme\.css|app_id|startup-events|heartbeat/\w+|upload|upload_progress|queue/join|queue/data"
    r"|cancel|reset|file=.*|component_server)/?"
)
_MOST_BODY = 4 << 20
"""Bytes of a request that is no upload."""
_MOST_UPLOADED = limits.MOST_FILES * limits.MOST_BYTES + _MOST_BODY
"""Bytes of a request that is one: its files, and what is between them."""
_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self' data: blob:; "
        b"object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


@final
class Gate:
    """ASGI middleware that answers 403 to what the page does not ask for.

    Args:
        app: behind the gate.
        local: whether the server is bound to this machine only: then nothing is answered that was asked of a server by
            another name, as a page elsewhere does whose name was made to point here, or that a page elsewhere asks: a
            browser lets it send a form to any address.

    Example:
        >>> from vqkit.lab.gate import Gate
        >>> Gate.opens("/gradio_api/upload"), Gate.opens("/gradio_api/proxy=http://example.org")
        (True, False)
    """

    def __init__(self, app: Any, local: bool = True) -> None:
        self.app = app
        self.local = local

    @staticmethod
    def opens(path: str) -> bool:
        """Return whether the page uses a path of the server."""
        return _OPEN.fullmatch(path) is not None and ".." not in path.split("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http" or not self.opens(scope["path"]) or not self._is_asked(scope["headers"]):
            await _refuse(send, b"the lab does not use this address")
            return
        if scope["method"] == "POST" and scope["path"].startswith("/gradio_api/upload"):
            if not 0 <= _stated_length(scope) <= _MOST_UPLOADED:
                await _refuse(send, b"the lab takes files of a stated length, and not so many at once")
                return
        elif scope["method"] == "POST":
            form = _is_form(scope)
            body = await _whole(receive, limits.MOST_BYTES if form else _MOST_BODY)
            if body is None or (not form and names_addresses(body)):
                await _refuse(send, b"the lab takes files, not addresses of files, and short requests")
                return
            receive = _replayed(body, receive)
        await self.app(scope, receive, _with_headers(send))

    def _is_asked(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        if not self.local:
            return True
        said = dict(headers)
        origin = said.get(b"origin")
        return _is_local(said.get(b"host", b"")) and (origin is None or _is_local(origin.partition(b"://")[2]))


def names_addresses(body: bytes) -> bool:
    """Return whether a JSON request has a file whose path is an address; True as well for what is no JSON.

    Example:
        >>> from vqkit.lab.gate import names_addresses
        >>> names_addresses(b'{"data": [{"path": "http://example.org/a.png"}]}'), names_addresses(b'{"data": [1]}')
        (True, False)
    """
    if not body:
        return False
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return True
    rest = [document]
    while rest:
        here = rest.pop()
        if isinstance(here, dict):
            path = here.get("path")
            if isinstance(path, str) and "://" in path:
                return True
            rest += here.values()
        elif isinstance(here, list):
            rest += here
    return False


def _is_local(host: bytes) -> bool:
    """Return whether a name and port, as requests say them, are of this machine."""
    name = host.decode("latin-1")
    return name.rpartition(":")[0].strip("[]") in LOCAL or name.strip("[]") in LOCAL


def _stated_length(scope: Scope) -> int:
    """The bytes of a request as its header says them; -1: it says none."""
    said = dict(scope["headers"]).get(b"content-length", b"")
    return int(said) if said.isdigit() else -1


def _is_form(scope: Scope) -> bool:
    """Return whether a component sends parts of a picture that was drawn on."""
    kind = dict(scope["headers"]).get(b"content-type", b"")
    return kind.startswith(b"multipart/form-data") and scope["path"].startswith("/gradio_api/component_server")


async def _whole(receive: Receive, most: int) -> bytes | None:
    """The body of a request; None: it is too long, or the client has gone."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > most:
            return None
        if not message.get("more_body", False):
            return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read already, then whatever comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_HEADERS]
        await send(message)

    return sent


async def _refuse(send: Send, why: bytes) -> None:
    await send({
        "type": "http.response.start",
        "status": 403,
        "headers": [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": why})

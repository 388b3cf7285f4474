"""A lab that is served once for all tests of this folder, whose process may connect to nothing but this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

_connect = socket.socket.connect


@pytest.fixture(scope="session")
def lab() -> Iterator[str]:
    """The address of a lab with small models."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'vqkit[lab]'")
    from tests.lab.cases import workshop
    from vqkit.lab.opening import served_lab

    outside: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "unix"
        if host not in ("127.0.0.1", "::1", "localhost", "unix"):
            outside.append(address)
        _connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        with served_lab(workshop()) as address:
            yield address
    assert outside == [], "connections that the server made to other machines"

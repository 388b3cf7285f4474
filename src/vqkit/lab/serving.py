"""Serving: the arguments that keep gradio on this machine, its files closed, and what it keeps small."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Any, final

from vqkit.lab import limits
from vqkit.lab.gate import LOCAL, Gate
from vqkit.lab.look import CSS, HEAD, theme
from vqkit.optional import require

LOCALHOST = "127.0.0.1"
_ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_ALLOWED_PATHS": "",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


@final
class UploadFolder:
    """The folder of what is uploaded and made, within ``with``: one for all labs that a process serves at a time.

    gradio reads its name from the environment anew at every request: with a folder for each lab, only the lab that was
    opened last would take files.

    Example:
        >>> import os
        >>> from vqkit.lab.serving import UPLOADS
        >>> with UPLOADS:
        ...     "vqkit-lab-" in os.environ["GRADIO_TEMP_DIR"]
        True
    """

    _NAME = "GRADIO_TEMP_DIR"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._labs = 0
        self._before: str | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="vqkit-lab-", ignore_cleanup_errors=True)
                self._before = os.environ.get(self._NAME)
                os.environ[self._NAME] = str(Path(self._folder.name).resolve())
            self._labs += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._labs -= 1
            if self._labs or self._folder is None:
                return
            if self._before is None:
                os.environ.pop(self._NAME, None)
            else:
                os.environ[self._NAME] = self._before
            self._folder.cleanup()
            self._folder = None


UPLOADS = UploadFolder()
"""Of the labs of this process."""


def gradio() -> Any:
    """Import gradio, telemetry off.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.update(_ENVIRONMENT)
    return require("gradio", "Pages of the lab")


def blocks_options() -> dict[str, Any]:
    """Return arguments of ``gr.Blocks``: no telemetry, files deleted when they are old."""
    return {
        "analytics_enabled": False,
        "title": "vqkit lab",
        "delete_cache": (limits.FILES_SECONDS // 3, limits.FILES_SECONDS),
    }


def queue_options() -> dict[str, Any]:
    """Return arguments of ``Blocks.queue``: few at once, few that wait, no open interface for programs."""
    return {"max_size": limits.WAITING, "default_concurrency_limit": limits.AT_ONCE, "api_open": False}


def launch_options(host: str, port: int) -> dict[str, Any]:
    """Return arguments of ``Blocks.launch``: this machine only unless a host is named, no file of it to be read.

    Args:
        host: to bind to.
        port: to listen at; 0: any free one.
    """
    from starlette.middleware import Middleware  # comes with gradio

    return {
        "server_name": host,
        "server_port": port or None,
        "share": False,
        "inbrowser": False,
        "quiet": True,
        "show_error": False,
        "footer_links": [],
        "run_history": False,
        "allowed_paths": [],
        "blocked_paths": [],
        "max_file_size": limits.MOST_BYTES,
        "state_session_capacity": limits.SESSIONS,
        "enable_monitoring": False,
        "mcp_server": False,
        "pwa": False,
        "ssr_mode": False,
        "strict_cors": True,
        "theme": theme(),
        "css": CSS,
        "head": HEAD,
        "app_kwargs": {
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
            "middleware": [Middleware(Gate, local=host in LOCAL)],
        },
    }

"""Serving: the arguments that keep gradio on this machine, its files closed, and what it keeps small."""

from __future__ import annotations

import os
from typing import Any

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

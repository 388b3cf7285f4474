"""``vqkit lab``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from vqkit.cli.options import DeviceOption, ThreadsOption, set_threads


def lab(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN ...",
            help="Runs, model folders, folders of runs, or hub names (left out: the models that come with vqkit).",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to bind to; with 0.0.0.0 everybody who reaches this machine can use the page.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0: any free one.")] = 7860,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Open the lab in the browser: signals beside their reconstructions, tokens to change, codebooks, runs compared."""
    if find_spec("gradio") is None:
        from vqkit.optional import require

        require("gradio", "Pages of the lab")  # says so, without waiting for torch
    from vqkit.cli.failures import warn
    from vqkit.cli.loading import say_shadow
    from vqkit.lab import open_lab
    from vqkit.lab.serving import LOCALHOST

    set_threads(threads)
    for name in runs or ():
        say_shadow(name)
    if host not in (LOCALHOST, "localhost", "::1"):
        warn(f"  note: bound to {host}: everybody who reaches this machine can use the page")
    open_lab(runs or None, host=host, port=port, browser=browser, device=device, say=typer.echo)

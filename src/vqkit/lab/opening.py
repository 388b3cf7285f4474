"""The page put together and served: ``build_lab`` makes it of the registered pages, ``open_lab`` serves it."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from vqkit._version import __version__
from vqkit.errors import ConfigError
from vqkit.lab import serving
from vqkit.lab.workshop import Workshop
from vqkit.spelling import option

DEFAULT_PORT = 7860


def build_lab(models: Any = None, *, device: str = "cpu") -> Any:
    """Build the page, without serving it.

    Args:
        models: see ``open_lab``; also a ``Workshop``.
        device: for models that are loaded here.

    Returns:
        A ``gradio.Blocks``.

    Raises:
        MissingExtraError: gradio is not installed.

    Example:
        >>> import vqkit
        >>> from vqkit.lab import build_lab
        >>> page = build_lab({"mine": vqkit.VQVAE(16, hidden_channels=8)})
        >>> page.title
        'vqkit lab'
    """
    gr = serving.gradio()
    from vqkit.lab.pages import LAB_PAGES

    workshop = models if isinstance(models, Workshop) else Workshop.of(models, device)
    with gr.Blocks(**serving.blocks_options()) as page:
        gr.HTML(
            '<header class="vq-header"><h1>vqkit lab</h1><p>Signals as discrete tokens: look, listen, change one. '
            f'Everything is computed on this machine.</p><span class="vq-version">{__version__}</span></header>'
        )
        with gr.Tabs(elem_id="pages"):
            for name, kind in sorted(LAB_PAGES.available().items(), key=lambda each: each[1].order):
                with gr.Tab(kind.title, id=name, elem_id=f"page-{name}"):
                    gr.HTML(f'<p class="vq-help">{kind.help}</p>')
                    part = kind()
                    if not part.needs_model or workshop.names(part.suits):
                        part.build(workshop)
                    else:
                        gr.HTML(f'<p class="vq-nothing">{part.nothing}</p>')
    page.queue(**serving.queue_options())
    return page


@contextmanager
def served_lab(
    models: Any = None, *, host: str = serving.LOCALHOST, port: int = 0, device: str = "cpu"
) -> Iterator[str]:
    """Serve the lab within the block, from a thread of its own.

    Yields:
        The address: ``http://127.0.0.1:7860``.

    Raises:
        ConfigError: the port is taken.
    """
    with serving.UPLOADS:
        page = build_lab(models, device=device)
        try:
            try:
                _, address, _ = page.launch(**serving.launch_options(host, port), prevent_thread_lock=True)
            except OSError as error:
                raise ConfigError(
                    f"port {port} of {host} cannot be listened at; choose another one ({option('port')}), or end what "
                    "uses it"
                ) from error
            yield str(address).rstrip("/")
        finally:
            page.close(verbose=False)


def open_lab(
    models: Any = None,
    *,
    host: str = serving.LOCALHOST,
    port: int = DEFAULT_PORT,
    browser: bool = True,
    device: str = "cpu",
    say: Callable[[str], None] | None = None,
) -> None:
    """Serve the lab until Ctrl-C.

    Args:
        models: a run, a model, or several: names as ``load_model`` takes them, folders of runs, models of one's own, or
            a mapping of names to any of these; None: the models that come with vqkit.
        host: to bind to; with another than 127.0.0.1 everybody who reaches this machine can use the page.
        port: to listen at; 0: any free one.
        browser: whether to open the page in the browser.
        device: for models that are loaded here: auto, cpu, cuda or mps.
        say: is told the address, in one line.

    Raises:
        ConfigError: no models, or the port is taken.
        MissingExtraError: gradio is not installed.

    Example:
        >>> from vqkit.lab import open_lab
        >>> open_lab("runs/mine")  # doctest: +SKIP
    """
    with served_lab(models, host=host, port=port, device=device) as address:
        if say is not None:
            say(f"the lab is at {address}  (Ctrl-C ends it)")
        if browser:
            with suppress(webbrowser.Error):
                webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()

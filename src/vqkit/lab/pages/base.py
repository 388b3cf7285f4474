"""Base and registry of the lab's pages, and how a handler says in one line what was wrong."""

from __future__ import annotations

import functools
import html
import inspect
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from vqkit.errors import VqkitError
from vqkit.lab.workshop import OpenModel, Workshop
from vqkit.optional import require
from vqkit.registry import Registry


class Page(ABC):
    """One page of the lab: a tab with a sentence of help.

    Subclass it and register it: ``@LAB_PAGES.register("mine")``; installed packages offer pages by the entry point
    group ``vqkit.lab_pages``.

    Attributes:
        title: of the tab.
        order: of the tabs, from the left.
        help: a sentence or two below it: what is to be seen here.
        needs_model: whether the page is built only where ``suits`` is true of some model.
        nothing: what stands there where it is not.

    Example:
        >>> from vqkit.lab.pages.base import LAB_PAGES, Page
        >>> isinstance(LAB_PAGES.kind, str), Page.needs_model
        (True, True)
    """

    title: ClassVar[str]
    order: ClassVar[int] = 100
    help: ClassVar[str]
    needs_model: ClassVar[bool] = True
    nothing: ClassVar[str] = "None of the models that are open suits this page."

    def suits(self, model: OpenModel) -> bool:
        """Return whether the page can show a model; by default every kind that is shown at all."""
        return model.kind is not None

    @abstractmethod
    def build(self, workshop: Workshop) -> None:
        """Make the components within the ``gr.Blocks`` that is open, and connect them.

        Nothing of a user may be kept in the page or the workshop: that goes into ``gr.State``.
        """


CLEAR = "<span></span>"
"""Of HTML that shows nothing: a page leaves what stood there before for an empty text."""
LAB_PAGES: Registry[type[Page]] = Registry("page of the lab", "vqkit.lab_pages", Page)
"""The pages by name, in the order of their tabs."""


def said_line() -> Any:
    """Make the component that ``connected`` handlers say mistakes in; a screen reader reads it out."""
    gr = require("gradio", "Pages of the lab")
    return gr.HTML(CLEAR, elem_classes=["vq-line"])


def line(text: str) -> str:
    """Return the HTML of a mistake, or nothing for an empty text."""
    return f'<p class="vq-say" role="alert">{html.escape(text)}</p>' if text else CLEAR


def connected(handler: Callable[..., Any], outputs: int, *, working: str = "") -> Callable[..., Any]:
    """Return a handler that says mistakes in one line, its last output.

    Args:
        handler: returns its ``outputs`` results (a tuple, of one also the value itself); or yields such.
        outputs: how many results, without the line.
        working: what the line says until the first result is there.

    Returns:
        A function of the same parameters with ``outputs + 1`` results: after a ``VqkitError`` all but the line stay as
        they are on the page.
    """
    gr = require("gradio", "Pages of the lab")

    def whole(result: Any, number: int = 0) -> tuple[Any, ...]:
        results = result if isinstance(result, tuple) else (result,)
        assert len(results) == outputs, f"{len(results)} results for {outputs} outputs"
        return (*results, f'<span hidden data-result="{number}"></span>')  # a value of its own: equal ones get lost

    def failed(error: BaseException) -> tuple[Any, ...]:
        return (*(gr.skip() for _ in range(outputs)), line(words_of(error)))

    if inspect.isgeneratorfunction(handler) or working:

        @functools.wraps(handler)
        def stream(*arguments: Any, **options: Any) -> Iterator[tuple[Any, ...]]:
            if working:
                yield (
                    *(gr.skip() for _ in range(outputs)),
                    f'<p class="vq-note vq-working">{html.escape(working)}</p>',
                )
            try:
                found = handler(*arguments, **options)
                for number, result in enumerate(found if inspect.isgenerator(found) else (found,)):
                    yield whole(result, number)
            except Exception as error:  # noqa: BLE001 - a page says it, and goes on
                yield failed(error)

        return stream

    @functools.wraps(handler)
    def once(*arguments: Any, **options: Any) -> tuple[Any, ...]:
        try:
            return whole(handler(*arguments, **options))
        except Exception as error:  # noqa: BLE001 - a page says it, and goes on
            return failed(error)

    return once


def words_of(error: BaseException) -> str:
    """Return a mistake in one line; what is a fault of vqkit's own is printed whole where the lab was started."""
    if isinstance(error, VqkitError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "the memory of this machine does not suffice: take a smaller file, or a shorter longest side"
    traceback.print_exception(error, file=sys.stderr)
    return f"this did not work ({type(error).__name__}); the terminal in which the lab runs says more"

"""Base of the formats of exported graphs, and their registry."""

from __future__ import annotations

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch.export import ExportedProgram

from vqkit.errors import ConfigError
from vqkit.export.graphs import Graph
from vqkit.registry import Registry

Runner = Callable[[Sequence["np.ndarray[Any, Any]"]], list["np.ndarray[Any, Any]"]]
"""What computes a graph that was read back: arrays of its inputs, in order, to those of its outputs."""


class ExportFormat(ABC):
    """A file format of graphs: how one is written, and computed by the runtime that reads it.

    **A format of your own** subclasses this, is registered (``EXPORT_FORMATS.register("mine")``), and defines ``write``
    and ``open``; ``vqkit export --format mine`` then writes it and checks it.

    Example:
        >>> from vqkit.export import EXPORT_FORMATS, ExportFormat
        >>> all(issubclass(EXPORT_FORMATS[name], ExportFormat) for name in EXPORT_FORMATS)
        True
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    """Of its files, with the dot."""

    def check(self) -> None:  # noqa: B027
        """Raise ``MissingExtraError`` where a package is missing, before anything is computed."""

    @abstractmethod
    def write(self, graph: Graph, path: Path, metadata: Mapping[str, str]) -> None:
        """Write a graph.

        Args:
            graph: of a model.
            path: of the file.
            metadata: words that the file keeps, where the format has a place for them.

        Raises:
            ConfigError: an operation of the graph that the format does not have.
        """

    @abstractmethod
    def open(self, path: Path) -> Runner:
        """Return what computes the graph of a file, by the format's runtime and not by the model."""


EXPORT_FORMATS: Registry[type[ExportFormat]] = Registry(
    "export format", "vqkit.export_formats", ExportFormat, attribute="name"
)
"""Formats of exported graphs by name."""


def export_format(name: str) -> ExportFormat:
    """Return the format of a name.

    Raises:
        ConfigError: unknown; the known ones are listed.

    Example:
        >>> from vqkit.export import export_format
        >>> export_format("torch").suffix
        '.pt2'
    """
    return EXPORT_FORMATS.get_part(name)()


def traced(graph: Graph) -> ExportedProgram:
    """Trace a graph for every size of its free axes.

    Raises:
        ConfigError: what it computes depends on values in a way that no graph says, or holds for one size only.
    """
    with quiet(), torch.no_grad():
        try:
            return torch.export.export(
                graph.module,
                graph.examples,
                dynamic_shapes=graph.free_axes(),
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
        except Exception as error:
            raise refused(graph, "no graph of torch.export can be made of it", error) from error


def refused(graph: Graph, why: str, error: BaseException) -> ConfigError:
    """Return the error of a graph that cannot be exported."""
    while error.__cause__ is not None:  # what exporters raise begins with advice
        error = error.__cause__
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ConfigError(
        f"the {graph.name} is not exported: {why} ({type(error).__name__}: {reason[:300]}); its parts are "
        f"{graph.describe_parts()}: export the other parts, or use the model itself"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back the words of torch's exporters, which are for those who write them."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

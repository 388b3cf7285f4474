"""ONNX: graphs that ONNX Runtime computes in Python, C++, C#, Java, and in the browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch

from vqkit.export.formats.base import EXPORT_FORMATS, ExportFormat, Runner, quiet, refused, traced
from vqkit.export.formats.float64 import DECOMPOSITIONS
from vqkit.export.graphs import Graph
from vqkit.optional import require

_OPSET = 20
"""The operations of ONNX 1.15, which runtimes of 2024 and later have."""
_PURPOSE = "exports to ONNX"


@EXPORT_FORMATS.register("onnx")
@final
class OnnxFormat(ExportFormat):
    """``.onnx`` files, of opset 20, weights inside; what ONNX Runtime has in float32 only is written as products.

    Example:
        >>> from vqkit.export.formats import OnnxFormat
        >>> OnnxFormat().suffix
        '.onnx'
    """

    suffix: ClassVar[str] = ".onnx"

    def check(self) -> None:
        """See ``ExportFormat.check``."""
        for package in ("onnx", "onnxscript", "onnxruntime"):
            require(package, _PURPOSE)

    def write(self, graph: Graph, path: Path, metadata: Mapping[str, str]) -> None:
        """See ``ExportFormat.write``."""
        self.check()
        program = traced(graph)
        with quiet(), torch.no_grad():
            try:
                program = program.run_decompositions(DECOMPOSITIONS)
                made: Any = torch.onnx.export(
                    program,
                    dynamo=True,
                    opset_version=_OPSET,
                    input_names=list(graph.inputs),
                    output_names=list(graph.outputs),
                    verbose=False,
                )
            except Exception as error:
                raise refused(graph, "an operation of it has no form in ONNX", error) from error
            made.model.metadata_props.update(metadata)
            for value, axes in [*zip(made.model.graph.inputs, graph.inputs.values(), strict=True)]:
                value.shape = require("onnx_ir", _PURPOSE).Shape(list(axes))
            made.save(path)

    def open(self, path: Path) -> Runner:
        """See ``ExportFormat.open``."""
        runtime = require("onnxruntime", _PURPOSE)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_inputs()]

        def run(inputs: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
            found: list[np.ndarray[Any, Any]] = session.run(None, dict(zip(names, inputs, strict=True)))
            return found

        return run

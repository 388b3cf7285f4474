"""Formats of exported graphs: what a runtime reads."""

from vqkit.export.formats.base import EXPORT_FORMATS, ExportFormat, export_format
from vqkit.export.formats.onnx import OnnxFormat
from vqkit.export.formats.torch import TorchFormat

__all__ = ["EXPORT_FORMATS", "ExportFormat", "OnnxFormat", "TorchFormat", "export_format"]

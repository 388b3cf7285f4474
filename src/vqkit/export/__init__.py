"""Export: a model as graphs that other runtimes compute, checked against the model over a whole set."""

from vqkit.export.exporting import Export, export_model
from vqkit.export.formats import EXPORT_FORMATS, ExportFormat, export_format
from vqkit.export.graphs import Graph

__all__ = ["EXPORT_FORMATS", "Export", "ExportFormat", "Graph", "export_format", "export_model"]

"""Results for a paper: tables, figures and references of runs, evaluations and reports."""

from vqkit.results.citations.citing import cite
from vqkit.results.figures.plot import plot_results
from vqkit.results.reading import load_results
from vqkit.results.result import Result
from vqkit.results.schemas import SCHEMAS, schema
from vqkit.results.seeds import Spread
from vqkit.results.several import SeedRuns, train_seeds
from vqkit.results.tables.columns import TableColumn
from vqkit.results.tables.table import ResultTable, result_table

__all__ = [
    "SCHEMAS",
    "Result",
    "ResultTable",
    "SeedRuns",
    "Spread",
    "TableColumn",
    "cite",
    "load_results",
    "plot_results",
    "result_table",
    "schema",
    "train_seeds",
]

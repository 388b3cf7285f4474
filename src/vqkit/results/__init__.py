"""Results for a paper: tables, figures and references of runs, evaluations and reports."""

from vqkit.results.citing import cite
from vqkit.results.columns import TableColumn
from vqkit.results.reading import load_results
from vqkit.results.result import Result
from vqkit.results.seeds import Spread
from vqkit.results.table import ResultTable, result_table

__all__ = [
    "Result",
    "ResultTable",
    "Spread",
    "TableColumn",
    "cite",
    "load_results",
    "result_table",
]

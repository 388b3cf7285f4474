"""Tables of results for a paper: CSV, LaTeX (booktabs) and Markdown."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vqkit.errors import ConfigError
from vqkit.evaluation import MEASURES
from vqkit.results.reading import load_results
from vqkit.results.seeds import Spread, grouped
from vqkit.results.tables.columns import TEXTS, Cell, TableColumn, choose
from vqkit.storage import atomic

FORMATS = {"csv": ".csv", "latex": ".tex", "markdown": ".md"}
"""Formats, and the ending of the files of each."""
MARK = "vqkit table"
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class ResultTable:
    """A table of results; a row for each recipe, whose seeds are taken together.

    Attributes:
        columns: heads, units and digits.
        rows: of text and numbers; None where there is nothing.
        best: whether the best number of a column stands out, in LaTeX and Markdown.

    Example:
        >>> from vqkit.results import ResultTable, Spread, TableColumn
        >>> columns = (TableColumn("model", "Model"), TableColumn("psnr_db", "PSNR", "dB", "high", digits=2))
        >>> table = ResultTable(columns, (("PCA", Spread(15.0)), ("VQ-VAE", Spread(24.61, 0.05, 3))))
        >>> print(table.markdown(), end="")
        | Model | PSNR (dB) ↑ |
        |---|---:|
        | PCA | 15.00 |
        | VQ-VAE | 24.61 ± 0.05 |
    """

    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]
    best: bool = False

    def csv(self) -> str:
        """Comma-separated values for a program: raw names, all digits; deviations are columns of their own."""
        spread = [any(_has_deviation(row[place]) for row in self.rows) for place in range(len(self.columns))]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        heads = [
            [column.name, *([f"{column.name}_deviation"] if also else [])]
            for column, also in zip(self.columns, spread, strict=True)
        ]
        writer.writerow([name for pair in heads for name in pair])
        for row in self.rows:
            cells: list[str] = []
            for cell, also in zip(row, spread, strict=True):
                cells.append(_exact(cell.mean) if isinstance(cell, Spread) else _one_line(cell or ""))
                if also:
                    deviation = cell.deviation if isinstance(cell, Spread) else None
                    cells.append("" if deviation is None else _exact(deviation))
            writer.writerow(cells)
        return out.getvalue()

    def markdown(self) -> str:
        """A table of GitHub's Markdown; what has several seeds is mean ± deviation."""
        rows = self._text(_markdown_text, lambda text: f"**{text}**", "±", "-")
        arrows = {"high": " ↑", "low": " ↓", None: ""}
        heads = [f"{_markdown_text(_head(column))}{arrows[column.better]}" for column in self.columns]
        rules = ["---" if column.digits is None else "---:" for column in self.columns]
        lines = [f"| {' | '.join(heads)} |", f"|{'|'.join(rules)}|", *(f"| {' | '.join(row)} |" for row in rows)]
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        """A ``tabular`` of LaTeX with the rules of booktabs; what has several seeds is mean ± deviation."""
        rows = self._text(latex_text, lambda text: rf"\textbf{{{text}}}", r"$\pm$", "--")
        arrows = {"high": r" $\uparrow$", "low": r" $\downarrow$", None: ""}
        heads = [f"{latex_text(_head(column))}{arrows[column.better]}" for column in self.columns]
        sides = "".join("l" if column.digits is None else "r" for column in self.columns)
        notes = [MARK, "needs \\usepackage{booktabs}"]
        if any(_has_deviation(cell) for row in self.rows for cell in row):
            notes.append("mean and standard deviation (n - 1) over seeds")
        lines = [
            f"% {'; '.join(notes)}",
            rf"\begin{{tabular}}{{{sides}}}",
            r"\toprule",
            f"{' & '.join(heads)} \\\\",
            r"\midrule",
            *(f"{' & '.join(row)} \\\\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        return "\n".join(lines) + "\n"

    def lines(self, row: int = 0) -> list[str]:
        """The numbers of a row for a terminal, a line for each."""
        numbers = [
            (_head(column), _number(column, cell, "±"))
            for column, cell in zip(self.columns, self.rows[row], strict=True)
            if isinstance(cell, Spread)
        ]
        width = max((len(head) for head, _ in numbers), default=0)
        return [f"{head.ljust(width)}  {number}" for head, number in numbers]

    def text(self, form: str) -> str:
        """The table in one of ``FORMATS``."""
        return {"csv": self.csv, "latex": self.latex, "markdown": self.markdown}[form]()

    def save(self, path: str | Path, form: str | None = None) -> None:
        """Write the table to a file, whole or not at all.

        Args:
            path: of the file.
            form: one of ``FORMATS``; None: by the file's ending.

        Raises:
            ConfigError: a format or an ending that is none.
            OSError: it cannot be written.
        """
        text = self.text(form := form_of(Path(path), form))
        if form == "markdown":
            text = f"<!-- {MARK} -->\n\n{text}"
        atomic.write_file(Path(path), lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))

    def _repr_markdown_(self) -> str:
        """Return what a notebook shows."""
        return self.markdown()

    def _text(
        self, escape: Callable[[str], str], strong: Callable[[str], str], sign: str, nothing: str
    ) -> list[list[str]]:
        """The cells as text, the best ones marked."""
        columns = [
            _column_text(column, [row[place] for row in self.rows], escape, sign, nothing)
            for place, column in enumerate(self.columns)
        ]
        if self.best:
            for place, column in enumerate(self.columns):
                for row in _best(column, [row[place] for row in self.rows], columns[place]):
                    columns[place][row] = strong(columns[place][row])
        return [list(row) for row in zip(*columns, strict=True)]


def result_table(
    paths: str | Path | Sequence[str | Path],
    *,
    columns: Sequence[str] | None = None,
    best: bool = False,
    say: Callable[[str], None] | None = None,
) -> ResultTable:
    """Make a table of runs, evaluations and reports; the same as ``vqkit table``.

    Results that agree in everything but the seed are one row: the mean of each measure, and its standard deviation
    (n - 1). All measures are of held-out items, as the runs and reports measured them.

    Args:
        paths: see ``load_results``.
        columns: by name: ``name``, ``model``, ``quantizer``, ``codebook``, ``data``, ``items``, ``seeds``, measures
            (see ``vqkit.evaluation.MEASURES``) and settings such as ``learning_rate``; None: those that say what each
            row is, and the measures that papers print.
        best: let the best number of each column stand out.
        say: told what is left out; None is silent.

    Raises:
        DataError: no results there.
        ConfigError: a column that the results do not have.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     digits = vqkit.load_source("builtin:digits").subset(range(100))
        ...     for size in (2, 4):
        ...         pca = vqkit.PCA(size, channels=1, size=(8, 8))
        ...         run = vqkit.train(pca, digits, out=f"{folder}/{size}", quiet=True)
        ...     table = vqkit.result_table(folder, columns=["model", "components", "items"])
        >>> print(table.csv(), end="")
        model,components,items
        PCA,2,10
        PCA,4,10
    """
    chosen, rows = choose(grouped(load_results(paths, say=say)), columns)
    return ResultTable(tuple(chosen), tuple(map(tuple, rows)), best)


def form_of(path: Path | None, form: str | None) -> str:
    """Return the format of a table that is written there.

    Raises:
        ConfigError: an unknown format, or an ending that names none.
    """
    if form is None:
        by_ending = {ending: name for name, ending in FORMATS.items()}
        form = "markdown" if path is None else by_ending.get(path.suffix.lower(), path.suffix)
    if form not in FORMATS:
        raise ConfigError(f"{path or form}: a table is {', '.join(f'{name} ({end})' for name, end in FORMATS.items())}")
    return form


def is_table(found: bytes) -> bool:
    """Return True for the first bytes of a table that vqkit wrote: marked ones, and CSV with names of its measures."""
    if found.startswith((f"% {MARK};".encode(), f"<!-- {MARK} -->".encode())):
        return True
    names = found.partition(b"\n")[0].decode("utf-8", "replace").split(",")
    known = {each.removesuffix("_deviation") for each in names}
    return bool(known & set(MEASURES)) and known <= {*MEASURES, *TEXTS}


def latex_text(text: str) -> str:
    """Return text that LaTeX prints to the letter, on one line."""
    return "".join(_LATEX.get(letter, letter) for letter in _one_line(text))


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", _one_line(text))


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _head(column: TableColumn) -> str:
    unit = "%" if column.percent else column.unit
    return f"{column.title} ({unit})" if unit else column.title


def _has_deviation(cell: Cell) -> bool:
    return isinstance(cell, Spread) and cell.deviation is not None


def _exact(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _column_text(
    column: TableColumn, cells: Sequence[Cell], escape: Callable[[str], str], sign: str, nothing: str
) -> list[str]:
    return [
        _number(column, cell, sign) if isinstance(cell, Spread) else nothing if cell is None else escape(cell)
        for cell in cells
    ]


def _number(column: TableColumn, cell: Spread, sign: str) -> str:
    scale, digits = 100 if column.percent else 1, column.digits or 0
    grouping = "," if abs(cell.mean * scale) >= 10_000 else ""
    said = f"{cell.mean * scale:z{grouping}.{digits}f}".replace("-", _MINUS if sign == "±" else "$-$")
    if cell.deviation is None:
        return said
    return f"{said} {sign} {cell.deviation * scale:.{digits}f}"


def _best(column: TableColumn, cells: Sequence[Cell], texts: Sequence[str]) -> list[int]:
    """The rows with the best number; of numbers that look the same all; none where all look the same."""
    numbers = {row: cell.mean for row, cell in enumerate(cells) if isinstance(cell, Spread)}
    if column.better is None or len(numbers) < 2:
        return []
    scale, digits = 100 if column.percent else 1, column.digits or 0
    seen = {row: round(mean * scale, digits) for row, mean in numbers.items()}
    best = (max if column.better == "high" else min)(seen.values())
    found = [row for row, value in seen.items() if value == best]
    assert all(texts[row] for row in found)
    return [] if len(found) == len(numbers) else found

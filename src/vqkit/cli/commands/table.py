"""``vqkit table``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.cli.options import ResultsArgument
from vqkit.cli.output.writing import Writes
from vqkit.storage.outputs import FileKind


def _owns(found: bytes) -> bool:
    from vqkit.results.tables.table import is_table

    return is_table(found)


def table(
    results: ResultsArgument,
    csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values, with all digits.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="A tabular of LaTeX, with booktabs.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="A table of Markdown (the default, but for --out FILE.csv or FILE.tex).")
    ] = False,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Columns by name, with commas: name, model, quantizer, codebook, data, items, seeds, measures "
            "(psnr_db, ssim, usage ...), settings (learning_rate ...); default: what tells the rows apart, and "
            "the usual measures.",
        ),
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Let the best number of a column stand out.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", dir_okay=False, help="Write the table here instead of showing it."),
        Writes(FileKind("table that vqkit wrote", _owns)),
    ] = None,
) -> None:
    """Results of runs, evaluations and reports as a table for a paper; seeds as mean and standard deviation."""
    from vqkit.errors import ConfigError
    from vqkit.results import result_table
    from vqkit.results.tables.table import form_of

    forms = [name for name, given in (("csv", csv), ("latex", latex), ("markdown", markdown)) if given]
    if len(forms) > 1:
        raise ConfigError(f"{' and '.join(f'--{each}' for each in forms)}: give one of them")
    form = form_of(out, forms[0] if forms else None)
    names = None if columns is None else [each.strip() for each in columns.split(",") if each.strip()]
    made = result_table(results, columns=names, best=best, say=lambda sentence: typer.echo(sentence, err=True))
    if out is None:
        typer.echo(made.text(form), nl=False)
    else:
        made.save(out, form)
        typer.echo(f"{out}: {len(made.rows)} rows", err=True)

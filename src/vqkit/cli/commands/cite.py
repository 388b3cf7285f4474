"""``vqkit cite``."""

from __future__ import annotations

from typing import Annotated

import typer


def cite(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Quantizers, priors, models, networks, likelihoods, objectives, measures, or run folders (none: vqkit "
            "itself).",
        ),
    ] = None,
) -> None:
    """BibTeX of vqkit, of its parts and measures, or of all that a run made use of.

    Comments above the entries say what each is for, and of what no paper describes, that there is none.
    """
    from vqkit.results import cite as entries

    typer.echo(entries(*(names or ())), nl=False)

"""``vqkit probe``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.options import DeviceOption, ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes


def probe(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN... DATA",
            help="One or more run folders, model folders or hub names, then the data, as for vqkit train.",
        ),
    ],
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels",
            "-l",
            metavar="LABELS",
            help="A column of a Parquet file, or FILE[:KEY] beside the signals (labels.json:speaker); several by "
            "commas or again, content first (default: the data's own, such as class folders).",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for report, numbers and pictures."), Writes()] = Path(
        "runs/probe"
    ),
    validation: Annotated[
        str | None,
        typer.Option(help="Held-out data: a fraction, last:N, or a DATA (default: 0.1, as in training)."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the split and of everything random (default: 0).")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, e.g. parts=16.")
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Tell labels (a digit, a speaker, a class) from a model's indices, from continuous latents, from the signals."""
    import shlex
    import sys

    from rich.console import Console

    from vqkit.cli.loading import open_model
    from vqkit.cli.output.shell import place, say_next
    from vqkit.cli.output.terminal import probe_table
    from vqkit.cli.training.settings import assignments
    from vqkit.errors import ConfigError
    from vqkit.studies.probe.settings import ProbeConfig
    from vqkit.studies.probe.study import probe as run

    set_threads(threads)
    given: dict[str, Any] = {"validation": validation, "seed": seed}
    given = {name: value for name, value in given.items() if value is not None}
    config = ProbeConfig.from_dict({**given, **assignments(ProbeConfig, set_ or [])})
    if len(names) < 2:
        raise ConfigError(f"vqkit probe {names[0]}: give one or more runs and then the data, vqkit probe RUN DATA")
    *runs, data = names
    sets = [each.strip() for group in labels or [] for each in group.split(",") if each.strip()]
    models = {name: open_model(name, device) for name in dict.fromkeys(runs)}
    result = run(
        runs,
        data,
        out,
        labels=sets or None,
        config=config,
        command=shlex.join(["vqkit", *sys.argv[1:]]),
        say=lambda sentence: typer.echo(sentence, err=True),
        loaded=models,
    )
    for entry in result.document["label_sets"]:
        Console(file=sys.stdout).print(probe_table(entry, result.document))
    for each in result.document["claims"]:
        sign = {True: "holds", False: "DOES NOT HOLD", None: "not decided"}[each["holds"]]
        typer.echo(f"{sign}: {each['claim']} ({each['numbers']})")
    typer.echo(f"\nreport:  {result.report}")
    typer.echo(f"numbers: {out / 'probe.json'}")
    say_next(["eval", place(runs[0])])

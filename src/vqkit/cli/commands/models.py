"""``vqkit models``."""

from __future__ import annotations

import typer

from vqkit.checking import counted


def models() -> None:
    """List the models that come with vqkit: what for, rates, bytes, licence, what was measured."""
    from vqkit.cli.choosing import name_of
    from vqkit.cli.output.shell import say_next
    from vqkit.pretrained.reference import reference_models

    known = reference_models()
    for model in known.values():
        about = model.about
        typer.echo(f"{model.name}: {about.get('title', model.kind)}")
        rows = [
            ("rates", about.get("rates")),
            ("size", counted(model.nbytes, "byte")),
            ("licence", about.get("license")),
        ]
        rows += [("measured", line) for line in about.get("measured", [])]
        rows += [("sha256", model.digest[:16]), ("card", str(model.path / "README.md"))]
        for word, value in rows:
            if value:
                typer.echo(f"  {word:<9} {value}")
    if not known:
        typer.echo("no models came with this copy of vqkit; train one: vqkit train DATA")
        return
    first = name_of(next(iter(known.values())))
    say_next(["compress", "photo.jpg", "-o", "photo.vqk"], ["encode", first, "DATA", "--out", "tokens"])

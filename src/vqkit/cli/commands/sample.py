"""``vqkit sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.checking import counted
from vqkit.cli.options import DeviceOption, DrawingOption, ModelArgument, ThreadsOption, set_threads
from vqkit.cli.output.shell import place, say_next
from vqkit.cli.output.writing import Writes
from vqkit.seeds import check_seed


def sample(
    model: ModelArgument,
    prior: Annotated[
        str | None, typer.Option(metavar="PRIOR", help="A prior of this model (default: the run's own).")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A new folder (default: samples/ in the run's folder, numbered)."),
        Writes(signals=True),
    ] = None,
    count: Annotated[int, typer.Option("--n", "--count", "-n", min=1, max=1_000_000, help="How many images.")] = 64,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", "-c", help="Class by number or name; again for more (default: all in turn)."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="Class to decode under, where the decoder has its own; again for more (default: all in turn).",
        ),
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Vectors (N x D) to condition on, in turn.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", "-t", help="Below 1: likelier, less varied (default: 1).")
    ] = None,
    decoder_temperature: DrawingOption = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from so many likeliest codes only.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest codes of this probability.")] = None,
    guidance: Annotated[
        float | None, typer.Option("--guidance", "-g", help="Above 1: truer to the class (default: 1).")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Masked prior: steps in which the grid is filled.")] = None,
    seed: Annotated[int, typer.Option(help="One seed, one set of images.")] = 0,
    check: Annotated[
        bool, typer.Option("--check", help="Look for repeated training items: nearest images, equal grids.")
    ] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Make new signals: a file each (images: PNG), and a sheet of pictures of all."""
    import torch

    from vqkit.cli import generating
    from vqkit.cli.loading import open_model
    from vqkit.errors import ConfigError
    from vqkit.generation import generate
    from vqkit.models import IndexModel

    set_threads(threads)
    loaded = open_model(model, device)
    generating.new_folder(out, model, "samples")  # said before anything is made
    if check:
        generating.check_known_data(model, prior, discrete=isinstance(loaded, IndexModel))
    generator = torch.Generator().manual_seed(check_seed(seed))
    names: list[str] | None = None
    indices = None
    if isinstance(loaded, IndexModel):
        drawn_from = generating.open_prior(loaded, model, prior)
        condition, names = generating.conditions(
            drawn_from, generating.prior_run(model, prior), classes, count, vectors
        )
        options: dict[str, Any] = {
            "temperature": 1.0 if temperature is None else temperature, "top_k": top_k, "top_p": top_p,
            "guidance": 1.0 if guidance is None else guidance, "generator": generator,
        }  # fmt: skip
        if guidance is not None and condition is None:
            raise ConfigError("--guidance: towards a class or a vector, and this prior is given none; leave it out")
        if steps is not None:
            generating.check_steps(drawn_from)
            options["steps"] = steps
        decoded, names = generating.decoded_as(loaded, drawn_from, to, count, names)
        with loaded.drawing_at(decoder_temperature):
            images, indices = generate(loaded, drawn_from, count, condition, to=decoded, **options)
    else:
        given = {
            "--class": classes, "--vectors": vectors, "--temperature": temperature, "--top-k": top_k, "--top-p": top_p,
            "--guidance": guidance, "--steps": steps, "--prior": prior,
        }  # fmt: skip
        generating.refuse_idle("for models with a codebook only", given)
        decoded, names = generating.decoded_as(loaded, None, to, count, None)
        with loaded.drawing_at(decoder_temperature):
            images = loaded.sample(count, generator=generator, condition=decoded)
    with generating.filling(out, model, "samples") as folder:
        suffix = loaded.kind.suffix(loaded.channels)
        for number, signal in enumerate(images.detach().float().cpu().numpy()):
            file = folder / generating.file_name(number, count, names, suffix)
            loaded.kind.write(signal, file, durable=False, made="sample")
        shown = [loaded.kind.show(signal.float().cpu().numpy()) for signal in images[: generating.SHOWN]]
        pictures = [picture for picture in shown if picture is not None]
        if pictures:
            generating.sheet(pictures, folder / "sheet.png")
    typer.echo(f"{counted(count, *loaded.kind.noun)}: {folder}")
    if pictures:
        typer.echo(f"sheet: {folder / 'sheet.png'}")
    if check:
        generating.check_repeats(loaded, model, prior, images, indices, folder)
    if isinstance(loaded, IndexModel) and loaded.kind.converts:
        named = [] if prior is None else ["--prior", place(prior)]
        say_next(["edit", place(model), "IMAGE", "--box", "LEFT,TOP,WIDTH,HEIGHT", *named])

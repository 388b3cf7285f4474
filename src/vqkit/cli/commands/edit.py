"""``vqkit edit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.checking import counted
from vqkit.cli.options import DeviceOption, ModelArgument, ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes
from vqkit.seeds import check_seed


def edit(
    model: ModelArgument,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="An image or sound file, or DATA:NUMBER for one item.")],
    box: Annotated[
        str | None, typer.Option(metavar="LEFT,TOP,WIDTH,HEIGHT", help="Redraw this rectangle, in pixels.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="Redraw where this picture is white.")] = None,
    extend: Annotated[
        str | None, typer.Option(metavar="SIDE=PIXELS,...", help="Draw on: right=16,bottom=8 (left, top).")
    ] = None,
    from_: Annotated[
        float | None,
        typer.Option(
            "--from", metavar="SECONDS", min=0, help="Sound: redraw from here on (default: go on at its end)."
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE|SECONDS",
            help="Go from IMAGE to this one through the space of tokens. Sound: redraw up to here (default: its end).",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A new folder."), Writes(signals=True)] = None,
    count: Annotated[
        int, typer.Option("--n", "--count", "-n", min=1, max=10_000, help="How many versions, or pictures.")
    ] = 8,
    prior: Annotated[str | None, typer.Option(metavar="PRIOR", help="Default: the run's own.")] = None,
    class_: Annotated[str | None, typer.Option("--class", "-c", help="Class, by number or name.")] = None,
    as_: Annotated[
        str | None,
        typer.Option("--as", metavar="CLASS", help="Class to decode under, where the decoder has classes."),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", "-t", help="Below 1: likelier, less varied (default: 1).")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from so many likeliest codes only.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest codes of this probability.")] = None,
    guidance: Annotated[
        float | None, typer.Option("--guidance", "-g", help="Above 1: truer to the class (default: 1).")
    ] = None,
    blend: Annotated[
        bool | None,
        typer.Option("--blend/--decoded", help="Outside the mask the image's own pixels (default), or decoded ones."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="One seed, one set of versions (default: 0).")] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Redraw a part of an image or a stretch of a sound, draw on beyond its edges, or go from one image to another."""
    import torch

    from vqkit.cli import generating
    from vqkit.cli.loading import check_pictures, open_discrete
    from vqkit.cli.stretches import FADE_SECONDS, check_sounds, open_sound, stretch, write_versions
    from vqkit.errors import ConfigError
    from vqkit.generation import blend as own_pixels
    from vqkit.generation import extend as draw_on
    from vqkit.generation import inpaint, interpolate, redraw_stretch
    from vqkit.pictures import save_png, to_uint8

    set_threads(threads)
    loaded = open_discrete(model, device)
    sound = "sound" in loaded.kind.measures
    if sound:
        check_sounds(loaded, model, {"--box": box, "--mask": mask, "--extend": extend})
    elif from_ is not None:
        raise ConfigError(f"--from: of sounds, and {model} reads {loaded.kind.noun[1]}; leave it out")
    elif sum(each is not None for each in (box, mask, extend, to)) != 1:
        raise ConfigError("give one of --box, --mask, --extend, --to")
    drawing = {
        "--prior": prior, "--class": class_, "--temperature": temperature, "--top-k": top_k, "--top-p": top_p,
        "--guidance": guidance, "--seed": seed,
    }  # fmt: skip
    between = to is not None and not sound
    generating.refuse_idle("--to goes from image to image and draws nothing", drawing if between else {})
    if blend is not None and (between or extend is not None):
        raise ConfigError("--blend/--decoded: for --box and --mask only, which keep a part of the image; leave it out")
    if sound:
        original = open_sound(loaded, image)
        rate = loaded.kind.rate or 1
        start, stop = stretch(from_, to, int(original.shape[1]), rate)
    else:
        check_pictures(loaded, model, "use vqkit.generation in Python")
        original = generating.open_image(loaded, image)
    generating.new_folder(out, model, "edits")  # said before anything is made
    if loaded.decoder_condition is not None and as_ is None and not loaded.conditions.dropout:
        raise ConfigError(f"the decoder needs a class: give --as, one of {loaded.decoder_condition.describe()}")
    with loaded.conditioned_on(as_):
        if between:
            made = interpolate(loaded, original, generating.open_image(loaded, str(to)), max(count, 2))
        else:
            drawn_from = generating.open_prior(loaded, model, prior)
            condition = None
            if class_ is not None:
                condition, _ = generating.conditions(drawn_from, generating.prior_run(model, prior), [class_], count)
            elif drawn_from.classes is not None:
                generating.check_classless(drawn_from)
            options: dict[str, Any] = {
                "temperature": 1.0 if temperature is None else temperature, "top_k": top_k, "top_p": top_p,
                "guidance": 1.0 if guidance is None else guidance,
                "generator": torch.Generator().manual_seed(check_seed(seed or 0)),
            }  # fmt: skip
            if sound:
                fade = None if blend is False else round(FADE_SECONDS * rate)
                made = redraw_stretch(loaded, drawn_from, original, start, stop, count, condition, fade=fade, **options)
            elif extend is not None:
                made = draw_on(loaded, drawn_from, original, generating.canvas(extend), count, condition, **options)
            else:
                redraw = generating.redrawn(box, mask, (int(original.shape[1]), int(original.shape[2])))
                made = inpaint(loaded, drawn_from, original, redraw, count, condition, **options)
                made = own_pixels(original, made, redraw) if blend is not False else made
            typer.echo(generating.what_is_seen(drawn_from), err=True)
    if sound:
        with generating.filling(out, model, "edits") as folder:
            write_versions(loaded, original, made, folder)
        typer.echo(f"{counted(len(made), *loaded.kind.noun)}: {folder}")
        typer.echo(f"sheet: {folder / 'sheet.png'}")
        return
    rows = [("", [original.float() / 255 if original.dtype == torch.uint8 else original, *made])]
    with generating.filling(out, model, "edits") as folder:
        for number, picture in enumerate(to_uint8(made)):
            save_png(picture, folder / generating.file_name(number, len(made), None), durable=False, made="edit")
        generating.sheet(made, folder / "sheet.png", rows)
    typer.echo(f"{counted(len(made), 'image')}: {folder}")
    typer.echo(f"sheet: {folder / 'sheet.png'}")

"""``vqkit decompress``."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vqkit.cli.options import DeviceOption, ThreadsOption, set_threads

if TYPE_CHECKING:
    from vqkit.codec.decompressing import Decoded


def decompress(
    file: Annotated[Path, typer.Argument(metavar="FILE.vqk", help="What vqkit compress wrote.")],
    model: Annotated[str, typer.Option("--model", "-m", help="The model that it was written with.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A new folder; for a file of one image also a .png to write.")
    ],
    prior: Annotated[
        str | None, typer.Option(metavar="PRIOR", help="The prior that it was written with (default: the run's own).")
    ] = None,
    pixels: Annotated[
        str | None, typer.Option(metavar="PIXELS", help="The pixel prior of a lossless file (default: the run's own).")
    ] = None,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Decode in float32: faster, but a pixel may differ by one level between machines."),
    ] = False,
    max_values: Annotated[
        int | None,
        typer.Option(
            min=1, help="Most numbers (pixels x channels) to allow in a group of signals, and 16 times as many in all."
        ),
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Restore the signals of a .vqk file: a PNG each, or a .npy for signals that are no images."""
    from vqkit import atomic
    from vqkit.cli.files import exact_prior, pixel_model
    from vqkit.cli.opening import open_discrete
    from vqkit.cli.progress import counting
    from vqkit.codec import Decompressor, entropy_model
    from vqkit.codec.inspecting import inspect_file
    from vqkit.coding import MAX_VALUES
    from vqkit.errors import ConfigError

    set_threads(threads)
    single = out.suffix.lower() == ".png"
    if not single and (out.is_file() or (out.is_dir() and any(out.iterdir()))):
        raise ConfigError(f"{out} exists and is not an empty folder; choose another --out")
    limit = MAX_VALUES if max_values is None else max_values
    with file.open("rb") as opened:
        # the whole file is verified before anything is decoded
        about = inspect_file(opened, shown=0, names=True, max_values=limit)
    header = about.header
    suffix = ".png" if header.axes == 2 else ".npy"
    places = _places([name for _, name in about.names], suffix)
    taken = set(places.values())
    loaded = open_discrete(model, device)
    entropy = entropy_model(exact_prior(loaded, model, prior, header.entropy_model), loaded.codebook_size)
    exact = pixel_model(loaded, model, pixels) if header.pixel_digest else None
    reader = Decompressor(loaded, entropy, pixel_model=exact, fast=fast, max_values=limit)
    count = 0
    with ExitStack() as stack:
        opened = stack.enter_context(file.open("rb"))
        progress = stack.enter_context(counting("decompressing"))
        if single:
            if about.signals != 1 or header.axes != 2:
                told = f"{file} holds {about.signals:,} signals of {header.axes} axes"
                raise ConfigError(f"{told}: name a folder, not a .png")
            _save(next(iter(list(reader.read(opened)))), out, loaded.axes)
            count = 1
        else:
            if out.is_dir():
                out.rmdir()
            folder = stack.enter_context(atomic.new_folder(out))
            for each in reader.read(opened):
                place = _numbered(each.number, suffix, taken) if each.name is None else places[each.name]
                _save(each, folder / place, loaded.axes)
                count += 1
                progress(count, count)
    typer.echo(f"{count:,} signal{'' if count == 1 else 's'}: {out}")


def _places(names: list[str], suffix: str) -> dict[str, PurePosixPath]:
    """Where each name is written: with another suffix, or after its own where two would come to the same place."""
    plain = [PurePosixPath(name).with_suffix(suffix) for name in names]
    often = Counter(plain)
    found = {}
    for name, place in zip(names, plain, strict=True):
        alone = often[place] == 1 or name == str(place)
        found[name] = place if alone else PurePosixPath(f"{name}{suffix}")
    if len(set(found.values())) < len(names):
        from vqkit.errors import BitstreamError

        raise BitstreamError("a name comes twice in the file, which vqkit does not write; it was not made by vqkit")
    return found


def _numbered(number: int, suffix: str, taken: set[PurePosixPath]) -> PurePosixPath:
    """Where a signal without a name is written: by its number, beside the names that there are."""
    place = PurePosixPath(f"{number:06d}{suffix}")
    while place in taken:
        place = PurePosixPath(f"_{place}")
    return place


def _save(signal: Decoded, path: Path, axes: int) -> None:
    import numpy as np

    from vqkit import atomic
    from vqkit.pictures import save_png

    values: Any = signal.values.numpy()
    if axes == 2:
        save_png(values, path, durable=False)
        return

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, values, allow_pickle=False)

    atomic.write_file(path, write, durable=False)

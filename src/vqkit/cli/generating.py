"""Parts of the commands that generate images: the prior of a run, classes by name, folders, sheets."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vqkit.spelling import quoted
from vqkit.storage.outputs import check_contents

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from vqkit.models import IndexModel, Model
    from vqkit.priors import Prior

SHOWN, _NEAREST = 100, 12
_OWN = Path("prior") / "run"


def open_prior(model: IndexModel, name: str, prior: str | None) -> Prior:
    """The prior that was named, or the one in the run's own folder, on the model's device."""
    from vqkit.codec.entropy.known_priors import of_another_state
    from vqkit.errors import ModelFolderError
    from vqkit.generation import check_pair
    from vqkit.priors import Prior, load_prior

    own = Path(name) / _OWN
    if prior is None and isinstance(model.prior, Prior) and not own.is_dir():  # saved with the model
        return model.prior.to(model.device)
    if prior is None and not (own / "model" / "config.json").is_file():
        context = Path(name) / "context" / "run"
        there = f"draw from the context prior with: --prior {quoted(str(context))}" if context.is_dir() else ""
        raise ModelFolderError(
            f"{name}: no prior has been trained for this model, and without one there is nothing to draw from; train "
            f"one with: vqkit prior {quoted(name)}  (or {there or 'name one with --prior'})"
        )
    if prior is None and of_another_state(own, model):
        raise ModelFolderError(
            f"{own}: this prior learned the indices of another state of the model, which was trained further since; "
            f"train it anew with: vqkit prior {quoted(name)}  (or name one with --prior)"
        )
    found = load_prior(own if prior is None else prior).to(model.device)
    check_pair(model, found)
    return found


def prior_run(name: str, prior: str | None) -> Path:
    """Return the run folder of the prior; of the ``model`` folder in it, as ``vqkit prior`` prints it, that run."""
    place = Path(name) / _OWN if prior is None else Path(prior)
    return place.parent if place.name == "model" and (place.parent / "run.json").is_file() else place


def class_names(prior: Prior, run: Path) -> list[str]:
    """Names of the prior's classes: its own; of an older one, those of the tokens it learned; else their numbers."""
    from vqkit.cli.loading import run_settings
    from vqkit.errors import VqkitError
    from vqkit.tokens import load_tokens

    classes = prior.classes or 0
    names = prior.class_names
    if names is None:
        try:
            settings = run_settings(str(run))
            names = load_tokens(settings["data"]).class_names if settings else None
        except VqkitError:
            names = None
    if names is None or len(names) < classes:
        return [str(number) for number in range(classes)]
    return names


def conditions(
    prior: Prior, run: Path, classes: list[str] | None, count: int, vectors: Path | None = None
) -> tuple[Tensor | None, list[str] | None]:
    """Class ids ``[count]`` and the name of each image's class, or vectors ``[count, D]``; None without conditions.

    ``run`` is the folder of the prior.

    Raises:
        ConfigError: classes or vectors that the prior does not have or always needs, or an unknown name.
    """
    import torch

    from vqkit.errors import ConfigError

    dim = prior.conditions.dim
    if (vectors is not None) and dim is None:
        raise ConfigError(
            "--vectors: this prior was learned without vectors; train one with: vqkit prior RUN --vectors"
        )
    if dim is not None and not classes:
        return _vectors(prior, vectors, count), None
    if prior.classes is None:
        if classes:
            raise ConfigError("--class: this prior was learned without classes; train one with: vqkit prior RUN")
        return None, None
    names = class_names(prior, run)
    chosen = [_class_id(text, names, prior.classes) for text in classes or []] or list(range(prior.classes))
    ids = list(itertools.islice(itertools.cycle(chosen), count))
    return torch.tensor(ids), [names[number] for number in ids]


def decoded_as(
    model: Model, prior: Prior | None, to: list[str] | None, count: int, names: list[str] | None
) -> tuple[Tensor | None, list[str] | None]:
    """The class ``[count]`` that each signal is decoded under, and ``names`` with its name; None: no class of its own.

    Where nobody says one, all in turn for each class of the prior; a prior of the same classes says it itself.

    Raises:
        ConfigError: a class for a decoder without classes.
        DataError: an unknown class.
    """
    import torch

    from vqkit.errors import ConfigError

    layer = model.decoder_condition
    if layer is None:
        if to:
            raise ConfigError("--to: this model's decoder has no classes; train one with: vqkit train --conditional")
        return None, names
    if layer.conditions.classes is None:
        raise ConfigError("the decoder takes vectors, which have no option here: use vqkit.generation in Python")
    same = prior is not None and (prior.classes, prior.class_names) == (model.conditions.classes, model.class_names)
    if not to and same:
        return None, names
    chosen = layer.parse(to or list(range(layer.conditions.classes)))
    every = 1 if prior is None or prior.classes is None or names is None else max(1, len(set(names)))
    ids = chosen[torch.arange(count) // every % len(chosen)]
    own = layer.class_names or [str(number) for number in range(layer.conditions.classes)]
    said = [own[number] for number in ids.tolist()]
    return ids, said if names is None else [f"{one} {two}" for one, two in zip(names, said, strict=True)]


def _vectors(prior: Prior, path: Path | None, count: int) -> Tensor | None:
    import torch

    from vqkit.cli.loading import read_array
    from vqkit.errors import ConfigError

    dim = prior.conditions.dim
    if path is None:
        if not prior.conditions.dropout:
            raise ConfigError(f"this prior always needs a vector of {dim} numbers: give --vectors FILE.npy")
        return None
    rows = read_array(path)
    if rows.ndim != 2 or rows.shape[1] != dim or not len(rows) or rows.dtype.kind not in "fiu":
        raise ConfigError(f"--vectors {path}: {rows.dtype} {list(rows.shape)}; this prior takes numbers [N, {dim}]")
    return torch.from_numpy(rows.astype("float32"))[torch.arange(count) % len(rows)]


def _class_id(text: str, names: list[str], classes: int) -> int:
    from vqkit.errors import ConfigError

    if text in names[:classes]:
        return names.index(text)
    if text.isdigit() and int(text) < classes:
        return int(text)
    named = enumerate(names[:classes])
    shown = ", ".join(name if name == str(number) else f"{number} {name}" for number, name in named)
    raise ConfigError(f"--class {text}: the classes are: {shown}")


def check_steps(prior: Prior) -> None:
    """Raise ``ConfigError`` unless the prior fills its grid in a number of steps that can be chosen."""
    from vqkit.errors import ConfigError

    if "steps" not in signature(prior.sample).parameters:
        raise ConfigError(f"--steps: for a masked prior only; this is a {type(prior).__name__}")


def new_folder(out: Path | None, name: str, what: str) -> Path:
    """``out``, which must be new or empty, or the first free ``RUN/what-001``.

    Raises:
        ConfigError: ``out`` holds something.
    """
    if out is not None:
        check_contents(out, "new images")
        return out
    base = Path(name) if Path(name).is_dir() else Path("runs")
    return next(path for number in itertools.count(1) if not (path := base / f"{what}-{number:03d}").exists())


@contextmanager
def filling(out: Path | None, name: str, what: str) -> Iterator[Path]:
    """The folder of ``new_folder`` for as long as it is being written, by this process alone.

    Raises:
        ConfigError: ``out`` holds something, or another process writes to it.
    """
    from vqkit.storage.lock import folder_lock

    folder = new_folder(out, name, what)  # anew: what was free before the images were made may be so no longer
    with folder_lock(folder, "writing images"):
        check_contents(folder, "new images")
        yield folder


def file_name(number: int, count: int, names: list[str] | None, suffix: str = ".png") -> str:
    """``012-ankle-boot.png``."""
    digits = max(3, len(str(count - 1)))
    said = "" if names is None else "-" + (re.sub(r"[^A-Za-z0-9]+", "-", names[number]).strip("-").lower() or "class")
    return f"{number:0{digits}d}{said}{suffix}"


def sheet(images: Tensor | list[Image], path: Path, rows: list[tuple[str, list[Tensor]]] | None = None) -> None:
    """All images (the first hundred) on one sheet; ``rows`` instead of it, with captions."""
    from vqkit.pictures import before_after_sheet
    from vqkit.storage import atomic
    from vqkit.storage.marks import png_mark

    columns = 10 if rows is None else max(len(row) for _, row in rows)
    picture = before_after_sheet(rows or [("", list(images[:SHOWN]))], columns=columns)
    atomic.write_file(path, lambda temporary: picture.save(temporary, format="PNG", pnginfo=png_mark("sheet")))


def check_known_data(name: str, prior: str | None, *, discrete: bool) -> None:
    """Raise, before anything is drawn, where ``check_repeats`` could not know what the model (or the prior) learned.

    Raises:
        ConfigError: a model without a run.
        VqkitError: a prior without a run, or runs that cannot be read.
    """
    from vqkit.cli.loading import run_settings
    from vqkit.errors import ConfigError
    from vqkit.training.record.run import read_config

    if not run_settings(name):
        raise ConfigError(f"--check: {name} is a model without a run, so what it was trained on is not known")
    if discrete:
        read_config(prior_run(name, prior))


def check_repeats(
    model: Model, name: str, prior: str | None, images: Tensor, indices: Tensor | None, folder: Path
) -> None:
    """Nearest training images beside the samples, and the share of samples that are a training item's indices."""
    import torch

    from vqkit.cli.loading import run_settings, run_source
    from vqkit.data import evaluation_batches
    from vqkit.data.batches import fitting_batch
    from vqkit.errors import ConfigError
    from vqkit.evaluation import nearest_items, repeated_share
    from vqkit.tokens import load_tokens
    from vqkit.training.config import TrainConfig
    from vqkit.training.inputs.holdout import validation_split
    from vqkit.training.record.run import read_config

    settings: dict[str, Any] = run_settings(name)
    source = run_source(settings)
    if source.size is None or tuple(source.size) != tuple(images.shape[2:]):
        raise ConfigError("--check: the training images are not all of the samples' size, so there is no distance")
    training, held_out = validation_split(source, TrainConfig.from_dict(settings["training"]))
    batch = fitting_batch(training, 1024)
    found = nearest_items(images, evaluation_batches(training, batch))
    some = torch.from_numpy(held_out.gather(range(min(len(images), len(held_out)))))
    usual = nearest_items(model.to_float(some).cpu(), evaluation_batches(training, batch))
    shown = found.items[:_NEAREST].tolist()
    nearest = list(torch.from_numpy(training.gather(shown)))
    rows = [("sample", list(images[:_NEAREST])), ("nearest training image", nearest)]
    sheet(images, folder / "nearest.png", rows)
    typer.echo(
        f"nearest training images: {folder / 'nearest.png'}; root mean squared difference, median: "
        f"{float(found.rms.median()):.4f} (held-out images: {float(usual.rms.median()):.4f})"
    )
    if indices is None:
        return
    run = read_config(prior_run(name, prior))
    tokens = load_tokens(run["data"])
    share = repeated_share(indices, (tokens[number] for number in range(len(tokens))))
    typer.echo(f"samples whose indices are, all of them, those of an item of the data: {share:.2%} of {len(indices):,}")


def open_image(model: IndexModel, name: str) -> Tensor:
    """One image ``[channels, height, width]`` in the model's channels: a file, or item NUMBER of DATA:NUMBER.

    Raises:
        DataError: no such image.
    """
    import torch

    from vqkit.data import load_source
    from vqkit.errors import DataError

    data, colon, number = name.rpartition(":")
    spec, item = (data, int(number)) if colon and number.isdigit() and not Path(name).exists() else (name, 0)
    source = load_source(spec)
    if not source.kind.converts:
        raise DataError(f"{spec} is {source.describe()}: give an image")
    if source.channels != model.channels:
        source = source.with_channels(model.channels)
    if not item < len(source):
        raise DataError(f"{name}: {spec} has {len(source):,} items, 0 to {len(source) - 1}")
    if spec == name and len(source) > 1:
        raise DataError(f"{name} holds {len(source):,} images; name one of them by its number: {name}:0")
    return torch.from_numpy(source.gather([item])[0])


def redrawn(box: str | None, mask: Path | None, size: tuple[int, int]) -> Tensor:
    """Return the mask of pixels ``[height, width]`` to redraw, from a rectangle or a black and white picture.

    Raises:
        ConfigError: a rectangle that is none, or outside the image.
        DataError: a mask that cannot be read, or of another size.
    """
    import torch

    from vqkit.data import load_source
    from vqkit.errors import ConfigError, DataError

    height, width = size
    if mask is not None:
        picture = torch.from_numpy(load_source(str(mask), channels=1).gather([0])[0, 0])
        if tuple(picture.shape) != size:
            raise DataError(f"{mask} is {picture.shape[1]}x{picture.shape[0]} pixels, the image {width}x{height}")
        return picture.float() > (127 if picture.dtype == torch.uint8 else 0.5)
    try:
        left, top, across, down = (int(part) for part in str(box).split(","))
    except ValueError:
        raise ConfigError(f"--box {box}: give LEFT,TOP,WIDTH,HEIGHT in pixels, such as 8,8,16,16") from None
    if left < 0 or top < 0 or across < 1 or down < 1 or left + across > width or top + down > height:
        raise ConfigError(f"--box {box}: the rectangle must lie within the image of {width}x{height} pixels")
    found = torch.zeros(height, width, dtype=torch.bool)
    found[top : top + down, left : left + across] = True
    return found


def canvas(text: str) -> Any:
    """Pixels for each side, from ``right=16,bottom=8``.

    Raises:
        ConfigError: another side, or no number.
    """
    from vqkit.errors import ConfigError
    from vqkit.generation import Canvas

    sides: dict[str, int] = {}
    for part in text.split(","):
        side, _, pixels = part.strip().partition("=")
        if side not in ("left", "top", "right", "bottom") or not pixels.isdigit():
            raise ConfigError(f"--extend {text}: give SIDE=PIXELS, by commas: left, top, right or bottom")
        sides[side] = int(pixels)
    return Canvas(**sides)


def refuse_idle(why: str, given: Mapping[str, object]) -> None:
    """Raise ``ConfigError`` where options were given (are not None) that would change nothing."""
    from vqkit.errors import ConfigError

    names = [name for name, value in given.items() if value is not None]
    if names:
        raise ConfigError(f"{', '.join(names)}: {why}; leave it out")


def check_classless(prior: Prior) -> None:
    """For images of no stated class.

    Raises:
        ConfigError: a prior that always needs one.
    """
    from vqkit.errors import ConfigError

    if not prior.conditions.dropout:
        raise ConfigError("this prior always needs a class: give --class")


def what_is_seen(prior: Prior) -> str:
    """Say in words which part of the kept image this kind of prior conditions on."""
    from vqkit.priors.sequential import SequentialPrior

    if prior.sees_all:
        return f"the {prior.model_type} prior sees all that is kept"
    if not isinstance(prior, SequentialPrior):
        return (
            f"a {type(prior).__name__} need not see all that is kept (its class does not say sees_all); for holes "
            "in the middle train a masked prior: vqkit prior RUN --kind masked"
        )
    return (
        f"a {type(prior).__name__} goes in reading order and sees, of what is kept, only what lies before; for holes "
        "in the middle train a masked prior: vqkit prior RUN --kind masked"
    )

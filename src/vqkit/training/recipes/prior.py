"""Training a prior on what a VQ-VAE makes of data: tokens once on the disk, then the one loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

from vqkit.coding import per_axis
from vqkit.data import ConcatSource, RandomCrops, Source
from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.pretrained.folder import content_hash
from vqkit.priors import PRIORS, GatedPixelCNN, HistogramPrior
from vqkit.spelling import option, spelled
from vqkit.storage import atomic
from vqkit.tokens import Tokens, index_source, load_tokens
from vqkit.tokens.tokenization import matching_tokens
from vqkit.tokens.tokens import VECTORS
from vqkit.training.api import go_on, train
from vqkit.training.config import TrainConfig, recorded_validation
from vqkit.training.evaluators.priors import PriorEvaluator, fitting_grids
from vqkit.training.evaluators.watch import spread_order
from vqkit.training.inputs.holdout import is_cut, is_other_data, unknown_classes, validation_split
from vqkit.training.record.claims import Claim, recorded, set_aside, take
from vqkit.training.record.log import read_log, with_numbers
from vqkit.training.record.progress import counting
from vqkit.training.record.provenance import contents
from vqkit.training.record.run import CONFIG, Run, read_config

TOKENS = "tokens"
HISTOGRAM = "histogram"
CROPS = 8192
_GRID = 32
"""Positions on each axis of the squares that a prior learns from, where images have different sizes."""


def train_prior(
    model: IndexModel,
    source: Source,
    out: str | Path,
    *,
    config: TrainConfig,
    prior_type: str = GatedPixelCNN.model_type,
    options: Mapping[str, Any] | None = None,
    vectors: npt.NDArray[Any] | None = None,
    crop: int | None = None,
    crops: int = CROPS,
    rate_weights: Sequence[float] = (),
    quiet: bool = False,
    console: Console | None = None,
) -> Run:
    """Train a prior on the indices of ``source``, or go on with it; ``out`` holds the tokens and the run.

    Args:
        model: the tokenizer.
        source: images; ``config.validation`` says which of them are held out, as for the model itself. Of images of
            different sizes (or with ``crop``) the prior learns random squares, held-out images apart from the others.
        out: folder; new, or of an interrupted training of this prior.
        config: of the training.
        prior_type: a name of ``vqkit.priors.PRIORS``.
        options: further keyword arguments of the prior; with ``classes`` it is conditioned on the data's labels.
        vectors: numbers ``[items, D]`` that the prior is conditioned on instead of classes; kept beside the tokens.
        crop: side of the squares, a multiple of the model's downsampling; None: 32 positions of the grid, or as many
            as half of the images have.
        crops: how many squares of the images to learn from (of held-out ones a quarter as many for each image).
        rate_weights: each item is encoded with one of these (see ``tokenize``), so that the prior knows the indices of
            files of several rates; none: as the model was trained.
        quiet: show no progress.
        console: where progress goes.

    Raises:
        ConfigError: a crop that no grid belongs to, vectors for squares, a folder of another model, or an unknown
            prior.
    """
    kind = PRIORS.get_part(prior_type)
    made_of = {"model": content_hash(model), **contents(source, config)}
    about: dict[str, Any] = {
        "rate_weights": list(rate_weights),
        "validation": recorded_validation(config.validation),
        "seed": config.seed,
    }
    name = f"{Path(source.name).name}, {source.describe()}"
    apart = validation_split(source, config)[1] if is_other_data(config.validation) else None
    if apart is not None and vectors is not None:
        share = option("validation", 0.1)
        raise ConfigError(f"vectors belong to the items of one set: hold out a share of it ({share})")
    lacks = None if apart is None else unknown_classes(apart, source)
    if lacks is not None and (options or {}).get("classes") is not None:
        without = spelled(python="classes=None", command="--unconditional")
        raise ConfigError(f"{lacks}: hold out data of its classes only, or learn without classes ({without})")
    cut = is_cut(source) and apart is None
    if source.size is None or crop is not None or cut or (apart is not None and apart.size != source.size):
        if vectors is not None:
            raise ConfigError("vectors belong to whole items: give images of one size, and no crop")
        smallest = validation_split(source, config)[1] if cut else source
        crop = square_side(model, smallest) if crop is None else crop
        source, config = squares(model, source, config, crop, crops)
        about |= {"crop": crop, "crops": crops}
    elif apart is not None:  # one set of tokens, the held-out ones at its end
        source, config = ConcatSource([source, apart]), replace(config, validation=f"last:{len(apart)}")
    path, run = Path(out), Path(out) / "run"
    if not (path / TOKENS).is_dir() or recorded(path):
        claim = Claim("a prior", about, made_of, name)
        aside = set_aside(path, claim, ("model",))
        if aside is not None:
            _say(f"note: {path} held a prior of another state of the model; it is in {aside} now", console, quiet=quiet)
        take(path, claim)
    else:  # made by an older version, which recorded the model of the tokens and the settings of the run
        told = f"note: {path} was made by an older vqkit and does not say of which data, so that is not compared"
        _say(told, console, quiet=quiet)
    with counting("encoding", show=not quiet, console=console) as progress:
        tokens = _tokens(model, source, path / TOKENS, rate_weights, config.seed, progress)
    options = dict(options or {})
    if vectors is not None:
        options["condition_dim"] = _check_vectors(tokens, vectors)
    levels = getattr(model.quantizer, "level_codebooks", None)
    if levels is not None and kind.takes("levels"):
        options = {"levels": list(levels), **options}
    prior = kind.for_tokens(tokens, seed=config.seed, **options)
    if (run / CONFIG).is_file():
        return go_on(run, prior, tokens, config=config, quiet=quiet, console=console)
    if vectors is not None:
        atomic.write_file(
            tokens.path / VECTORS, lambda temporary: atomic.save_npy(temporary, vectors.astype(np.float32))
        )
    return train(prior, tokens, out=run, config=config, quiet=quiet, console=console)


def _say(sentence: str, console: Console | None, *, quiet: bool) -> None:
    if not quiet:
        (console or Console(stderr=True)).print(sentence, style="yellow", markup=False)


def square_side(model: IndexModel, source: Source) -> int:
    """Side in pixels of the squares that a prior learns by default: 32 positions, or as many as half of the images."""
    step = _square_step(model)
    most = int(np.median(source.item_sizes().min(axis=1))) // step
    return step * max(1, min(_GRID, most))


def _square_step(model: IndexModel) -> int:
    """Side of the smallest square that is a whole number of positions on each axis."""
    return math.lcm(*per_axis(model.downsampling, model.axes))


def squares(
    model: IndexModel, source: Source, config: TrainConfig, crop: int, crops: int
) -> tuple[Source, TrainConfig]:
    """Random squares of images of any sizes: those to learn from, then the held-out ones; and a config that says so."""
    step = _square_step(model)
    if crop < step or crop % step:
        raise ConfigError(f"crop={crop}: give a multiple of the model's downsampling, {step}")
    training, held_out = validation_split(source, config)
    each = max(1, -(-crops // len(training)))
    kept = len(held_out) * max(1, each // 4)
    both = ConcatSource(
        [
            RandomCrops(training, crop, len(training) * each, seed=config.seed, flip=training.kind.flips),
            RandomCrops(held_out.with_channels(source.channels), crop, kept, seed=config.seed),
        ]
    )
    return both, replace(config, validation=f"last:{kept}")


def _tokens(
    model: IndexModel,
    source: Source,
    path: Path,
    rate_weights: Sequence[float],
    seed: int,
    progress: Callable[[int, int], None],
) -> Tokens:
    """The indices of the data, made once; those that lie there are of the same model, data and settings."""
    return matching_tokens(model, source, path, rate_weights=rate_weights, seed=seed, progress=progress)


def _check_vectors(tokens: Tokens, vectors: npt.NDArray[Any]) -> int:
    """Return D of vectors ``[items, D]``, after checking them, also against those saved with the tokens.

    Raises:
        ConfigError: an array of another shape, numbers that are not finite, or other vectors than a training begun.
    """
    if vectors.ndim != 2 or len(vectors) != len(tokens) or vectors.dtype.kind not in "fiu":
        raise ConfigError(
            f"vectors are {vectors.dtype} of shape {list(vectors.shape)}; give numbers [{len(tokens)}, D]: a row for "
            "each item of the data"
        )
    wanted = vectors.astype(np.float32)
    if not np.isfinite(wanted).all():
        raise ConfigError("the vectors have NaN or Inf; give finite numbers")
    there = tokens.vectors()
    if there is not None and not np.array_equal(there, wanted):
        another = f"choose another {option('out')}"
        raise ConfigError(f"{tokens.path}: holds other vectors, of a training that was begun; {another}")
    return int(wanted.shape[1])


def classes_of(source: Source) -> int | None:
    """Return the number of classes of a source; None without labels."""
    if source.labels is None or int(source.labels.max()) < 0:
        return None
    return max(int(source.labels.max()) + 1, len(source.class_names or []))


def rates(run: Run) -> dict[str, float]:
    """Bits an item of a finished prior's held-out grids under the uniform, the histogram and the learned prior.

    All of them are over the items of the last evaluation. The histogram is that of the training grids. A learned prior
    with classes is given each item's class. The numbers are also kept in ``rates.json`` beside the run, the
    histogram in ``histogram/``: files can be coded with it.
    """
    settings = read_config(run.path)
    config = TrainConfig.from_dict(settings["training"])
    tokens = load_tokens(settings["data"])
    training, held_out = validation_split(index_source(tokens), config)
    floor = HistogramPrior.for_tokens(tokens)
    floor.count(floor.read_batch(torch.from_numpy(training.gather(range(len(training))))))
    lines = [each for each in read_log(run.path) if each["kind"] == "final"]
    names = ("items", "bits_per_item", "uniform_bits_per_item")
    lines = [with_numbers(run.path, each, names) for each in lines]
    finals = [each for each in lines if each.get("of", each["items"]) == len(held_out)]
    learned = finals[-1] if finals else _judged(held_out, run.model())  # the training's own last word
    if learned["items"] < len(held_out):  # the same items for both
        order = range(len(held_out)) if config.minutes is None else spread_order(len(held_out))
        held_out = held_out.subset(order[: learned["items"]])
    found = {
        "uniform": float(learned["uniform_bits_per_item"]),
        "histogram": float(_judged(held_out, floor)["bits_per_item"]),
        "learned": float(learned["bits_per_item"]),
    }
    floor.save_pretrained(run.path.parent / HISTOGRAM)
    atomic.write_json(run.path.parent / "rates.json", {f"{name}_bits": bits for name, bits in found.items()})
    return found


def _judged(held_out: Source, prior: Any) -> dict[str, Any]:
    found = PriorEvaluator(held_out, fitting_grids(held_out), len(held_out), None).finalize(prior)
    assert found is not None
    return found[0]

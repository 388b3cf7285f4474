"""Training a prior on what a VQ-VAE makes of data: tokens once on the disk, then the one loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vqkit import atomic
from vqkit.codec import Tokens, index_source, load_tokens, tokenize
from vqkit.codec.tokens import MANIFEST
from vqkit.data import Source
from vqkit.errors import ConfigError
from vqkit.models import VQVAE
from vqkit.models.folder import content_hash
from vqkit.priors import PRIORS, GatedPixelCNN, HistogramPrior
from vqkit.training.config import TrainConfig
from vqkit.training.entry import resume, train
from vqkit.training.holdout import validation_split
from vqkit.training.judge_prior import PriorJudge
from vqkit.training.run import CONFIG, Run, read_config

TOKENS = "tokens"


def train_prior(
    model: VQVAE,
    source: Source,
    out: str | Path,
    *,
    config: TrainConfig,
    prior_type: str = GatedPixelCNN.prior_type,
    options: Mapping[str, Any] | None = None,
    quiet: bool = False,
    console: Console | None = None,
) -> Run:
    """Train a prior on the indices of ``source``, or go on with it; ``out`` holds the tokens and the run.

    Args:
        model: the tokenizer.
        source: images of one size; ``config.validation`` says which of them are held out, as for the model itself.
        out: folder; new, or of an interrupted training of this prior.
        config: of the training.
        prior_type: a name of ``vqkit.priors.PRIORS``.
        options: further keyword arguments of the prior; with ``classes`` it is conditioned on the data's labels.
        quiet: show no progress.
        console: where progress goes.

    Raises:
        ConfigError: images of different sizes, a folder that is another model's, or an unknown prior.
    """
    if source.size is None:
        raise ConfigError(f"{source.describe()}: a prior learns grids of one size, so give images of one size")
    if prior_type not in PRIORS:
        raise ConfigError(f"prior_type={prior_type!r}: choose one of {', '.join(PRIORS)}")
    path = Path(out)
    tokens = _tokens(model, source, path / TOKENS)
    run = path / "run"
    if (run / CONFIG).is_file():
        return resume(run, data=tokens, quiet=quiet, console=console)
    torch.manual_seed(config.seed)
    prior = PRIORS[prior_type].for_tokens(tokens, **(options or {}))
    return train(prior, tokens, out=run, config=config, quiet=quiet, console=console)


def _tokens(model: VQVAE, source: Source, path: Path) -> Tokens:
    if not (path / MANIFEST).is_file():
        return tokenize(model, source, path)
    tokens = load_tokens(path)
    if tokens.manifest.get("model_sha256") != content_hash(model) or len(tokens) != len(source):
        raise ConfigError(f"{path}: tokens of another model or of other data; choose another --out")
    return tokens


def classes_of(source: Source) -> int | None:
    """How many classes the data's labels name; None without labels."""
    if source.labels is None or int(source.labels.max()) < 0:
        return None
    return max(int(source.labels.max()) + 1, len(source.class_names or []))


def rates(run: Run) -> dict[str, float]:
    """Bits an item of a finished prior's held-out grids under the uniform, the histogram and the learned prior.

    The histogram is that of the training grids. A learned prior with classes is given each item's class. The numbers
    are also kept in ``rates.json`` beside the run.
    """
    settings = read_config(run.path)
    config = TrainConfig.from_dict(settings["training"])
    tokens = load_tokens(settings["data"])
    training, held_out = validation_split(index_source(tokens), config)
    prior = run.model()
    floor = HistogramPrior.for_tokens(tokens)
    floor.count(floor.read_batch(torch.from_numpy(training.gather(range(len(training))))))
    judged = {
        name: PriorJudge(held_out, 256, len(held_out), None).at_the_end(each)[0]
        for name, each in (("histogram", floor), ("learned", prior))
    }
    found = {
        "uniform": float(judged["learned"]["uniform_bits_per_item"]),
        **{name: float(values["bits_per_item"]) for name, values in judged.items()},
    }
    atomic.write_json(run.path.parent / "rates.json", {f"{name}_bits": bits for name, bits in found.items()})
    return found

"""``repeat``: a run made again from what it recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from rich.console import Console

from vqkit.chance import seeded
from vqkit.models import IndexModel
from vqkit.pretrained.folder import content_hash, make
from vqkit.quantizers import quantizer_options
from vqkit.resources import physical_bytes
from vqkit.training.api import changed, train
from vqkit.training.callbacks import Callback
from vqkit.training.closed_form import refuse_steps
from vqkit.training.config import TrainConfig
from vqkit.training.inputs.beginning import begin_with
from vqkit.training.record.run import CONFIG, Run, check_named, read_config
from vqkit.training.settings import TrainSettings
from vqkit.training.trainable import Trainable, trainable_class

_MOST_TENSORS = 1 << 16


def repeat(
    path: str | Path,
    *,
    data: Any = None,
    tokenizer: IndexModel | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
    tensorboard: bool = True,
    console: Console | None = None,
    callbacks: Callback | Sequence[Callback] = (),
    **changes: Unpack[TrainSettings],
) -> Run:
    """Make a run again from nothing, from its ``run.json`` alone; the same as ``vqkit train --config RUN``.

    On the same kind of processor, with the same versions and number of threads, a run of a number of steps has the same
    weights, bit for bit; a run of minutes follows the clock. A run of Python whose initial weights no seed made (a
    model made without ``seed=``, trained without ``seed=``) begins with others, and it is said.

    Args:
        path: the run folder, or its ``run.json``.
        data: where it has moved, or has no name; None takes what the run was started with.
        tokenizer: of a pixel prior.
        out: a new folder; None takes the first free ``runs/NAME-001``.
        quiet: show no progress.
        tensorboard: also write TensorBoard events.
        console: where progress goes.
        callbacks: told of the events of the run.
        **changes: settings that are to differ (``seed=1``).

    Raises:
        VqkitError: no run there, or data that cannot be found; and those of ``train``.
        TrainingInterrupted: Ctrl-C or SIGTERM; all is saved, and ``resume`` goes on.

    Example:
        >>> import vqkit
        >>> vqkit.repeat("runs/mine", out="runs/again")  # doctest: +SKIP
    """
    recipe = recipe_of_run(path, data=data, **changes)
    model = recipe.make(recipe.config.seed)
    if tokenizer is not None:
        model.with_tokenizer(tokenizer)
    if recipe.config.start is not None:
        begin_with(model, recipe.config.start)
    if "seed" not in changes and recipe.initial_weights not in (None, content_hash(model)) and not quiet:
        (console or Console(stderr=True)).print(
            f"{recipe.path}: its seed did not make the weights that it began with, so this run begins with others "
            f"(those of seed {recipe.config.seed})"
            if recipe.config.start is None
            else f"{recipe.config.start} is not what {recipe.path} began with, so this run begins with other weights",
            style="yellow", markup=False,
        )  # fmt: skip
    return train(
        model, recipe.data, out=out, config=recipe.config, quiet=quiet,
        tensorboard=tensorboard, console=console, callbacks=callbacks,
    )  # fmt: skip


@dataclass(frozen=True)
class RunRecipe:
    """What a run is made again from.

    Attributes:
        path: of the run.
        make: the new model of a seed.
        data: for ``train``.
        config: of the training, with the changes.
        initial_weights: digest of the weights that the run began with; None where it is not recorded.
    """

    path: Path
    make: Callable[[int], Trainable]
    data: Any
    config: TrainConfig
    initial_weights: str | None


def recipe_of_run(path: str | Path, *, data: Any = None, **changes: Unpack[TrainSettings]) -> RunRecipe:
    """Read what a run is made again from; see ``repeat``.

    Raises:
        VqkitError: no run there, data without a name that is not given again, or changes that do not work.
    """
    path = Path(path)
    path = path.parent if path.name == CONFIG else path
    settings = read_config(path)
    arguments = dict(settings["model"])
    kind = trainable_class(str(arguments.pop("model_type", None)))
    refuse_steps(kind, [name for name, value in changes.items() if value is not None])
    config = TrainConfig.from_dict(changed(settings["training"], dict(changes)))
    check_named(path, settings, config.validation, data=data)

    def make_with(seed: int) -> Trainable:
        most = physical_bytes() // 2
        own = _with_seed(arguments, settings["training"].get("seed", 0), seed)
        with seeded(seed):
            return make(
                kind, own, str(path / CONFIG), most_bytes=most, most_tensors=_MOST_TENSORS,
                beside=f"this machine has {most:,} bytes for it",
            )  # fmt: skip

    return RunRecipe(path, make_with, settings["data"] if data is None else data, config, settings["initial_weights"])


def _with_seed(arguments: dict[str, Any], old: int, new: int) -> dict[str, Any]:
    """Arguments of a model in which the seeds that were the training's are the new one, as ``for_source`` sets them."""
    found = dict(arguments)
    if found.get("seed") == old:
        found["seed"] = new
    quantizer, options = found.get("quantizer"), dict(found.get("quantizer_options") or {})
    follows = new != old and isinstance(quantizer, str) and "seed" in quantizer_options(quantizer)
    if follows and options.pop("seed", 0) == old:
        found["quantizer_options"] = {**({"seed": new} if new else {}), **options}
    return found

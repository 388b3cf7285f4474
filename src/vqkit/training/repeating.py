"""``repeat``: a run made again from what it recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from rich.console import Console

from vqkit.chance import seeded
from vqkit.models import IndexModel
from vqkit.pretrained.folder import content_hash, make
from vqkit.resources import physical_bytes
from vqkit.training.api import changed, train
from vqkit.training.callbacks import Callback
from vqkit.training.closed_form import refuse_steps
from vqkit.training.config import TrainConfig
from vqkit.training.record.run import CONFIG, Run, check_named, read_config
from vqkit.training.settings import TrainSettings
from vqkit.training.trainable import trainable_class

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
    path = Path(path)
    path = path.parent if path.name == CONFIG else path
    settings = read_config(path)
    arguments = dict(settings["model"])
    kind = trainable_class(str(arguments.pop("model_type", None)))
    refuse_steps(kind, [name for name, value in changes.items() if value is not None])
    config = TrainConfig.from_dict(changed(settings["training"], dict(changes)))
    check_named(path, settings, config.validation, data=data)
    with seeded(config.seed):
        most = physical_bytes() // 2
        model = make(
            kind, arguments, str(path / CONFIG), most_bytes=most, most_tensors=_MOST_TENSORS,
            beside=f"this machine has {most:,} bytes for it",
        )  # fmt: skip
    if tokenizer is not None:
        model.with_tokenizer(tokenizer)
    recorded = settings["initial_weights"]
    if "seed" not in changes and recorded not in (None, content_hash(model)) and not quiet:
        (console or Console(stderr=True)).print(
            f"{path}: its seed did not make the weights that it began with, so this run begins with others (those of "
            f"seed {config.seed})",
            style="yellow", markup=False,
        )  # fmt: skip
    return train(
        model, settings["data"] if data is None else data, out=out, config=config, quiet=quiet,
        tensorboard=tensorboard, console=console, callbacks=callbacks,
    )  # fmt: skip

"""``train`` and ``resume``: the two ways into a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from rich.console import Console

from vqkit.data import Source, load_source
from vqkit.data.builtin import BUILTIN_PREFIX
from vqkit.data.naming import GIVEN_PREFIX
from vqkit.errors import ConfigError, DataError, ModelFolderError, TrainingInterrupted
from vqkit.models import IndexModel
from vqkit.pretrained.folder import build, make
from vqkit.spelling import option, resuming
from vqkit.tokens import Tokens, index_source, load_tokens
from vqkit.tokens.manifest import find_manifest
from vqkit.training.callbacks import Callback, as_callbacks
from vqkit.training.checkpoints import checkpoint
from vqkit.training.closed_form import refuse_steps
from vqkit.training.config import LIKELIHOOD, TrainConfig
from vqkit.training.diagnostics.collapse import codes_of
from vqkit.training.distributed import start_processes
from vqkit.training.generators import one_training
from vqkit.training.inputs.beginning import begin_with
from vqkit.training.inputs.contracts import check_contracts, check_terms
from vqkit.training.optim.frozen import Frozen
from vqkit.training.optim.objective import check_objective
from vqkit.training.optim.schedules import build_schedule
from vqkit.training.record.provenance import check_made_of, made_of
from vqkit.training.record.rebuilding import check_rebuilds, seed_weights
from vqkit.training.record.resuming import LENGTH, changes_of, check_changes, settled
from vqkit.training.record.run import (
    CHECKPOINTS,
    CONFIG,
    MODEL,
    Run,
    check_named,
    is_same_data,
    new_run_path,
    read_config,
    source_spec,
)
from vqkit.training.reporting import Reporting
from vqkit.training.settings import TrainSettings
from vqkit.training.sharp.settings import sharpened
from vqkit.training.trainable import Trainable, trainable_class
from vqkit.training.trainer import Trainer

_SPARE_BYTES, _MOST_TENSORS = 64 << 20, 1 << 10


@one_training()
def train(
    model: Trainable,
    data: Any,
    *,
    out: str | Path | None = None,
    config: TrainConfig | None = None,
    quiet: bool = False,
    tensorboard: bool = True,
    console: Console | None = None,
    callbacks: Callback | Sequence[Callback] = (),
    **settings: Unpack[TrainSettings],
) -> Run:
    """Train a model, or a prior, on ``data`` and write a run folder; the same as ``vqkit train``.

    Afterwards ``model`` holds the averaged weights, in evaluation mode (under FSDP it stays sharded, with the last
    weights: read the average with ``run.model()``). What was frozen in it (``requires_grad=False``; a quantizer or
    another part in evaluation mode, in a model in training mode) stays as it is. Ctrl-C, and SIGTERM, write a
    checkpoint and raise ``TrainingInterrupted``, a ``KeyboardInterrupt``, whose ``run`` is not ``finished``: so a loop
    of trainings ends too. Under torchrun every process calls this with the same arguments. The global random generators
    (of torch, NumPy and Python) are afterwards as they were before.

    Args:
        model: trained in place. Its class and its ``config`` have to say all that it is, since the saved model and
            ``resume`` are made of them: own parts and classes are refused before the first step; train
            them in a loop of your own, with ``model(x).loss``.
        data: a source, or whatever ``load_source`` takes; for a prior, tokens or their folder. Held-out data of its
            own (``validation=``) is given in the same way.
        out: a new folder; None takes the first free ``runs/NAME-001`` (not under torchrun).
        config: all settings at once, or give single ``settings`` of ``TrainConfig`` by name (minutes=10, ...); those
            that are not given are the model's own (``default_settings()``), as on the command line.
        quiet: show no progress.
        tensorboard: also write TensorBoard events, where it is installed.
        console: where progress goes; None takes standard error.
        callbacks: told of the events of the run (see ``vqkit.Callback``): one, or several.
        **settings: of ``TrainConfig``, by name.

    Raises:
        VqkitError: data, settings or folder that do not work; NaN or Inf while training.
        TrainingInterrupted: Ctrl-C or SIGTERM; all is saved, and ``resume`` goes on.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> from vqkit import train
        >>> digits = vqkit.load_source("builtin:digits").subset(range(100))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     train(vqkit.PCA(4, channels=1, size=(8, 8)), digits, out=f"{folder}/run", quiet=True).finished
        True
    """
    if config is not None and settings:
        raise ConfigError(f"give config or single settings ({', '.join(settings)}), not both")
    callbacks = as_callbacks(callbacks)
    refuse_steps(type(model), [name for name, value in settings.items() if value is not None])
    check_rebuilds(model)
    has_seed = config is not None or settings.get("seed") is not None
    config = config or TrainConfig.from_dict({**model.default_settings(), **settings})
    if has_seed:
        seed_weights(model, config.seed)
    if config.start is not None:
        begin_with(model, config.start)
    config = sharpened(config, model)
    build_schedule(config.schedule)
    check_objective(model, config.objective)
    source = opened(data, model)
    model.check_items(source)
    check_contracts(model, source, config.crop)
    if config.objective != LIKELIHOOD:
        check_terms(model, config.objective, source, config.crop)
    processes = start_processes(config.device)
    try:
        if out is None and processes.world > 1:
            raise ConfigError(f"under torchrun every process must know the run folder: give {option('out', ...)}")
        spec = source_spec(data, source)
        name = _slug(source.name if spec.startswith(GIVEN_PREFIX) else spec)
        path = new_run_path(out, f"{model.model_type}-{name}") if processes.main else Path(out or "")
        reporting = Reporting(quiet, tensorboard, console, callbacks)
        return Trainer(model, source, spec, config, path, processes, reporting).run()
    except TrainingInterrupted:
        raise
    except BaseException:
        processes.abandon()
        raise


@one_training()
def resume(
    path: str | Path,
    *,
    data: Any = None,
    tokenizer: IndexModel | None = None,
    quiet: bool = False,
    tensorboard: bool = True,
    console: Console | None = None,
    callbacks: Callback | Sequence[Callback] = (),
    **changes: Unpack[TrainSettings],
) -> Run:
    """Go on with a run from its newest whole checkpoint, bit for bit as if it had never stopped.

    That holds on the CPU with the same thread count, for runs of a number of steps (a run of minutes follows the
    clock). A run that a callback or its ``patience`` has stopped goes on when it is given ``steps``, ``minutes`` or
    another ``patience``; else it only ends as it did.

    Args:
        path: the run folder.
        data: the data, where it has moved, or has no name (an array, a part of a source as of ``split``); None takes
            what the run was started with.
        tokenizer: of a pixel prior.
        quiet: show no progress.
        tensorboard: also write TensorBoard events.
        console: where progress goes; None takes standard error.
        callbacks: told of the events of the run (see ``vqkit.Callback``).
        **changes: settings that differ from now on (steps=20_000 trains longer: the schedule stretches); and
            ``validation``, the same held-out data again, where it has moved or the run was given some without a name;
            and ``schedule``, where that was a function.

    Raises:
        VqkitError: no run there, no checkpoint that reads back whole, data that cannot be found or is not the same,
            NaN or Inf while training.
        TrainingInterrupted: Ctrl-C or SIGTERM; all is saved, and ``resume`` goes on.

    Example:
        >>> import vqkit
        >>> vqkit.resume("runs/mine", steps=20_000)  # doctest: +SKIP
    """
    path, callbacks = Path(path), as_callbacks(callbacks)
    given: dict[str, Any] = dict(changes)
    settings = read_config(path)
    arguments = dict(settings["model"])
    model_type = arguments.pop("model_type", None)
    kind = trainable_class(str(model_type))
    refuse_steps(kind, [name for name, value in given.items() if value is not None])
    config = TrainConfig.from_dict(changed(settings["training"], given))
    if given.get("validation") is not None:
        given["validation"] = config.validation
    build_schedule(config.schedule)
    for name in ("objective", "schedule"):  # as a run records them
        if given.get(name) is not None:
            given[name] = config.as_dict().get(name, given[name])
    check_named(path, settings, config.validation, data=data)
    model = None if kind.closed_form else _rebuilt(path, kind, arguments)
    again = resuming(path, "data")
    try:
        source = opened(settings["data"] if data is None else data, model)
    except DataError as error:
        if data is not None:
            raise
        raise DataError(
            f"{path}: the run's data ({settings['data']}) cannot be read: {error} Give its new place, or the same "
            f"array, again: {again}"
        ) from error
    model = _begun_again(path, kind, arguments, source) if model is None else model
    config = sharpened(config, model)
    check_objective(model, config.objective)
    check_contracts(model, source, config.crop)
    if config.objective != LIKELIHOOD:
        check_terms(model, config.objective, source, config.crop)
    if tokenizer is not None:
        model.with_tokenizer(tokenizer)
    if not is_same_data(source, settings["fingerprint"]):
        raise DataError(
            f"{source.describe()}: this is not the data that the run was started with (other items, sizes or labels), "
            f"so held-out items would leak into training; give the same, perhaps a part of it ({again}), or start a "
            "new run"
        )
    check_made_of(path, settings["made_of"], made_of(model, source, config), source)
    processes = start_processes(config.device)
    try:
        saved, problems = checkpoint.latest(path / CHECKPOINTS, codes_of(model))
        if processes.main:
            for problem in problems:
                (console or Console(stderr=True)).print(problem, style="yellow", markup=False)
        if saved is None and not model.closed_form:
            raise _no_checkpoint(path)
        compared = "validation" in settings["made_of"]
        goes_on = any(given.get(name) is not None for name in (*LENGTH, "patience"))
        stopped = None if goes_on else settings["stopped"]
        check_changes(path, settings["training"], given, saved, compared=compared, stopped=stopped is not None)
        spec = settings["data"] if data is None else source_spec(data, source)
        trainer = Trainer(
            model,
            source,
            spec,
            config,
            path,
            processes,
            Reporting(quiet, tensorboard, console, callbacks),
            saved,
            Frozen.from_dict(settings["frozen"]),
            settings["initial_weights"],
            stopped,
        )
        return trainer.run()
    except TrainingInterrupted:
        raise
    except BaseException:
        processes.abandon()
        raise


def go_on(
    path: Path,
    model: Trainable,
    data: Any,
    *,
    config: TrainConfig,
    tokenizer: IndexModel | None = None,
    quiet: bool = False,
    tensorboard: bool = True,
    console: Console | None = None,
    callbacks: Callback | Sequence[Callback] = (),
) -> Run:
    """Go on with the run in a folder, or make it longer, if it is the one that is asked for.

    Args:
        path: the run folder.
        model: a new one, as it is asked for now.
        data: as it is asked for now.
        config: of the training, as it is asked for now.
        tokenizer: of a pixel prior.
        quiet: show no progress.
        tensorboard: also write TensorBoard events.
        console: where progress goes.
        callbacks: told of the events of the run.

    Raises:
        ConfigError: the run has other settings, which are named.
        DataError: other data.
    """
    recorded = read_config(path)
    source = opened(data, model)
    changes = changes_of(path, recorded, model, settled(sharpened(config, model), source))
    if isinstance(config.validation, Source):
        changes["validation"] = config.validation
    if not isinstance(config.schedule, str):
        changes["schedule"] = config.schedule
    return resume(
        path,
        data=data,
        tokenizer=tokenizer,
        quiet=quiet,
        tensorboard=tensorboard,
        console=console,
        callbacks=callbacks,
        **changes,
    )


def opened(data: Any, model: Trainable | None) -> Source:
    """Data as it is given or as ``run.json`` names it; tokens, or their folder, as indices."""
    if isinstance(data, (str, Path)) and find_manifest(data) is not None:
        data = load_tokens(data)
    if not isinstance(data, Tokens):
        return load_source(data)
    if model is not None:
        model.check_tokens(data)
    return index_source(data)


def _rebuilt(path: Path, kind: type[Trainable], arguments: dict[str, Any]) -> Trainable:
    """The model of a run as it was new, bounded by what the newest checkpoint says of its tensors while it is built."""
    tensors = checkpoint.model_tensors(path / CHECKPOINTS)
    if tensors is None:
        raise _no_checkpoint(path)
    return build(kind, arguments, tensors, str(path), files=(CONFIG, f"its newest checkpoint's {checkpoint.TENSORS}"))


def _begun_again(path: Path, kind: type[Trainable], arguments: dict[str, Any], source: Source) -> Trainable:
    """A model that is solved in closed form, which has no checkpoint: its tables are no larger than its data."""
    values = int(source.item_sizes().prod(axis=1).sum()) * source.channels
    return make(
        kind,
        arguments,
        str(path / CONFIG),
        most_bytes=_SPARE_BYTES + 8 * values,
        most_tensors=_MOST_TENSORS,
        beside=f"the data are {values:,} numbers",
    )


def _no_checkpoint(path: Path) -> ModelFolderError:
    if not (path / CHECKPOINTS).exists() and (path / MODEL).is_dir():
        return ModelFolderError(
            f"{path}: there are no checkpoints to go on from; begin a new run with its weights: {option('start', path)}"
        )
    return ModelFolderError(f"{path}: none of its checkpoints reads back whole; start a new run")


def changed(training: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Recorded settings with changes: of ``steps`` and ``minutes`` the one that was asked for now."""
    if changes.get("steps") is not None and changes.get("minutes") is not None:
        raise ConfigError(f"steps={changes['steps']} and minutes={changes['minutes']}: give one of the two")
    merged = {**training, **changes}
    if changes.get("steps") is not None:
        merged["minutes"] = None
    if changes.get("minutes") is not None:
        merged["steps"] = None
    return merged


def _slug(name: str) -> str:
    stem = Path(name.removeprefix(BUILTIN_PREFIX)).stem or name
    kept = "".join(letter if letter.isalnum() else "-" for letter in stem).strip("-").lower()
    return kept[:40] or "data"

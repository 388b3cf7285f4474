"""Trainings of several seeds: one recipe on one split, a run for each, and a summary of means and deviations."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from rich.console import Console

from vqkit._version import __version__
from vqkit.data import Source
from vqkit.errors import ConfigError
from vqkit.pretrained.folder import content_hash
from vqkit.pretrained.locating import SEED_RUN
from vqkit.provenance import made_by
from vqkit.results.reading import result_of_run
from vqkit.results.result import without_seeds
from vqkit.results.seeds import grouped
from vqkit.results.tables.table import ResultTable, result_table
from vqkit.seeds import check_seed
from vqkit.spelling import option
from vqkit.storage import atomic, outputs
from vqkit.storage.outputs import is_temporary
from vqkit.training import Callback, Run, TrainConfig, load_run, train
from vqkit.training.api import go_on, opened
from vqkit.training.closed_form import refuse_steps
from vqkit.training.record.log import read_log
from vqkit.training.record.resuming import changes_of, settled
from vqkit.training.record.run import is_run, is_same_data, new_run_path, read_config
from vqkit.training.settings import TrainSettings
from vqkit.training.trainable import Trainable

SUMMARY = "seeds.json"


@dataclass(frozen=True)
class SeedRuns:
    """Trainings of several seeds: the folder, the runs in the order of the seeds, and the summary.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> digits = vqkit.load_source("builtin:digits").subset(range(100))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = vqkit.train_seeds(
        ...         lambda seed: vqkit.PCA(4, channels=1, size=(8, 8)), digits, [0, 1], out=f"{folder}/pca", quiet=True
        ...     )
        ...     [run.path.name for run in found.runs], sorted(found.document["measures"]["mse"])
        (['seed-0', 'seed-1'], ['deviation', 'mean', 'values'])
    """

    path: Path
    runs: tuple[Run, ...]
    document: dict[str, Any]

    def table(self) -> ResultTable:
        """One row: mean and deviation of what papers print."""
        return result_table([run.path for run in self.runs])


def train_seeds(
    make: Callable[[int], Trainable],
    data: Any,
    seeds: Sequence[int],
    *,
    out: str | Path | None = None,
    config: TrainConfig | None = None,
    command: str | None = None,
    quiet: bool = False,
    tensorboard: bool = True,
    console: Console | None = None,
    callbacks: Callback | Sequence[Callback] = (),
    **settings: Unpack[TrainSettings],
) -> SeedRuns:
    """Train one recipe with several seeds on one split; the same as ``vqkit train --seeds``.

    Each run lies in ``out/seed-N``; ``out/seeds.json`` has the mean, the sample deviation (n - 1) and the values of
    each measure of the held-out items. The same call goes on where an interrupted one stopped, and further seeds can
    be added. ``vqkit table`` and ``vqkit plot`` take the folder as one row, and as one line with its band.

    Args:
        make: makes the new model of a seed: ``lambda seed: vqkit.VQVAE.for_source(data, 64, seed=seed)``.
        data: see ``train``.
        seeds: whole numbers, each once. Which items are held out follows ``split_seed``, or else the first of them.
        out: a folder, new or of the same trainings; None takes the first free ``runs/NAME-001``.
        config: see ``train``; its seed does not count.
        command: what the summary says it was made with; None: the command line, or the script that calls.
        quiet: show no progress.
        tensorboard: also write TensorBoard events.
        console: where progress goes.
        callbacks: told of the events of every run.
        **settings: see ``train``.

    Raises:
        ConfigError: seeds, settings or a folder that do not work.
        VqkitError: see ``train``.
        TrainingInterrupted: Ctrl-C or SIGTERM; the same call goes on.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> digits = vqkit.load_source("builtin:digits").subset(range(100))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = vqkit.train_seeds(
        ...         lambda seed: vqkit.VQVAE.for_source(digits, 16, hidden_channels=8, seed=seed),
        ...         digits, [0, 1], out=f"{folder}/ema", steps=2, quiet=True,
        ...     )
        ...     len(found.document["measures"]["psnr_db"]["values"])
        2
    """
    seeds = _checked(seeds, settings)
    if config is not None and settings:
        raise ConfigError(f"give config or single settings ({', '.join(settings)}), not both")
    model = make(seeds[0])
    refuse_steps(type(model), [name for name, value in settings.items() if value is not None])
    asked = config or TrainConfig.from_dict({**model.default_settings(), **settings})
    split = seeds[0] if asked.split_seed is None else asked.split_seed
    source = opened(data, model)
    path = _folder(out, model)
    runs: list[Run] = []
    for seed in seeds:
        again = train if not is_run(path / f"{SEED_RUN}{seed}") else _known
        model = model if not runs else _like(model, make(seed), seed)
        config = replace(asked, seed=seed, split_seed=split)
        runs.append(
            again(
                model, data, out=path / f"{SEED_RUN}{seed}", config=config, quiet=quiet, tensorboard=tensorboard,
                console=console, callbacks=callbacks,
            )
        )  # fmt: skip
    document = _summary(path, runs, source, made_by(command))
    atomic.write_json(path / SUMMARY, document)
    return SeedRuns(path, tuple(runs), document)


def _like(first: Trainable, model: Trainable, seed: int) -> Trainable:
    """The model of a further seed.

    Raises:
        ConfigError: it differs in more than the seed.
    """
    found = [(each.model_type, without_seeds(each.config)) for each in (first, model)]
    if found[0] != found[1]:
        raise ConfigError(
            f"make({seed}): the model has other settings than that of the first seed; let only the seed differ"
        )
    return model


def check_seeds_folder(path: Path) -> None:
    """Raise ``ConfigError`` if a folder holds something else than runs of several seeds."""
    outputs.check_contents(path, "a set of runs of several seeds", _is_part)


def _is_part(entry: Path) -> bool:
    number = entry.name.removeprefix(SEED_RUN)
    if entry.is_dir():
        return number != entry.name and number.isdigit()
    return entry.name == SUMMARY or is_temporary(entry)


def _checked(seeds: Sequence[int], settings: Mapping[str, Any]) -> list[int]:
    found = [check_seed(seed) for seed in seeds]
    if len(set(found)) < len(found) or not found:
        raise ConfigError(f"seeds={found}: give one or more, each once")
    if settings.get("seed") is not None:
        raise ConfigError(f"{option('seed')} and {option('seeds')}: give one of the two")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(f"{option('seeds')}: several processes train one run together; give each a {option('seed')}")
    return found


def _folder(out: str | Path | None, model: Trainable) -> Path:
    if out is None:
        return new_run_path(None, f"{model.model_type}-seeds")
    outputs.check_folder(Path(out), (), option=option("out"))
    check_seeds_folder(Path(out))
    return Path(out)


def _known(model: Trainable, data: Any, *, out: Path, config: TrainConfig, **about: Any) -> Run:
    """A run that is there: finished as it is asked for now, or gone on with."""
    recorded, found = read_config(out), load_run(out)
    source = opened(data, model)
    changes = changes_of(out, recorded, model, settled(config, source))
    if found.finished and not {"steps", "minutes"} & changes.keys() and is_same_data(source, recorded["fingerprint"]):
        return found
    return go_on(out, model, data, config=config, **about)


def _summary(path: Path, runs: Sequence[Run], source: Source, maker: dict[str, Any]) -> dict[str, Any]:
    """What ``seeds.json`` holds."""
    results = [result_of_run(run.path, read_log(run.path))[0] for run in runs]
    (group,) = grouped(results)
    first = read_config(runs[0].path)
    training = {name: value for name, value in first["training"].items() if name != "seed"}
    each = [
        {
            "seed": result.seed,
            "path": run.path.relative_to(path).as_posix(),
            "step": run.step,
            "model_sha256": content_hash(run.model()),
        }
        for run, result in zip(runs, results, strict=True)
    ]
    measures = {}
    for name, spread in group.measures.items():
        values = [result.measures[name] for result in results]
        measures[name] = {"mean": spread.mean, "deviation": spread.deviation, "values": values}
    return {
        "vqkit": __version__,
        "command": maker["command"],
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "made_by": maker,
        "data": {"name": group.first.data, "description": source.describe(), "validation_items": group.first.items},
        "model": without_seeds(first["model"]),
        "training": training,
        "seeds": [result.seed for result in results],
        "runs": each,
        "measures": measures,
    }

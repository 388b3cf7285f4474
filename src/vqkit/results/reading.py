"""Results of runs, of files of ``vqkit eval --json`` and of reports, from the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vqkit.checking import check_fields, reason
from vqkit.errors import DataError
from vqkit.pretrained.locating import SEED_RUN
from vqkit.results.reports import KEYS, rows_of
from vqkit.results.result import (
    Result,
    codebook_title,
    data_title,
    measures_in,
    model_title,
    quantizer_title,
    recipe_of,
    short_path,
)
from vqkit.spelling import resuming
from vqkit.storage.outputs import MARK
from vqkit.storage.reading import read_json
from vqkit.training.record.log import read_log
from vqkit.training.record.run import CONFIG, is_run, read_config

REPORTS = ("compare.json", "codebooks.json", "beta.json", "latents.json", "rate-distortion.json", "probe.json")
"""What studies keep their numbers in."""
_EVALUATION = "vqkit eval"
_MACHINE = ("device", "threads", "compile", "parallel", "checkpoint_seconds", "keep_checkpoints", "log_every")
"""Settings of a training that are about the machine, or about what is seen of it."""


def load_results(paths: str | Path | Sequence[str | Path], *, say: Callable[[str], None] | None = None) -> list[Result]:
    """Read what was measured: a result for each run, evaluation, and row of a report.

    Args:
        paths: run folders; files of ``vqkit eval --json``; folders (or JSON files) of ``vqkit compare``, ``study`` and
            ``probe``; or a folder of such folders, of which those that have no result yet are left out.
        say: told what is left out; None is silent.

    Raises:
        DataError: nothing of these, a run without a final evaluation, or a damaged file.
        ModelFolderError: a damaged run.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> from vqkit.results import load_results
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     digits = vqkit.load_source("builtin:digits").subset(range(100))
        ...     run = vqkit.train(vqkit.PCA(4, channels=1, size=(8, 8)), digits, out=f"{folder}/run", quiet=True)
        ...     [(each.model, each.items) for each in load_results(f"{folder}/run")]
        [('PCA', 10)]
    """
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    found = [result for path in several for result in _read(Path(path), say or (lambda _: None))]
    if not found:
        raise DataError("no results: give run folders, files of vqkit eval --json, or folders of reports")
    return found


def places(path: Path) -> Iterator[Path]:
    """The runs and reports at a place: a run folder, JSON files of numbers, or those of the folders in it."""
    if path.is_file():
        yield path.parent if path.name == CONFIG else path
    elif is_run(path):
        yield path
    elif path.is_dir():
        own = [path / name for name in REPORTS if (path / name).is_file()]
        below = [] if own else sorted(each for each in path.iterdir() if each.is_dir())
        yield from own
        for each in sorted(below, key=_in_order):
            if is_run(each):
                yield each
            else:
                yield from (each / name for name in REPORTS if (each / name).is_file())
                yield from seed_runs(each)


def seed_runs(path: Path) -> list[Path]:
    """The runs in a folder of several seeds (see ``train_seeds``), in the order of the seeds."""
    found = [each for each in path.glob(f"{SEED_RUN}*") if is_run(each)]
    return sorted(found, key=_in_order)


def _in_order(path: Path) -> tuple[str, int]:
    """By name; of the runs of several seeds by the seed: seed-2 comes before seed-10."""
    number = path.name.removeprefix(SEED_RUN)
    return (SEED_RUN, int(number)) if number != path.name and number.isdigit() else (path.name, 0)


def read_document(file: Path) -> dict[str, Any]:
    """Read a JSON file of numbers.

    Raises:
        DataError: it is none.
    """
    try:
        return check_fields(read_json(file), {})
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not readable as a file of results ({reason(error)})") from error


def _read(path: Path, say: Callable[[str], None]) -> Iterator[Result]:
    found = list(places(path))
    if not found:
        what = "nothing is there" if not path.exists() else f"it has no {CONFIG}, {', '.join(REPORTS)}"
        raise DataError(f"{path}: no results ({what}); give a run folder, a report's, or a file of vqkit eval --json")
    for place in found:
        if place.is_dir():
            result, finished = result_of_run(place, read_log(place))
            if not finished and place != path and path.name != CONFIG:
                say(f"{place}: left out, it has not finished")
            elif not finished:
                raise DataError(f"{place}: not finished, so it has no final evaluation; go on with: {resuming(place)}")
            else:
                yield result
            continue
        document = read_document(place)
        if document.get(MARK) == _EVALUATION:
            yield _of_evaluation(place, document)
        elif any(key in document for key in KEYS):
            yield from rows_of(place, document)
        else:
            raise DataError(f"{place}: no file of results: neither vqkit eval --json nor a report wrote it")


def result_of_run(path: Path, log: Sequence[Mapping[str, Any]]) -> tuple[Result, bool]:
    """The final evaluation of a run, and whether there is one yet: if not, the result has no measures."""
    settings = read_config(path)
    final = next((line for line in reversed(log) if line["kind"] == "final"), None)
    found = _result(path, short_path(path), settings["data"], settings["fingerprint"], settings, final or {})
    return found, final is not None


def _of_evaluation(file: Path, document: Mapping[str, Any]) -> Result:
    try:
        check_fields(
            document,
            {"items": int},
            {"data": Mapping[str, Any], "run": Mapping[str, Any], "model": Mapping[str, Any], "name": str},
        )
    except ValueError as error:
        raise DataError(f"{file}: not readable as a file of vqkit eval --json ({error})") from error
    data, run = document.get("data", {}), document.get("run", {})
    told = {"model": document.get("model", {}), "training": run.get("training", {})}
    judged = [data.get("description", ""), document.get("codebooks"), run.get("fingerprint", file.name)]
    name = document.get("name", file.stem)
    return _result(file, name, str(data.get("name", "")), judged, told, document)


def _result(
    path: Path, name: str, data: str, judged: Any, settings: Mapping[str, Any], values: Mapping[str, Any]
) -> Result:
    """A result, from the settings of a run and an evaluation of its model."""
    config, training = settings["model"], settings["training"]
    seed, items = training.get("seed"), values.get("items")
    kept = {key: value for key, value in training.items() if key not in _MACHINE}
    kind = config.get("model_type", "")
    return Result(
        path=str(path),
        name=name,
        model=model_title(str(kind)),
        quantizer=quantizer_title(config),
        codebook=codebook_title(config),
        data=data_title(data),
        items=items if isinstance(items, int) else None,
        seed=seed if isinstance(seed, int) else None,
        settings={**kept, **config},
        measures=measures_in(values),
        recipe=recipe_of(config, kept, judged),
    )

"""``compare`` of vectors: error, cosine, recall of neighbours and collisions of models at the same bytes a vector."""

from __future__ import annotations

import datetime
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vqkit._version import __version__
from vqkit.data import Source, evaluation_batches, load_source
from vqkit.data.builtin import BUILTIN_PREFIX
from vqkit.errors import ConfigError
from vqkit.evaluation import evaluate
from vqkit.evaluation.vectors.paths import path_levels
from vqkit.evaluation.vectors.quality import judged_neighbors
from vqkit.models import MODELS, VQVAE, IndexModel
from vqkit.provenance import made_by
from vqkit.storage import atomic
from vqkit.studies.alone import alone
from vqkit.studies.resumable import claim, keep_error, known, seconds_trained, trained
from vqkit.studies.spread import all_hold, check_seeds, compared, merged
from vqkit.studies.vectors.report import write_report
from vqkit.studies.vectors.settings import RUNGS, TITLES, VectorsConfig
from vqkit.training import TrainConfig
from vqkit.training.inputs.holdout import validation_split
from vqkit.training.record.provenance import contents

_BATCH = 4096


@dataclass(frozen=True)
class VectorComparison:
    """Result of a comparison of vectors: the folder, its report, and all numbers."""

    path: Path
    report: Path
    document: dict[str, Any]


@alone
def compare_vectors(
    data: Any,
    out: str | Path,
    *,
    rungs: Sequence[str] = RUNGS,
    config: VectorsConfig | None = None,
    seeds: Sequence[int] = (),
    command: str = "",
    say: Callable[[str], None] | None = None,
    quiet: bool = False,
    **settings: Any,
) -> VectorComparison:
    """Train models of vectors at the same bytes a vector, judge them in the same way, and write one report.

    All are trained on the same vectors; the held-out ones are encoded and decoded, and looked for in the others. Every
    model that is done is kept in ``out``: the same call goes on where an interrupted one stopped. One that fails is
    reported and the others stand.

    Args:
        data: a source, or whatever ``load_source`` takes; vectors.
        out: folder for the report, its numbers and all runs; new, or of the same comparison.
        rungs: which of ``pq``, ``opq``, ``rq``, ``vqvae``.
        config: all settings at once, or give single ``settings`` of ``VectorsConfig`` by name.
        seeds: train with each of these, on the same split: measures are means, with deviations. Further ones can be
            added to a comparison that is done.
        command: what the report says it was made with.
        say: told what is going on; None is silent.
        quiet: show no progress of the trainings.

    Raises:
        ConfigError: settings or a folder that do not work, signals that are no vectors, or every model failed.
        DataError: data that cannot be read.

    Example:
        >>> from vqkit.studies.vectors.study import compare_vectors
        >>> compare_vectors("vectors.npy", "runs/compare", num_codebooks=[4, 8]).report  # doctest: +SKIP
    """
    if config is not None and settings:
        raise ConfigError(f"give config or single settings ({', '.join(settings)}), not both")
    config = config or VectorsConfig.from_dict(settings)
    seeds = check_seeds(seeds, config.seed)
    config = replace(config, seed=seeds[0])
    unknown = sorted(set(rungs) - set(RUNGS))
    if unknown or not rungs:
        raise ConfigError(f"rungs={', '.join(unknown) or 'none'}: of vectors choose from {', '.join(RUNGS)}")
    say = say or (lambda _: None)
    source, path = load_source(data), Path(out)
    if source.axes:
        raise ConfigError(f"{source.describe()}: give vectors [N, D], or compare these with vqkit.compare")
    for line in (*(f"note: {each}" for each in source.notes), *(f"skipped {each}" for each in source.skip_report())):
        say(line)
    if source.spec and not source.spec.startswith(BUILTIN_PREFIX):
        source.name = source.spec  # what run.json names, so that the runs can be looked at later
    training = TrainConfig(
        steps=config.steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        validation=config.validation,
        seed=config.seed,
        evaluations=4,
    )
    database, queries = validation_split(source, training)
    claim(path, config.as_dict(), source, contents(source, training), "a comparison of vectors", say)
    say(source.describe())
    bench = _Bench(config, source, database, queries, training, path, say, quiet)
    chosen = [(name, count) for count in config.num_codebooks for name in RUNGS if name in rungs]
    benches = [bench, *(bench.of_seed(seed) for seed in seeds[1:])]
    found = [merged([each.entry(name, count) for each in benches], seeds) for name, count in chosen]
    if all(each["status"] == "failed" for each in found):
        raise ConfigError(f"every model failed; the first: {found[0]['error']}")
    document = {
        "vqkit": __version__,
        "command": command,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "data": {
            "name": Path(source.name).name,
            "description": source.describe(),
            "train_items": len(database),
            "validation_items": len(queries),
        },
        "settings": config.as_dict(),
        "seeds": list(seeds),
        "machine": f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}",
        "made_by": made_by(),
        "rungs": found,
        "story": claims(found),
    }
    atomic.write_json(path / "compare.json", document)
    report = path / "report.html"
    write_report(document, report)
    return VectorComparison(path, report, document)


def claims(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each model at several sizes: whether more bytes leave less error."""
    found = []
    for name in dict.fromkeys(each["name"] for each in entries):
        done = [each for each in entries if each["name"] == name and each["status"] == "done"]
        if len(done) > 1:
            falls = all_hold([compared(more, less, "nmse") for less, more in itertools.pairwise(done)])
            numbers = ", ".join(f"{each['nmse']:.3f} at {each['bytes_per_vector']:g} bytes" for each in done)
            claim = f"{TITLES[name]}: the more bytes, the less error."
            found.append({"claim": claim, "holds": falls, "numbers": f"NMSE {numbers}"})
    return found


@dataclass
class _Bench:
    """Parts that every model of the comparison shares."""

    config: VectorsConfig
    source: Source
    database: Source
    queries: Source
    training: TrainConfig
    path: Path
    say: Callable[[str], None]
    quiet: bool

    def of_seed(self, seed: int) -> _Bench:
        """The same with another seed, on the same split, in a folder of its own."""
        training = replace(self.training, seed=seed, split_seed=self.training.seed)
        config, path = replace(self.config, seed=seed), self.path / "seeds" / str(seed)
        return replace(self, config=config, training=training, path=path)

    def entry(self, name: str, count: int) -> dict[str, Any]:
        """One entry of the report: from its file when it is done, else trained and judged now."""
        key = f"{name}-m{count}"
        size = count * math.log2(self.config.codebook_size) / 8
        entry = {"key": key, "name": name, "title": f"{TITLES[name]}, {size:g} bytes", "num_codebooks": count}
        found = known(self.path / f"{key}.json")
        if found is not None:
            self.say(f"{entry['title']}: done before")
            return found
        self.say(f"{entry['title']}: training")
        try:
            entry |= {"status": "done", "error": None, **self._judged(name, count, self.path / key)}
        except Exception as error:  # noqa: BLE001  (whatever it is: the others stand)
            self.say(f"{entry['title']}: failed: {error}")
            return {**entry, "status": "failed", "error": keep_error(self.path / key, error)}
        atomic.write_json(self.path / f"{key}.json", entry)
        return entry

    def _judged(self, name: str, count: int, folder: Path) -> dict[str, Any]:
        begun = time.perf_counter()
        make = lambda: self._make(name, count)  # noqa: E731
        model: IndexModel = trained(folder / "run", make, self.source, self.training, quiet=self.quiet)
        seconds = max(seconds_trained(folder / "run"), 0.0 if name == "vqvae" else time.perf_counter() - begun)
        evaluation = evaluate(model, evaluation_batches(self.queries, _BATCH))
        assert evaluation.vectors is not None
        encoding = time.perf_counter()
        indices = torch.cat([model.encode(batch) for _, batch in evaluation_batches(self.database, _BATCH)])
        encoding = time.perf_counter() - encoding
        last = path_levels(np.asarray(indices.reshape(len(self.database), -1)), model.codebook_size)[-1]
        found = judged_neighbors(model, self.queries, self.database)
        assert found is not None
        return {
            "bytes_per_vector": evaluation.vectors.bytes_per_vector,
            "mse": evaluation.mse,
            "nmse": evaluation.nmse if math.isfinite(evaluation.nmse) else None,
            "cosine": evaluation.vectors.cosine,
            "queries": found.queries,
            **{f"recall_{at}": value for at, value in found.asymmetric.items()},
            **{f"recall_decoded_{at}": value for at, value in found.decoded.items()},
            "collision_rate": last.collision_rate,
            "birthday_rate": last.birthday_rate,
            "usage": evaluation.usage,
            "train_seconds": seconds,
            "vectors_per_second": len(self.database) / max(encoding, 1e-9),
        }

    def _make(self, name: str, count: int) -> Any:
        config, size = self.config, self.config.codebook_size
        if name != "vqvae":
            solved: Any = MODELS[name]
            return solved.for_source(self.source, size, num_codebooks=count, seed=config.seed)
        return VQVAE.for_source(
            self.source,
            size,
            num_codebooks=count,
            stacking="residual",
            code_dim=config.code_dim,
            hidden_channels=config.hidden_channels,
            linear_path=config.linear_path,
        )

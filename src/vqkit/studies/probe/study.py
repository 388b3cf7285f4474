"""``probe``: which labels can be told from a model's indices, beside continuous latents, the signals, and chance."""

from __future__ import annotations

import datetime
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vqkit._version import __version__
from vqkit.checking import counted, shown
from vqkit.data.identity import content_fingerprint
from vqkit.errors import ConfigError, DataError
from vqkit.evaluation.probing import CodeLabels, default_parts, describe_features
from vqkit.models import IndexModel, Model
from vqkit.pretrained.folder import content_hash
from vqkit.provenance import made_by
from vqkit.storage import atomic
from vqkit.studies.alone import alone
from vqkit.studies.probe import measures, representations, story
from vqkit.studies.probe.label_sets import Items, Labels, LabelSet, open_items
from vqkit.studies.probe.measures import Features, Probed
from vqkit.studies.probe.picture import code_label_picture
from vqkit.studies.probe.report import write_report
from vqkit.studies.probe.representations import INDICES, Encoded
from vqkit.studies.probe.settings import ProbeConfig
from vqkit.studies.report.pictures import save
from vqkit.studies.resumable import claim
from vqkit.training.trainable import load_trained

_SHOWN_CODEBOOKS = 4
Models = Model | str | Path | Sequence[Model | str | Path] | Mapping[str, Model | str | Path]


@dataclass(frozen=True)
class ProbeStudy:
    """Result of a probe study: all numbers, and where its folder and its report are (None without ``out``)."""

    document: dict[str, Any]
    path: Path | None = None
    report: Path | None = None

    def accuracy(self, labels: str, representation: str, *, model: str | None = None, probe: str = "linear") -> float:
        """The accuracy of a probe on the held-out items, of several parts that at most parts.

        Args:
            labels: name of a set of labels.
            representation: ``"indices"``, ``"quantized"``, ``"latents"`` or ``"signal"``.
            model: its name; None: the first that has such a representation.
            probe: ``"linear"`` or ``"mapping"``.

        Raises:
            ConfigError: there is no such probe.
        """
        rows = [
            row
            for each in self.document["label_sets"]
            for row in each["probes"]
            if each["name"] == labels and row["representation"] == representation and row["probe"] == probe
        ]
        of_model = [row for row in rows if row["model"] == (rows[0]["model"] if model is None else model)]
        if not of_model:
            raise ConfigError(f"no {probe} probe of {representation!r} for {labels!r} and model={model!r}")
        return float(max(of_model, key=lambda row: int(row["parts"]))["accuracy"])


def probe(
    models: Models,
    data: Any,
    out: str | Path | None = None,
    *,
    labels: Labels = None,
    config: ProbeConfig | None = None,
    command: str = "",
    say: Callable[[str], None] | None = None,
    loaded: Mapping[str, Model] | None = None,
    **settings: Any,
) -> ProbeStudy:
    """Predict labels from indices, codewords, latents and signals; compare with chance, and labels with each other.

    The experiment of van den Oord et al. 2017 (arXiv 1711.00937, section 4.3), for any signals with labels. Two probes:
    a linear one (multinomial logistic regression of averages over parts of the grid; of indices, averages of one-hot
    vectors), and the paper's mapping of each code to its most probable label. Accuracies are of held-out items.

    Args:
        models: one or more: models, run or model folders; or these by the name that the report calls them.
        data: a source, or whatever ``load_source`` takes.
        out: folder for the report, its numbers and pictures; None: none is written.
        labels: one or more columns of a Parquet file, or ``"labels.json:KEY"``, content before speaker; or arrays
            ``[N]`` by name; None: the labels that the data has.
        config: all settings at once, or give single ``settings`` of ``ProbeConfig`` by name.
        command: what the report says it was made with.
        say: told what is going on; None is silent.
        loaded: models of folders that are loaded already (on another device, say), by the folders' names.

    Raises:
        ConfigError: settings, labels or a folder that do not work.
        DataError: data that cannot be read; no labels; too few items or classes.

    Example:
        >>> import vqkit
        >>> digits = vqkit.load_source("builtin:digits").subset(range(300))
        >>> model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8, seed=0)
        >>> study = vqkit.probe(model, digits, permutations=1, parts=1)
        >>> study.accuracy("label", "signal") > 0.8  # pixels
        True
        >>> [row["accuracy"] for row in study.document["label_sets"][0]["probes"]] != []
        True
    """
    if config is not None and settings:
        raise ConfigError(f"give config or single settings ({', '.join(settings)}), not both")
    config = config or ProbeConfig.from_dict(settings)
    say = say or (lambda _: None)
    named = _named(models, loaded or {})
    bench = _Bench(named, data, labels, config, say)
    bench.command = command or _as_command(models, data, labels, out)
    if out is None:
        return ProbeStudy(bench.document(None))
    return _written(bench, out)


@alone
def _written(bench: _Bench, out: str | Path) -> ProbeStudy:
    path = Path(out)
    identity = {f"model {name}": content_hash(model) for name, model in bench.models.items()}
    identity["data"] = content_fingerprint(bench.items.source)
    settings = {**bench.config.as_dict(), "labels": [each.name for each in bench.items.label_sets]}
    claim(path, settings, bench.items.source, identity, "a probe of labels", bench.say)
    document = bench.document(path / "pictures")
    atomic.write_json(path / "probe.json", document)
    report = path / "report.html"
    write_report(document, path / "pictures", report)
    return ProbeStudy(document, path, report)


class _Bench:
    """The models, the items that each reads, and what it makes of them."""

    def __init__(
        self, models: dict[str, Model], data: Any, labels: Labels, config: ProbeConfig, say: Callable[[str], None]
    ) -> None:
        self.models, self.config, self.say, self.command = models, config, say, ""
        self.read: dict[str, Items] = {}
        first = next(iter(models))
        by_form: dict[Any, Items] = {}
        for name, model in models.items():
            form = (model.kind.name, model.channels, getattr(model, "only_size", None))
            if form not in by_form:
                by_form[form] = open_items(model, data, labels, config)
            self.read[name] = by_form[form]
            _check_same(self.items.label_sets, self.read[name].label_sets, first, name)
        self.name = Path(str(data)).name if isinstance(data, str | Path) else Path(self.items.source.name).name
        axes = self.items.source.axes
        self.parts = default_parts(axes) if config.parts is None or axes == 0 else config.parts

    @property
    def items(self) -> Items:
        """As the first model reads them."""
        return next(iter(self.read.values()))

    def document(self, pictures: Path | None) -> dict[str, Any]:
        """All numbers; pictures are written where there is a folder."""
        encoded = {name: self._encoded(name) for name in self.models}
        features = self._features(encoded)
        sets = self.items.label_sets
        found: dict[str, list[Probed]] = {}
        chances: dict[str, float] = {}
        entries = []
        for labels in sets:
            self.say(f"probing for {labels.name}")
            chance = measures.majority(labels)
            found[labels.name], tables = self._probes(labels, encoded, features, pictures)
            chances[labels.name] = chance["accuracy"]
            training, test = (each[each >= 0] for each in (labels.training, labels.test))
            entries.append(
                {
                    "name": labels.name,
                    "classes": len(np.unique(training)),
                    "class_names": labels.class_names,
                    "training_items": len(training),
                    "test_items": len(test),
                    "items_without_label": int((labels.training < 0).sum() + (labels.test < 0).sum()),
                    "test_items_of_unknown_class": int((~np.isin(test, training)).sum()),
                    "majority": chance,
                    "probes": [each.row for each in found[labels.name]],
                    "code_tables": tables,
                }
            )
        shares = story.kept(found, chances, sets, self.config)
        source, read = self.items.source, self.items
        return {
            "vqkit": __version__,
            "command": self.command,
            "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
            "data": {
                "name": self.name,
                "description": source.describe(),
                "items": len(source),
                "training_items": len(read.training),
                "test_items": len(read.test),
                "notes": list(source.notes),
            },
            "settings": self.config.as_dict(),
            "parts": self.parts,
            "axes": source.axes,
            "signal_features": describe_features(source.kind),
            "machine": f"torch {torch.__version__}, {next(iter(self.models.values())).device.type}",
            "made_by": made_by(),
            "models": [_about(name, model) for name, model in self.models.items()],
            "label_sets": entries,
            "kept": shares,
            "claims": story.claims(found, chances, sets, shares),
        }

    def _encoded(self, name: str) -> tuple[Encoded, Encoded]:
        self.say(f"encoding {counted(len(self.read[name].training) + len(self.read[name].test), 'item')} with {name}")
        training, test = (
            representations.encode_items(self.models[name], source, self.parts, self.config.batch_size)
            for source in (self.read[name].training, self.read[name].test)
        )
        return training, test

    def _features(self, encoded: Mapping[str, tuple[Encoded, Encoded]]) -> list[Features]:
        """What linear probes read."""
        rows: list[tuple[str, str, int, torch.Tensor, torch.Tensor]] = []
        model, config = next(iter(self.models.values())), self.config
        signals = [
            representations.signal_rows(model, source, self.parts, config.batch_size)
            for source in (self.items.training, self.items.test)
        ]
        rows += [("", of, parts, each, signals[1][of, parts]) for (of, parts), each in signals[0].items()]
        for name, (training, test) in encoded.items():
            if training.indices:
                shares = representations.index_rows(training, test, self.parts)
                rows += [(name, INDICES, parts, fitted, judged) for parts, fitted, judged in shares]
            rows += [
                (name, of, parts, each, test.features[of, parts]) for (of, parts), each in training.features.items()
            ]
        found = []
        for name, of, parts, fitted, judged in rows:
            broken = int((~torch.cat([fitted, judged]).isfinite()).any(dim=1).sum())
            if broken:
                raise DataError(
                    f"{name}: {of} of {counted(broken, 'item')} are NaN or infinite; look at the model's run"
                )
            found.append(Features(name, of, parts, fitted, judged))
        return found

    def _probes(
        self,
        labels: LabelSet,
        encoded: Mapping[str, tuple[Encoded, Encoded]],
        features: Sequence[Features],
        pictures: Path | None,
    ) -> tuple[list[Probed], list[dict[str, Any]]]:
        found = [measures.linear(each, labels, self.config) for each in features if not each.model]
        tables: list[dict[str, Any]] = []
        for name, model in self.models.items():
            if isinstance(model, IndexModel):
                size = model.codebook_size
                probed, documents, books = measures.mapped(name, encoded[name], size, labels, self.config)
                found.append(probed)
                for document, book in zip(documents, books, strict=True):
                    picture = None if pictures is None else self._picture(name, labels, document, book, pictures)
                    tables.append({"model": name, **document, "picture": picture})
            for each in (one for one in features if one.model == name):
                permuted = each.of == INDICES or not model.discrete
                found.append(measures.linear(each, labels, self.config, permuted=permuted))
        return found, tables

    def _picture(
        self, name: str, labels: LabelSet, document: Mapping[str, Any], table: CodeLabels, folder: Path
    ) -> str | None:
        if document["codebook"] >= _SHOWN_CODEBOOKS:
            return None
        number = list(self.models).index(name), self.items.label_sets.index(labels), document["codebook"]
        file = "codes-{}-{}-{}.png".format(*number)
        of = name if document["codebooks"] == 1 else f"codebook {document['codebook'] + 1} of {name}"
        title = f"{labels.name} given a code of {of}: {document['codes_that_occur']:,} codes that occur"
        save(code_label_picture(table, labels.class_names, title=title), folder / file)
        return file


def _named(models: Models, loaded: Mapping[str, Model]) -> dict[str, Model]:
    """Models by the name that the report calls them."""
    if isinstance(models, Mapping):
        pairs = [(str(name), each) for name, each in models.items()]
    else:
        several = [models] if isinstance(models, Model | str | Path) else list(models)
        pairs = [(_name(each), each) for each in several]
    if not pairs:
        raise ConfigError("there is no model to probe; give one or more")
    found: dict[str, Model] = {}
    for name, each in pairs:
        number = sum(key == name or key.startswith(f"{name} (") for key in found)
        found[f"{name} ({number + 1})" if number else name] = _model(each, loaded)
    return found


def _name(model: Any) -> str:
    if isinstance(model, Model):
        return model.model_type
    if not isinstance(model, str | Path):
        raise ConfigError(f"{shown(model)} is no model; give a model, or the name of a run or model folder")
    path = Path(model)
    path = path.parent if path.name in ("model", "best") and path.parent.name else path
    return path.name or str(model)


def _model(given: Model | str | Path, loaded: Mapping[str, Model]) -> Model:
    if isinstance(given, Model):
        return given
    model = loaded.get(str(given)) or load_trained(given)
    if not isinstance(model, Model):
        raise ConfigError(
            f"{given} holds a {type(model).__name__}, not a model of signals; probe the model that it is of"
        )
    return model


def _check_same(first: Sequence[LabelSet], others: Sequence[LabelSet], name: str, other: str) -> None:
    """Raise ``DataError`` where two models read other items of the data, so that no comparison is fair."""
    for mine, theirs in zip(first, others, strict=True):
        if not (np.array_equal(mine.training, theirs.training) and np.array_equal(mine.test, theirs.test)):
            raise DataError(
                f"{name} and {other} read the data as other items ({len(mine.training):,} and {len(theirs.training):,} "
                "to learn from), so they cannot be compared; probe one at a time"
            )


def _about(name: str, model: Model) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "type": model.model_type, "digest": content_hash(model)}
    found |= {"downsampling": getattr(model, "downsampling", None)}
    if isinstance(model, IndexModel):
        found |= {"codebook_size": model.codebook_size, "num_codebooks": model.num_codebooks}
        found["bits_per_position"] = model.num_codebooks * math.log2(model.codebook_size)
    return found


def _as_command(models: Models, data: Any, labels: Labels, out: str | Path | None) -> str:
    """The command that makes the same study with the default settings."""
    several = list(models.values()) if isinstance(models, Mapping) else models
    several = [several] if isinstance(several, Model | str | Path) else list(several)
    runs = [str(each) if isinstance(each, str | Path) else "RUN" for each in several]
    sets = [labels] if isinstance(labels, str) else list(labels or [])
    words = [*runs, str(data) if isinstance(data, str | Path) else "DATA"]
    words += [word for each in sets for word in ("--labels", str(each))]
    return shlex.join(["vqkit", "probe", *words, *(["--out", str(out)] if out is not None else [])])

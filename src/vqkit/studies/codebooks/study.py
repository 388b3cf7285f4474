"""``study codebooks``: usage, perplexity and error over the size of the codebook and over quantizers."""

from __future__ import annotations

import datetime
import itertools
import json
import math
import shlex
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vqkit._version import __version__
from vqkit.data import Batches, CenterCrops, Source, default_crop, evaluation_batches, load_source
from vqkit.data.batches import fitting_batch
from vqkit.data.builtin import BUILTIN_PREFIX
from vqkit.errors import ConfigError
from vqkit.models import VQVAE
from vqkit.models.levels.options import LEVELS
from vqkit.ops import codebook_histograms, entropy_bits, perplexity, usage
from vqkit.pictures import before_after_sheet, to_uint8
from vqkit.provenance import made_by
from vqkit.seeds import later_seed
from vqkit.storage import atomic
from vqkit.studies.alone import alone
from vqkit.studies.codebooks.collapse import collapse_in_words
from vqkit.studies.codebooks.quantizers import QuantizerSpec, check_contenders
from vqkit.studies.codebooks.report import write_report
from vqkit.studies.codebooks.settings import CodebooksConfig
from vqkit.studies.images import shown_signals
from vqkit.studies.report.pictures import save
from vqkit.studies.resumable import claim, keep_error, known, seconds_trained, trained
from vqkit.studies.spread import all_hold, check_seeds, over_seeds, standard_error, verdict
from vqkit.studies.standard import differences
from vqkit.training import TrainConfig
from vqkit.training.diagnostics.advice import quantizers_are_given
from vqkit.training.inputs.holdout import validation_split
from vqkit.training.record.log import read_log, with_numbers
from vqkit.training.record.provenance import contents

_SHOWN = 8
_ENOUGH_USED = 0.99


@dataclass(frozen=True)
class CodebookStudy:
    """Result of a study of codebooks: the folder, its report, and all numbers."""

    path: Path
    report: Path
    document: dict[str, Any]


@alone
def codebooks(
    data: Any,
    out: str | Path,
    *,
    config: CodebooksConfig | None = None,
    seeds: Sequence[int] = (),
    command: str = "",
    say: Callable[[str], None] | None = None,
    quiet: bool = False,
    **settings: Any,
) -> CodebookStudy:
    """Train the same networks for the same steps with every quantizer at every codebook size; write one report.

    Every training that is done is kept in ``out``, and each can be resumed: the same call goes on where an interrupted
    one stopped. One that fails is reported and the others stand.

    Args:
        data: a source, or whatever ``load_source`` takes.
        out: folder for the report, its numbers and all runs; new, or of the same study.
        config: all settings at once, or give single ``settings`` of ``CodebooksConfig`` by name.
        seeds: train with each of these, on the same split: measures are means, with deviations; curves and pictures are
            those of the first. Further ones can be added to a study that is done.
        command: what the report says it was made with.
        say: told what is going on; None is silent.
        quiet: show no progress of the trainings.

    Raises:
        ConfigError: settings or a folder that do not work, or every training failed.
        DataError: data that cannot be read.

    Example:
        >>> import vqkit
        >>> vqkit.codebooks("photos/", "runs/codebooks", sizes=[64, 512], steps=400)  # doctest: +SKIP
    """
    if config is not None and settings:
        raise ConfigError(f"give config or single settings ({', '.join(settings)}), not both")
    config = config or CodebooksConfig.from_dict(settings)
    seeds = check_seeds(seeds, config.seed)
    config = replace(config, seed=seeds[0])
    say = say or (lambda _: None)
    contenders = check_contenders(config.quantizers, config.sizes, config.code_dim)
    source = load_source(data)
    config = config.of_kind(source.kind)
    for line in (*(f"note: {each}" for each in source.notes), *(f"skipped {each}" for each in source.skip_report())):
        say(line)
    if source.spec and not source.spec.startswith(BUILTIN_PREFIX):
        source.name = source.spec  # what run.json names, so that the runs can be looked at later
    training = _settings(config)
    _, held_out = validation_split(source, training)
    path = Path(out)
    claim(path, config.as_dict(), source, contents(source, training), "a study of codebooks", say)
    say(f"{source.describe()}: {len(contenders) * len(config.sizes)} trainings of {config.steps:,} steps")
    bench = _Bench(config, source, held_out, training, path, say, quiet)
    benches = [bench, *(bench.of_seed(seed) for seed in seeds[1:])]
    found = [_over_seeds(benches, contender, size) for contender in contenders for size in config.sizes]
    if all(each["status"] == "failed" for each in found):
        raise ConfigError(f"every training failed; the first: {found[0]['error']}")
    picture = bench.picture(contenders)
    document = {
        "vqkit": __version__,
        "command": command or _as_command(data, out, config, seeds),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "data": {
            "name": Path(source.name).name,
            "description": source.describe(),
            "items": len(source),
            "validation_items": len(held_out),
        },
        "settings": config.as_dict(),
        "seeds": list(seeds),
        "machine": f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}",
        "made_by": made_by(),
        "entries": found,
        "claims": claims(found),
        "collapse": collapse_in_words(found),
        "pictures": {"reconstructions": picture} if picture else {},
    }
    atomic.write_json(path / "codebooks.json", document)
    report = path / "report.html"
    write_report(document, path / "pictures", report)
    return CodebookStudy(path, report, document)


def _over_seeds(benches: Sequence[_Bench], contender: QuantizerSpec, size: int) -> dict[str, Any]:
    """One entry: of the first seed, or the means over all seeds that are done."""
    found = [bench.entry(contender, size) for bench in benches]
    if found[0]["status"] != "done" or len(found) == 1:
        return found[0]
    entry = over_seeds([each for each in found if each["status"] == "done"])
    failed = [bench.config.seed for bench, each in zip(benches, found, strict=True) if each["status"] != "done"]
    entry["seeds"] = [bench.config.seed for bench in benches if bench.config.seed not in failed]
    entry["warnings"] = [*entry["warnings"], *(f"seed {seed} failed and is not counted" for seed in failed)]
    return entry


def claims(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each contender: whether its codes are used at every size, and whether more of them leave less error."""
    found = []
    for name in dict.fromkeys(each["name"] for each in entries):
        done = [each for each in entries if each["name"] == name and each["status"] == "done"]
        if not done:
            continue
        used = ", ".join(f"{each['usage_all']:.1%} of {each['codebook_size']:,}" for each in done)
        holds = all(each["usage_all"] >= _ENOUGH_USED for each in done)
        found.append({"claim": f"{name}: at least 99 % of the codes are used.", "holds": holds, "numbers": used})
        if len(done) > 1:
            steps = [
                verdict(less["mse"] - more["mse"], math.hypot(*(standard_error(each, "mse") for each in (less, more))))
                for less, more in itertools.pairwise(done)
            ]
            falls = all_hold(steps)
            levels = ", ".join(f"{each['snr_db']:.2f}" for each in done)
            found.append(
                {"claim": f"{name}: the more codes, the less error.", "holds": falls, "numbers": f"SNR {levels} dB"}
            )
    return found


def _settings(config: CodebooksConfig) -> TrainConfig:
    return TrainConfig(
        steps=config.steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        flip=config.flip,
        validation=config.validation,
        crop=config.crop,
        seed=config.seed,
        evaluations=0,
        log_every=max(1, min(50, config.steps // 20)),
    )


@dataclass
class _Bench:
    """Parts that every training of the study shares."""

    config: CodebooksConfig
    source: Source
    held_out: Source
    training: TrainConfig
    path: Path
    say: Callable[[str], None]
    quiet: bool

    def of_seed(self, seed: int) -> _Bench:
        """The same with another seed, on the same split, in a folder of its own."""
        training = replace(self.training, seed=seed, split_seed=self.training.seed)
        return replace(
            self, config=replace(self.config, seed=seed), training=training, path=self.path / "seeds" / str(seed)
        )

    def entry(self, contender: QuantizerSpec, size: int) -> dict[str, Any]:
        """One entry of the report: from its file when it is done, else trained and judged now."""
        slug = contender.slug(size)
        file = self.path / f"{slug}.json"
        found = known(file)
        if found is not None:
            self.say(f"{contender.name}, {size:,} codes: done before")
            return found
        self.say(f"{contender.name}, {size:,} codes: training")
        entry: dict[str, Any] = {"name": contender.name, "codebook_size": size, "status": "done", "error": None}
        try:
            entry |= self._judged(contender, size, self.path / slug)
        except Exception as error:  # noqa: BLE001  (whatever it is: the others stand)
            self.say(f"{contender.name}, {size:,} codes: failed: {error}")
            return {**entry, "status": "failed", "error": keep_error(self.path / slug, error)}
        atomic.write_json(file, entry)
        self.say(
            f"{contender.name}, {size:,} codes: SNR {entry['snr_db']:.2f} dB, {entry['usage_all']:.1%} used, "
            f"perplexity {entry['perplexity_all']:,.0f}"
        )
        return entry

    def _judged(self, contender: QuantizerSpec, size: int, folder: Path) -> dict[str, Any]:
        config = self.config
        with quantizers_are_given():
            model: VQVAE = trained(
                folder / "run",
                lambda: VQVAE.for_source(
                    self.source,
                    code_dim=config.code_dim,
                    downsampling=config.downsampling,
                    hidden_channels=config.hidden_channels,
                    residual_channels=config.residual_channels,
                    **_linear_path(config, contender),
                    **contender.settings(size),
                ),
                self.source,
                self.training,
                quiet=self.quiet,
            )
        self._keep_shown(model, folder)
        log = read_log(folder / "run")
        final = next((line for line in reversed(log) if line["kind"] == "final"), {"step": 0})
        with_numbers(folder / "run", final, ["mse", "nmse", "positions"])
        lines = [line for line in log if line["kind"] == "train"]
        histogram, items = self._counted(model)
        cell = getattr(model.quantizer, "cell", 1) ** model.axes  # of levels: positions of the finest at one index
        each, count = model.num_codebooks / cell, model.num_codebooks
        speeds = [line["signals_per_second"] for line in lines if line.get("signals_per_second") is not None]
        return {
            "differs": differences(model, self.source, self.training, contender.options),
            "codes_each": model.codebook_size,
            "bits_per_position": each * math.log2(model.codebook_size),
            "parameters": sum(each.numel() for each in model.parameters()),
            "mse": final["mse"],
            "psnr_db": final["psnr_db"],
            "snr_db": -10 * math.log10(max(final["nmse"], 1e-30)),
            "ssim": final["ssim"],
            "usage": final["usage"],
            "perplexity": final["perplexity"],
            "positions": final["positions"] // count * cell,
            "usage_all": usage(histogram),
            "perplexity_all": perplexity(histogram),
            "entropy_bits_per_position": math.log2(final["perplexity"]) * each,
            "entropy_bits_per_position_all": entropy_bits(histogram) * each,
            "positions_all": int(histogram.sum()) // count * cell,
            "items_all": items,
            "restarts": lines[-1].get("restarts") if lines else None,
            "signals_per_second": statistics.median(speeds) if speeds else None,
            "train_seconds": seconds_trained(folder / "run"),
            "curve": [
                {name: line.get(name) for name in ("step", "usage", "perplexity", "code_distance", "restarts")}
                for line in lines
            ],
            "warnings": [f"step {line['step']:,}: {line['message']}" for line in log if line["kind"] == "warning"],
        }

    @torch.no_grad()
    def _counted(self, model: VQVAE) -> tuple[Tensor, int]:
        """The index histogram of the data, in a random order, up to so many positions; and of how many items.

        Of images that training sees in crops: of other random crops of that size, as many as would cover the data.
        Whole photographs have hardly any positions at an edge, and a codebook that learned crops has codes for those.
        """
        histogram = torch.zeros(model.num_codebooks, model.codebook_size, dtype=torch.int64)
        items = 0
        for batch in self._everything():
            indices = model.encode(batch.to(model.device))
            histogram += codebook_histograms(indices, model.codebook_size, model.num_codebooks).cpu()
            items += len(batch)
            if int(histogram.sum()) >= self.config.positions * model.num_codebooks:
                break
        return histogram, items

    def _everything(self) -> Iterator[Tensor]:
        """Batches of all items in a random order, or of crops as training sees them."""
        source, seed = self.source, self.config.seed
        side = self.config.crop or default_crop(source)
        if side is None:
            order = np.random.default_rng(seed).permutation(len(source))
            shuffled = source.subset([int(item) for item in order])
            yield from (batch for _, batch in evaluation_batches(shuffled, fitting_batch(shuffled, 256)))
            return
        pixels = sum(math.prod(source.item_size(item)) for item in range(len(source)))
        with Batches(source, 64, crop=side, seed=later_seed(seed)) as batches:
            for step in range(max(1, -(-pixels // (64 * math.prod(source.kind.crop_size(side, source.item_sizes())))))):
                yield batches.batch(step)

    @torch.no_grad()
    def _keep_shown(self, model: VQVAE, folder: Path) -> None:
        """Keep the few images of the joint picture, so that a later start need not make them again."""
        originals = self._originals()
        if originals is not None:
            shown = to_uint8(model.reconstruct(originals.to(model.device)))
            tensors = {"reconstructions": torch.from_numpy(shown).contiguous()}
            atomic.write_file(folder / "shown.safetensors", lambda temporary: save_file(tensors, temporary))

    def _originals(self) -> Tensor | None:
        if not self.source.kind.converts:
            return None
        side = self.config.crop or default_crop(self.held_out)
        if self.held_out.size is None or side is not None:
            return shown_signals(CenterCrops(self.held_out, side or 64), _SHOWN)
        return shown_signals(self.held_out, _SHOWN)

    def picture(self, contenders: Sequence[QuantizerSpec]) -> str | None:
        """The same held-out images from every contender, at the smallest and at the largest size that is done."""
        originals = self._originals()
        if originals is None:
            return None
        rows = [("original", list(originals))]
        for contender in contenders:
            kept = {size: self.path / contender.slug(size) / "shown.safetensors" for size in self.config.sizes}
            there = [size for size, file in kept.items() if file.is_file()]
            rows += [
                (f"{contender.name}, {size:,}", list(load_file(kept[size])["reconstructions"]))
                for size in dict.fromkeys([*there[:1], *there[-1:]])
            ]
        save(before_after_sheet(rows, columns=_SHOWN), self.path / "pictures" / "reconstructions.png")
        return "reconstructions.png"


def _linear_path(config: CodebooksConfig, contender: QuantizerSpec) -> dict[str, Any]:
    """Nothing of levels, whose networks have none."""
    return {} if contender.quantizer in LEVELS else {"linear_path": config.linear_path}


def _as_command(data: Any, out: str | Path, config: CodebooksConfig, seeds: Sequence[int]) -> str:
    """The command that makes the same study."""
    name = str(data) if isinstance(data, (str, Path)) else "DATA"
    parts = ["vqkit study codebooks", shlex.quote(name), "--out", shlex.quote(str(out))]
    standard = CodebooksConfig().as_dict()
    for field, value in config.as_dict().items():
        if value != standard[field] and not (field == "seed" and len(seeds) > 1):
            parts += ["--set", shlex.quote(f"{field}={json.dumps(value)}")]
    return " ".join([*parts, *([f"--seeds {','.join(map(str, seeds))}"] if len(seeds) > 1 else [])])

"""``compare``: PCA, autoencoder, VAE and VQ-VAE on the same data at the same latent budget, in one report."""

from __future__ import annotations

import datetime
import json
import math
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vqkit._version import __version__
from vqkit.data import Source, evaluation_batches, load_source
from vqkit.data.builtin import BUILTIN_PREFIX
from vqkit.errors import ConfigError
from vqkit.evaluation import BitsPerDim, Evaluation, evaluate, psnr_db
from vqkit.evaluation.latent_bits import LatentQuantizer, rounded
from vqkit.models import PCA, VAE, IndexModel, Model, active_units
from vqkit.provenance import made_by
from vqkit.storage import atomic
from vqkit.studies.alone import alone
from vqkit.studies.images import Images, fixed_images, gathered, shown_signals
from vqkit.studies.ladder.eye import disagreements
from vqkit.studies.ladder.measures import Features, decoded, encoded, probe_accuracy, sampled, timings
from vqkit.studies.ladder.pictures import SHOWN, joint_pictures, keep_shown, play_sounds
from vqkit.studies.ladder.report import write_report
from vqkit.studies.ladder.rungs import TRAINERS, RungContext, Trained
from vqkit.studies.ladder.settings import RUNGS, TITLES, CompareConfig
from vqkit.studies.ladder.story import story
from vqkit.studies.play.making import keep_play
from vqkit.studies.report.pictures import draw_pictures
from vqkit.studies.resumable import claim, keep_error, known
from vqkit.studies.spread import check_seeds, over_seeds
from vqkit.training import TrainConfig
from vqkit.training.record.provenance import contents

_SEEDS = "seeds"
_COUNTED = 2048
_BOUND_ITEMS = 256


@dataclass(frozen=True)
class Comparison:
    """Result of a comparison: the folder, its report, its picture of the rungs, and all numbers."""

    path: Path
    report: Path
    picture: Path
    document: dict[str, Any]

    @property
    def reconstructions(self) -> Path:
        """The picture of the reconstructions alone."""
        return self.picture.with_name("reconstructions.png")


@alone
def compare(
    data: Any,
    out: str | Path,
    *,
    rungs: Sequence[str] = RUNGS,
    config: CompareConfig | None = None,
    seeds: Sequence[int] = (),
    command: str = "",
    say: Callable[[str], None] | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Comparison:
    """Train the rungs of the ladder on the same data, judge them in the same way, and write one report.

    The budget is what the VQ-VAE's indices take under a uniform prior: positions times log2 K bits. PCA has as many
    components as that pays for, autoencoder and VAE as many latent numbers: a continuous latent counts the bits of the
    coarsest uniform quantisation, entropy-coded, that costs less than 0.1 dB.

    Every rung that is done is kept in ``out``, and every training can be resumed: the same call goes on where an
    interrupted one stopped. A rung that fails is reported and the others stand.

    Args:
        data: a source, or whatever ``load_source`` takes; images.
        out: folder for the report, its numbers and all runs; new, or of the same comparison.
        rungs: which of ``pca``, ``ae``, ``vae``, ``quantized`` (a VAE of its own, quantized without training) and
            ``vqvae``.
        config: all settings at once, or give single ``settings`` of ``CompareConfig`` by name.
        seeds: train every rung with each of these, on the same split: measures are means, with deviations; the split
            and the pictures are those of the first. Further ones can be added to a comparison that is done.
        command: what the report says it was made with.
        say: told what is going on; None is silent.
        quiet: show no progress of the trainings.

    Raises:
        ConfigError: settings or a folder that do not work, or every rung failed.
        DataError: data that cannot be read.

    Example:
        >>> import vqkit
        >>> vqkit.compare("photos/", "runs/compare", steps=3000).report  # doctest: +SKIP
    """
    if config is not None and settings:
        raise ConfigError(f"give config or single settings ({', '.join(settings)}), not both")
    config = config or CompareConfig.from_dict(settings)
    seeds = check_seeds(seeds, config.seed)
    config = replace(config, seed=seeds[0])
    unknown = sorted(set(rungs) - set(TITLES))
    if unknown or not rungs:
        raise ConfigError(f"rungs={', '.join(unknown) or 'none'}: choose from {', '.join(TITLES)}")
    say = say or (lambda _: None)
    path = Path(out)
    source = load_source(data)
    config = config.of_kind(source.kind)
    for line in (*(f"note: {each}" for each in source.notes), *(f"skipped {each}" for each in source.skip_report())):
        say(line)
    if source.spec and not source.spec.startswith(BUILTIN_PREFIX):
        source.name = source.spec  # what run.json names, so that the runs can be looked at later
    images = fixed_images(source, config)
    split = TrainConfig(steps=1, validation=config.validation, seed=config.seed_of_split)
    claim(path, config.as_dict(), source, contents(source, split), "a comparison", say)
    say(images.whole.describe())
    for note in images.whole.notes:
        if note not in source.notes:
            say(f"note: {note}")
    features = Features.choose(config, images.training, images.held_out, path)
    say(f"Frechet distances in the features of {features.name}")
    found = [_over_seeds(key, seeds, path, config, images, features, say, quiet) for key in TITLES if key in rungs]
    if all(each["status"] == "failed" for each in found):
        raise ConfigError(f"every rung failed; the first: {found[0]['error']}")
    joint_pictures(path, images, found, config.budget_bits(images.training.size or ()))
    words = command or _as_command(data, out, config)
    document = _document(config, seeds, source, images, features, found, words, play_sounds(path, images, found))
    atomic.write_json(path / "compare.json", document)
    report = path / "report.html"
    write_report(document, path / "pictures", report)
    return Comparison(path, report, path / "pictures" / "four_rungs.png", document)


def _over_seeds(
    key: str,
    seeds: Sequence[int],
    path: Path,
    config: CompareConfig,
    images: Images,
    features: Features,
    say: Callable[[str], None],
    quiet: bool,
) -> dict[str, Any]:
    """One rung's entry: of its first seed, or the means over all of them; a seed that failed is named."""
    found = []
    for seed in seeds:
        if seed != seeds[0]:
            say(f"seed {seed}")
        own = path if seed == seeds[0] else path / _SEEDS / str(seed)
        changed = config if seed == seeds[0] else replace(config, seed=seed, split_seed=config.seed_of_split)
        found.append(_rung(key, own, changed, images, features, say, quiet))
    done = [each for each in found if each["status"] == "done"]
    if found[0]["status"] != "done" or len(seeds) == 1:
        return found[0]
    entry = over_seeds(done)
    failed = [seed for seed, each in zip(seeds, found, strict=True) if each["status"] != "done"]
    entry["seeds"] = [seed for seed in seeds if seed not in failed]
    entry["rate_curves"] = [each["rate_curve"] for each in done]
    entry["notes"] = [*entry["notes"], *(f"seed {seed} failed and is not counted" for seed in failed)]
    return entry


def _rung(
    key: str,
    path: Path,
    config: CompareConfig,
    images: Images,
    features: Features,
    say: Callable[[str], None],
    quiet: bool,
) -> dict[str, Any]:
    """One rung's entry of the report: from its file when it is done, else trained and judged now."""
    file = path / f"{key}.json"
    found = known(file)
    if found is not None:
        say(f"{TITLES[key]}: done before")
        return found
    say(f"{TITLES[key]}: training")
    shop = RungContext(config, images, path / key, say, quiet)
    try:
        trained = TRAINERS[key](shop)
        say(f"{TITLES[key]}: judging")
        entry = _judged(key, trained, shop, features, path / "pictures")
        trained.model.save_pretrained(shop.folder / "model")
        atomic.write_json(file, entry)
    except Exception as error:  # noqa: BLE001  (whatever it is: the other rungs stand)
        say(f"{TITLES[key]}: failed: {error}")
        return {"key": key, "title": TITLES[key], "status": "failed", "error": keep_error(shop.folder, error)}
    return entry


def _judged(key: str, trained: Trained, shop: RungContext, features: Features, pictures: Path) -> dict[str, Any]:
    model, held_out, config = trained.model, shop.held_out, shop.config
    start = time.perf_counter()
    evaluation = evaluate(model, evaluation_batches(held_out, 128))
    signals = gathered(held_out, _COUNTED)
    codes = encoded(model, signals)
    generator = torch.Generator().manual_seed(config.seed)
    count = min(config.samples, len(held_out))
    samples, sample_ms = sampled(lambda part: model.sample(part, size=shop.size, generator=generator), count)
    quality = features.judge(samples)
    shown, entry = _latents(model, evaluation, signals, codes, shop.budget)
    keep_shown(shop.folder, shown(shown_signals(held_out, SHOWN)), samples[:SHOWN], model.kind)
    keep_play(shop.folder, model, held_out)
    again = decoded(model, encoded(model, gathered(held_out, count)), shop.size)
    repeated = features.judge(again)
    return {
        "key": key,
        "title": TITLES[key],
        "status": "done",
        "error": None,
        "parameters": sum(each.numel() for each in model.parameters()) or sum(b.numel() for b in model.buffers()),
        "train_seconds": trained.seconds,
        "judge_seconds": time.perf_counter() - start,
        **timings(model, signals),
        "sample_ms_per_item": sample_ms,
        "latent_shape": list(codes.shape[1:]),
        "latent_numbers": codes[0].numel(),
        **entry,
        "mse": evaluation.mse,
        "psnr_db": _psnr_db(evaluation.mse, _peak(model)),
        "ssim": evaluation.ssim,
        **_bounds(model, evaluation, signals, config.bound_samples),
        "frechet_reconstructions": repeated["frechet_distance"],
        "frechet_samples": quality["frechet_distance"],
        "frechet_noise": quality["frechet_noise"],
        **{name: quality[name] for name in ("precision", "recall", "density", "coverage")},
        "detail_reconstructions": features.detail(again),
        "detail_samples": features.detail(samples),
        "linear_probe_accuracy": probe_accuracy(model, shop.training, held_out),
        "usage": evaluation.usage,
        "perplexity": evaluation.perplexity,
        "active_units": active_units(codes) if isinstance(model, VAE) else None,
        "notes": trained.notes,
        "pictures": draw_pictures(model, held_out, samples, pictures, key),
    }


def _latents(
    model: Model, evaluation: Evaluation, signals: Tensor, codes: Tensor, budget: float
) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """Return the reconstruction at the budget, and the entries on bits."""
    items, peak = evaluation.items, _peak(model)
    size = tuple(signals.shape[2:])
    if isinstance(model, IndexModel):
        nominal, entropy = evaluation.rate.nominal_bits / items, evaluation.rate.entropy_bits or 0.0
        bound = evaluation.bits_per_dim
        prior_bits = None if bound is None else bound.rate * signals[0].numel()
        points = [nominal, entropy / items, *([] if prior_bits is None else [prior_bits])]
        curve = [{"bits": bits, "psnr_db": _psnr_db(evaluation.mse, peak), "mse": evaluation.mse} for bits in points]
        return (lambda images: decoded(model, encoded(model, images), size)), {
            "latent_float32_bits": None,
            "latent_bits": nominal,
            "latent_entropy_bits": entropy / items,
            "prior_bits": prior_bits,
            "psnr_at_budget_db": _psnr_db(evaluation.mse, peak),
            "rate_curve": curve,
        }
    quantizer = LatentQuantizer(model, codes, signals)
    coarsest = quantizer.coarsest()
    at_budget = quantizer.for_bits(budget)
    counted = [*quantizer.curve(coarsest.step), *([] if at_budget is None else [at_budget])]
    curve = [{"bits": each.bits, "psnr_db": _psnr_db(each.mse, peak), "mse": each.mse} for each in counted]
    step = coarsest.step if at_budget is None else at_budget.step
    return (lambda images: decoded(model, rounded(encoded(model, images), step), size)), {
        "latent_float32_bits": 32.0 * codes[0].numel(),
        "latent_bits": coarsest.bits,
        "latent_entropy_bits": None,
        "prior_bits": None,
        "psnr_at_budget_db": None if at_budget is None else _psnr_db(at_budget.mse, peak),
        "rate_curve": sorted(curve, key=lambda point: point["bits"]),
    }


def _psnr_db(mse: float, peak: float) -> float | None:
    """None without any error, which strict JSON has no number for."""
    return psnr_db(mse, peak) if mse > 0 else None


def _peak(model: Model) -> float:
    """The range of the signals' values."""
    return 1.0 if model.signal_range is None else model.signal_range[1] - model.signal_range[0]


def _bounds(model: Model, evaluation: Evaluation, signals: Tensor, most: int) -> dict[str, Any]:
    """Bits per dimension: rate and distortion apart; under the learned prior too; tighter bounds where there are."""
    bound = None if evaluation.bits_per_dim is None else vars(evaluation.bits_per_dim)
    if isinstance(model, IndexModel):
        learned = evaluation.bits_per_dim
        uniform = None
        if learned is not None and learned.uniform_rate is not None:
            uniform = BitsPerDim(
                rate=learned.uniform_rate,
                distortion=learned.distortion,
                total=learned.uniform_rate + learned.distortion,
                how=f"uniform prior over {model.codebook_size} codes",
            )
        return {
            "bits_per_dim": None if uniform is None else vars(uniform),
            "bits_per_dim_learned_prior": bound,
            "other_bounds": {},
        }
    few = signals[:_BOUND_ITEMS]
    per_bit = few[0].numel() * math.log(2) * len(few)
    generator = torch.Generator().manual_seed(0)
    others = {}
    if isinstance(model, VAE | PCA) and bound is not None and len(few) < evaluation.items:
        own = evaluate(model, [(range(len(few)), few)]).bits_per_dim
        assert own is not None
        others[f"the bound above, the first {len(few)} images"] = own.total
    if isinstance(model, VAE):
        for samples in sorted({1, most}):
            total = -float(model.importance_bound(few, samples, generator).sum())
            name = f"importance-weighted, {samples} sample{'s' * (samples > 1)}, the first {len(few)} images"
            others[name] = total / per_bit
    if isinstance(model, PCA) and float(model.total_variance) > float(model.variances.sum()):
        total = -float(model.marginal_log_likelihood(few, generator).sum())
        others[f"probabilistic PCA, scores integrated out, the first {len(few)} images"] = total / per_bit
    return {"bits_per_dim": bound, "bits_per_dim_learned_prior": None, "other_bounds": others}


def _document(
    config: CompareConfig,
    seeds: Sequence[int],
    source: Source,
    images: Images,
    features: Features,
    found: list[dict[str, Any]],
    command: str,
    sounds: list[dict[str, str]],
) -> dict[str, Any]:
    size = images.training.size or ()
    values = images.training.channels * math.prod(size)
    return {
        "vqkit": __version__,
        "command": command,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "data": {
            "name": Path(source.name).name,
            "description": images.whole.describe(),
            "size": list(size),
            "channels": images.training.channels,
            "train_items": len(images.training),
            "validation_items": len(images.held_out),
            "class_names": images.whole.class_names,
            "raw_bits": (8.0 if source.kind.converts else 16.0) * values,
            "noun": source.kind.noun[1],
        },
        "budget_bits": config.budget_bits(size),
        "steps": config.steps,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "seeds": list(seeds),
        "settings": config.as_dict(),
        "features": {"frechet": features.name, "dimension": features.real.shape[1], "floor": features.floor()},
        "machine": f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}",
        "made_by": made_by(),
        "rungs": found,
        "pictures": {
            "reconstructions": "reconstructions.png",
            "four_rungs": "four_rungs.png",
            "originals": "originals.png",
        },
        "story": story(found),
        "eye": disagreements(found),
        "sounds": sounds,
    }


def _as_command(data: Any, out: str | Path, config: CompareConfig) -> str:
    """The command that makes the same comparison."""
    name = str(data) if isinstance(data, (str, Path)) else "DATA"
    changed = [
        f"--set {field}={json.dumps(value)}"
        for field, value in config.as_dict().items()
        if value != getattr(CompareConfig(), field)
    ]
    return " ".join(["vqkit compare", shlex.quote(name), "--out", shlex.quote(str(out)), *changed])

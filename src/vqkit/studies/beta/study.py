"""``study beta``: error, rate and active units of the VAE over the weight of its KL term."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from vqkit.data import evaluation_batches
from vqkit.errors import ConfigError
from vqkit.evaluation import evaluate
from vqkit.models import VAE
from vqkit.models.vae import active_units, kl_nats
from vqkit.pictures import before_after_sheet
from vqkit.storage import atomic
from vqkit.studies.alone import alone
from vqkit.studies.beta.report import write_report
from vqkit.studies.beta.settings import PLAIN, REMEDIES, BetaConfig
from vqkit.studies.beta.story import claims
from vqkit.studies.images import Images, shown_signals
from vqkit.studies.opening import as_command, head, opened, settings_of, with_first_seed
from vqkit.studies.report.pictures import save
from vqkit.studies.resumable import keep_error, known, seconds_trained, trained
from vqkit.studies.seen import shown as pictured
from vqkit.studies.spread import merged

_SHOWN = 10
_KEPT = "shown.safetensors"


@dataclass(frozen=True)
class BetaStudy:
    """Result of a study of beta: the folder, its report, and all numbers."""

    path: Path
    report: Path
    document: dict[str, Any]


@alone
def study_beta(
    data: Any,
    out: str | Path,
    *,
    config: BetaConfig | None = None,
    seeds: Sequence[int] = (),
    command: str = "",
    say: Callable[[str], None] | None = None,
    quiet: bool = False,
    **settings: Any,
) -> BetaStudy:
    """Train the same VAE with several weights of its KL term, plain and with remedies; write one report.

    Where the KL term is heavy, latent numbers stop to depend on the signal: their posterior is the prior, they cost no
    bits and tell nothing (posterior collapse). The report names where, and what warm-up of beta and free bits do.

    Every training that is done is kept in ``out``, and each can be resumed: the same call goes on where an interrupted
    one stopped. One that fails is reported and the others stand.

    Args:
        data: a source, or whatever ``load_source`` takes; images or sounds.
        out: folder for the report, its numbers and all runs; new, or of the same study.
        config: all settings at once, or give single ``settings`` of ``BetaConfig`` by name.
        seeds: train with each of these, on the same split: measures are means, with deviations; pictures are those of
            the first. Further ones can be added to a study that is done.
        command: what the report says it was made with.
        say: told what is going on; None is silent.
        quiet: show no progress of the trainings.

    Raises:
        ConfigError: settings or a folder that do not work, or every training failed.
        DataError: data that cannot be read.

    Example:
        >>> import vqkit
        >>> vqkit.study_beta("photos/", "runs/beta", betas=[0.1, 1, 10], steps=400)  # doctest: +SKIP
    """
    say = say or (lambda _: None)
    path = Path(out)
    config, seeds = with_first_seed(settings_of(BetaConfig, config, settings), seeds)
    config, images = opened(data, path, config, say)
    say(f"{len(seeds) * len(config.betas) * len(config.variants)} trainings of {config.steps:,} steps")
    bench = _Bench(config, images, path, say, quiet)
    benches = [bench, *(bench.of_seed(seed) for seed in seeds[1:])]
    found = [
        merged([each.entry(variant, beta) for each in benches], seeds)
        for variant in config.variants
        for beta in config.betas
    ]
    done = [each for each in found if each["status"] == "done"]
    if not done:
        raise ConfigError(f"every training failed; the first: {found[0]['error']}")
    document = {
        **head(command or as_command("vqkit study beta", data, out, config, seeds), config, seeds, images),
        "entries": found,
        "claims": claims(found),
        "pictures": bench.pictures(done),
    }
    atomic.write_json(path / "beta.json", document)
    report = path / "report.html"
    write_report(document, path / "pictures", report)
    return BetaStudy(path, report, document)


@dataclass
class _Bench:
    """Parts that every training of the study shares."""

    config: BetaConfig
    images: Images
    path: Path
    say: Callable[[str], None]
    quiet: bool
    split_seed: int | None = None

    def of_seed(self, seed: int) -> _Bench:
        """The same with another seed, on the same split, in a folder of its own."""
        config, path = replace(self.config, seed=seed), self.path / "seeds" / str(seed)
        return replace(self, config=config, path=path, split_seed=self.config.seed)

    def entry(self, variant: str, beta: float) -> dict[str, Any]:
        """One entry of the report: from its file when it is done, else trained and judged now."""
        key = f"{variant.replace('_', '-')}-beta{beta:.15g}"
        title = f"beta {beta:.15g}" + ("" if variant == PLAIN else f", {REMEDIES[variant]}")
        file = self.path / f"{key}.json"
        found = known(file)
        if found is not None:
            self.say(f"{self._named(title)}: done before")
            return found
        self.say(f"{self._named(title)}: training")
        entry: dict[str, Any] = {"key": key, "title": title, "variant": variant, "beta": beta, "error": None}
        try:
            entry |= {"status": "done", **self._judged(variant, beta, self.path / key)}
        except Exception as error:  # noqa: BLE001  (whatever it is: the others stand)
            self.say(f"{self._named(title)}: failed: {error}")
            return {**entry, "status": "failed", "error": keep_error(self.path / key, error)}
        atomic.write_json(file, entry)
        self.say(
            f"{title}: SNR {entry['snr_db']:.2f} dB, {entry['kl_bits']:,.1f} bits, {entry['active_units']} of "
            f"{entry['latent_dim']} units active"
        )
        return entry

    def _named(self, title: str) -> str:
        return title if self.split_seed is None else f"{title}, seed {self.config.seed}"

    def _judged(self, variant: str, beta: float, folder: Path) -> dict[str, Any]:
        config, images = self.config, self.images
        options = {"beta": beta, **config.options(variant), **config.network()}
        model: VAE = trained(
            folder / "run",
            lambda: VAE.for_source(images.training, config.latent_dim, **options),
            images.whole,
            config.training(images.validation, self.split_seed),
            quiet=self.quiet,
        )
        evaluation = evaluate(model, evaluation_batches(images.held_out, 128), bits=False)
        self._keep_shown(model, folder)
        return {
            "latent_dim": config.latent_dim,
            "mse": evaluation.mse,
            "psnr_db": evaluation.psnr_db,
            "snr_db": -10 * math.log10(max(evaluation.nmse, 1e-30)),
            "ssim": evaluation.ssim,
            **self._rates(model),
            "train_seconds": seconds_trained(folder / "run"),
        }

    @torch.no_grad()
    def _rates(self, model: VAE) -> dict[str, Any]:
        """Bits and active units, over the held-out signals."""
        generator = torch.Generator(model.device).manual_seed(self.config.seed)
        means, costs, left = [], [], []
        values = 0
        for _, batch in evaluation_batches(self.images.held_out, 128):
            x = batch.to(model.device)
            mean, log_variance = model.posterior(x)
            means.append(mean.cpu())
            costs.append(kl_nats(mean, log_variance).double().cpu())
            values = x[0].numel()
            if model.counts_bits:
                cost = model.latent_cost(x, generator)
                left.append(-model.log_likelihood(x, cost.codes).double().cpu())
        each = torch.cat(costs).mean(dim=0) / math.log(2)
        rate = float(each.sum())
        distortion = float(torch.cat(left).mean()) / math.log(2) / values if left else None
        return {
            "kl_bits": rate,
            "kl_bits_each": sorted((float(bits) for bits in each), reverse=True),
            "active_units": active_units(torch.cat(means)),
            "rate_bits_per_dim": rate / values,
            "distortion_bits_per_dim": distortion,
            "bits_per_dim": None if distortion is None else rate / values + distortion,
        }

    @torch.no_grad()
    def _keep_shown(self, model: VAE, folder: Path) -> None:
        """Keep the few signals of the joint pictures, so that a later start need not make them again."""
        images = self.images
        generator = torch.Generator(model.device).manual_seed(self.config.seed)
        tensors = {
            "reconstructions": model.reconstruct(shown_signals(images.held_out, _SHOWN).to(model.device)).float().cpu(),
            "samples": model.sample(_SHOWN, size=images.training.size, generator=generator).float().cpu(),
        }
        atomic.write_file(folder / _KEPT, lambda temporary: save_file(tensors, temporary))

    def pictures(self, done: Sequence[dict[str, Any]]) -> dict[str, str]:
        """Write sheets of samples and of reconstructions, a row for each training; returns their file names."""
        kind = self.images.held_out.kind
        originals = pictured(kind, shown_signals(self.images.held_out, _SHOWN))
        kept = {each["key"]: load_file(self.path / each["key"] / _KEPT) for each in done}

        def rows(part: str) -> list[tuple[str, list[Any]]]:
            return [(each["title"], pictured(kind, kept[each["key"]][part])) for each in done]

        names = {}
        for part, above in (("samples", []), ("reconstructions", [("original", originals)])):
            names[part] = f"{part}.png"
            save(before_after_sheet([*above, *rows(part)], columns=_SHOWN), self.path / "pictures" / names[part])
        return names

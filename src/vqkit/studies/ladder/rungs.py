"""Training of each rung at one budget of bits: small functions with one outcome."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vqkit.data import Source, evaluation_batches
from vqkit.evaluation import evaluate
from vqkit.evaluation.latent_bits import LatentQuantizer
from vqkit.models import PCA, VAE, VQVAE, Autoencoder, Model, divergence_bits, quantize
from vqkit.studies.images import Images, gathered
from vqkit.studies.ladder.measures import encoded
from vqkit.studies.ladder.settings import CompareConfig
from vqkit.studies.resumable import seconds_trained, trained
from vqkit.studies.standard import differences, in_words
from vqkit.training import TrainConfig
from vqkit.training.recipes.prior import train_prior

_COUNTED = 1024
_MOST_COMPONENTS = 1024
_LEAST_BITS = 1.0
"""Of a component, on average: those that the budget cannot pay for at this price are not looked for."""


@dataclass
class RungContext:
    """Parts that every rung is made from.

    Attributes:
        config: of the comparison.
        images: of one size, split.
        folder: for the runs of this rung.
        say: told what is going on.
        quiet: show no progress of trainings.
    """

    config: CompareConfig
    images: Images
    folder: Path
    say: Callable[[str], None]
    quiet: bool = False

    @property
    def training(self) -> Source:
        """Training images."""
        return self.images.training

    @property
    def held_out(self) -> Source:
        """Held-out images, for evaluation only."""
        return self.images.held_out

    @property
    def size(self) -> tuple[int, ...]:
        """Height and width."""
        assert self.training.size is not None
        return self.training.size

    @property
    def budget(self) -> float:
        """Bits an image."""
        return self.config.budget_bits(self.size)

    def network(self) -> dict[str, Any]:
        """The shape of the networks, the same for all rungs that have some."""
        config = self.config
        return {
            "downsampling": config.downsampling,
            "hidden_channels": config.hidden_channels,
            "residual_channels": config.residual_channels,
            "linear_path": config.linear_path,
        }

    def settings(self, **changes: Any) -> TrainConfig:
        """Training settings of every network."""
        config = self.config
        return TrainConfig(
            **{
                "steps": config.steps,
                "batch_size": config.batch_size,
                "learning_rate": config.learning_rate,
                "flip": config.flip,
                "validation": self.images.validation,
                "seed": config.seed,
                "split_seed": config.split_seed,
                "evaluations": 4,
                "evaluation_items": 256,
                **changes,
            }
        )

    def train(self, name: str, make: Callable[[], Any], **changes: Any) -> Any:
        """The trained model (or prior) of a run in this rung's folder: begun, gone on with, or finished long ago.

        Args:
            name: of the run.
            make: the new model.
            **changes: training settings that differ from the others'.
        """
        config = self.settings(**changes)
        return trained(self.folder / name, make, self.images.whole, config, quiet=self.quiet)

    def seconds(self, *names: str) -> float:
        """Seconds of training of some runs, over all starts."""
        return sum(seconds_trained(self.folder / name) for name in names)


@dataclass
class Trained:
    """A rung with its parameters.

    Attributes:
        model: in evaluation mode; a VQ-VAE uses its learned prior.
        seconds: of training, prior included, over all starts (PCA: of this start).
        notes: what a reader should know.
    """

    model: Model
    seconds: float
    notes: list[str] = field(default_factory=list)


def train_pca(shop: RungContext) -> Trained:
    """All components in one pass, then as many as the budget pays for."""
    start = time.perf_counter()
    full, few, most = _components(shop)
    model = full.truncated(few)
    model.finish([gathered(shop.training, 4096)])
    ratio = float(full.explained_variance_ratio[:few].sum())
    notes = [f"{few} components hold {ratio:.1%} of the variance of the training images"]
    if few == most:
        notes.append(f"all {most} components that were looked for take less than the budget")
    return Trained(model, time.perf_counter() - start, notes)


def _components(shop: RungContext) -> tuple[PCA, int, int]:
    """The PCA of the training images, how many of its components the budget pays for, and how many there are."""
    values = shop.training.channels * math.prod(shop.size)
    affordable = max(1, math.floor(shop.budget / _LEAST_BITS))
    most = min(values, len(shop.training) - 1, _MOST_COMPONENTS, affordable)
    full: PCA = shop.train("../pca/run", lambda: PCA.for_source(shop.training, most), flip=False, evaluations=0)
    signals = gathered(shop.held_out, _COUNTED)
    latents = encoded(full, signals)

    def bits(components: int) -> float:
        return LatentQuantizer(full.truncated(components), latents[:, :components], signals).coarsest().bits

    low, high = 1, most
    while high > low:  # the most components within the budget
        middle = (low + high + 1) // 2
        low, high = (middle, high) if bits(middle) <= shop.budget else (low, middle - 1)
    return full, low, most


def train_autoencoder(shop: RungContext) -> Trained:
    """As many latent numbers as PCA has within the budget."""
    config = shop.config
    options = {"noise": config.noise, "density_components": config.density_components, **shop.network()}
    return _train_continuous(
        shop,
        lambda numbers: Autoencoder.for_source(shop.training, numbers, **options),
        weight_decay=config.weight_decay,
    )


def train_vae(shop: RungContext) -> Trained:
    """As for the autoencoder."""
    config = shop.config
    options: dict[str, Any] = {
        "beta": config.beta,
        "beta_warmup": max(1, config.steps // 10) if config.beta_warmup is None else config.beta_warmup,
        "free_bits": config.free_bits,
        **shop.network(),
    }
    return _train_continuous(shop, lambda numbers: VAE.for_source(shop.training, numbers, **options))


def _train_continuous(shop: RungContext, make: Callable[[int], Model], **changes: Any) -> Trained:
    _, numbers, _ = _components(shop)
    model: Model = shop.train("run", lambda: make(numbers), **changes)
    note = f"{numbers} latent numbers, as many as PCA has within the budget of {shop.budget:,.0f} bits"
    return Trained(model, shop.seconds("run"), [note])


def train_quantized(shop: RungContext) -> Trained:
    """A VAE whose divergence is held at log2 K bits a position, quantized without training; a prior of its indices."""
    config = shop.config
    options: dict[str, Any] = {"latent": "grid", "group_bits": math.log2(config.codebook_size), **shop.network()}
    vae: VAE = shop.train("run", lambda: VAE.for_source(shop.training, config.quantized_dim, **options))
    start = time.perf_counter()
    model = quantize(vae, config.codebook_size, data=shop.training, seed=config.seed)
    seconds = time.perf_counter() - start
    bits = float(divergence_bits(vae, shop.held_out).mean())
    error = evaluate(vae, evaluation_batches(shop.held_out, 128)).psnr_db
    held = f"{bits:.2f} bits a position over held-out items, and an index has {math.log2(config.codebook_size):.2f}"
    notes = [f"the VAE's divergence is {held}; it became a VQ-VAE in {seconds:.2g} s"]
    if error is not None:
        notes.append(f"before that its means reconstruct with {error:.2f} dB")
    return _with_prior(shop, model, notes)


def train_vqvae(shop: RungContext) -> Trained:
    """The VQ-VAE, its indices of all training images, and the gated PixelCNN that learns them."""
    config = shop.config
    options = {"code_dim": config.code_dim, **shop.network()}
    model: VQVAE = shop.train("run", lambda: VQVAE.for_source(shop.training, config.codebook_size, **options))
    return _with_prior(
        shop, model, [in_words(differences(model, shop.training, shop.settings()), "of this comparison")]
    )


def _with_prior(shop: RungContext, model: VQVAE, notes: list[str]) -> Trained:
    config = shop.config
    shop.say(f"the prior learns the indices of {len(shop.training):,} images")
    run = train_prior(
        model,
        shop.images.whole,
        shop.folder / "prior",
        config=shop.settings(
            steps=config.prior_steps or config.steps,
            batch_size=config.prior_batch_size,
            learning_rate=config.prior_learning_rate,
            flip=False,
        ),
        options={
            "hidden_channels": config.prior_channels,
            "layers": config.prior_layers,
            "dropout": config.prior_dropout,
        },
        quiet=shop.quiet,
    )
    prior = run.model()
    model.use_prior(prior)
    own = f"of its training time {shop.seconds('prior/run'):,.0f} s are the prior's"
    return Trained(model, shop.seconds("run", "prior/run"), [own, *notes])


TRAINERS: dict[str, Callable[[RungContext], Trained]] = {
    "pca": train_pca,
    "ae": train_autoencoder,
    "vae": train_vae,
    "quantized": train_quantized,
    "vqvae": train_vqvae,
}

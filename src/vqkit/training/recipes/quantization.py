"""A run of a VQ-VAE that was a VAE: nothing is trained, and every command goes on from it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqkit.data import Source
from vqkit.evaluation import Evaluation, evaluate
from vqkit.models import VAE, VQVAE, divergence_bits, quantize
from vqkit.models.conversion.quantization import describe_divergence
from vqkit.pretrained.card import ModelCard
from vqkit.pretrained.folder import content_hash
from vqkit.storage import atomic, outputs
from vqkit.training.record.run import CHECKPOINTS, MODEL, is_run, read_config, write_config

_LOG = "log.jsonl"


@dataclass(frozen=True)
class Quantized:
    """What became of a VAE.

    Attributes:
        model: the VQ-VAE.
        group_bits: KL of each group of latent numbers, in bits; None: no signals to measure it on.
        before: the VAE over the held-out items; None: no such items.
        after: the VQ-VAE over them.
        warning: where an index has too few bits for its group; None: nowhere.
    """

    model: VQVAE
    group_bits: list[float] | None = None
    before: Evaluation | None = None
    after: Evaluation | None = None
    warning: str | None = None


def quantize_run(
    vae: VAE,
    out: Path,
    *,
    settings: Mapping[str, Any],
    training: Source | None = None,
    held_out: Source | None = None,
    codebook_size: int | None = None,
    group_size: int | None = None,
    seed: int = 0,
) -> Quantized:
    """Quantize a VAE into a folder: a run's, with the data and the split of the VAE's run, or a model's.

    Args:
        vae: trained.
        out: a new or empty folder, or one that this made before and that is replaced.
        settings: of the VAE's run (``read_config``); empty: it has none, and ``out`` is a model's folder.
        training: signals that weigh the latent numbers.
        held_out: signals to judge both on.
        codebook_size, group_size, seed: as of ``vqkit.quantize``.

    Raises:
        ConfigError: as of ``vqkit.quantize``; ``out`` holds something else, such as a run that was trained.
        OSError: the folder cannot be written.
    """
    if not _made_here(out):
        outputs.check_contents(out, "a quantized model")
    model = quantize(vae, codebook_size, group_size=group_size, data=training, seed=seed)
    size = vae.latent_dim // model.num_codebooks
    if held_out is None:
        model.save_pretrained(out)
        return Quantized(model)
    bits = divergence_bits(vae, held_out, group_size=size)
    before, after = evaluate(vae, held_out), evaluate(model, held_out)
    measured = after.as_dict()
    card = ModelCard(data=held_out.describe(), measured=measured)
    if not settings:
        model.save_pretrained(out, card=card)
    else:
        out.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(out / MODEL, card=card)
        line = json.dumps({"step": 0, "kind": "final", **measured}, allow_nan=False)
        atomic.write_text(out / _LOG, line + "\n")
        made_of = {**settings["made_of"], "vae": content_hash(vae)}
        write_config(out, settings["data"], settings["fingerprint"], model, settings["training"], {}, made_of)
    finite = [each if math.isfinite(each) else 0.0 for each in bits.tolist()]
    return Quantized(
        model, finite, before, after, describe_divergence(bits, model.codebook_size, size, _target_bits(vae))
    )


def _made_here(out: Path) -> bool:
    """Return True for a run that was quantized, and not trained: it is made anew in less than a second."""
    if not is_run(out) or (out / CHECKPOINTS).exists():
        return False
    return "vae" in read_config(out)["made_of"]


def _target_bits(vae: VAE) -> float | None:
    return None if vae.divergence_target is None else vae.divergence_target.nats / math.log(2)

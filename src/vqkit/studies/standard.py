"""The VQ-VAE of a study beside the standard one: what ``vqkit train`` makes of the same data by default."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from vqkit.data import Source
from vqkit.models import VQVAE
from vqkit.quantizers.levels.stages import LevelStages
from vqkit.training import TrainConfig

_CHOSEN = {"codebook_size", "quantizer", "num_codebooks", "stacking"}
"""What a study is told, or varies."""
_OF_LEVELS = {"encoder", "decoder", "downsampling"}
"""What follows from a quantizer with levels."""
_LEARNED_BY = ("batch_size", "learning_rate", "flip")


def differences(model: VQVAE, source: Source, training: TrainConfig, chosen: Collection[str] = ()) -> dict[str, Any]:
    """Settings of a study's VQ-VAE that are not those of ``vqkit train``, with their values.

    Options of the quantizer that follow from others (``cosine``) are named too. The codebook, its size and its kind are
    left out, as is the number of steps: every page says these.

    Args:
        model: of the study.
        source: the data.
        training: how the study trains it.
        chosen: options of the quantizer that the study varies.
    """
    named = {name: model.config[name] for name in ("num_codebooks", "stacking")}
    standard = VQVAE.for_source(source, model.config["codebook_size"], quantizer=model.config["quantizer"], **named)
    followed = _CHOSEN | (_OF_LEVELS if isinstance(model.quantizer, LevelStages) else set())
    found = {
        name: value
        for name, value in model.config.items()
        if name not in followed and name != "quantizer_options" and value != standard.config.get(name)
    }
    derived = standard.config["quantizer_options"]
    found |= {
        name: value
        for name, value in model.config["quantizer_options"].items()
        if name not in chosen and value != derived.get(name)
    }
    own = standard.default_settings()
    usual = TrainConfig.from_dict({**own, "steps": training.steps, "minutes": None})
    names = [*_LEARNED_BY, *(name for name in own if name not in {*_LEARNED_BY, "steps", "minutes"})]
    found |= {name: getattr(training, name) for name in names if getattr(training, name) != getattr(usual, name)}
    return found


def in_words(found: Mapping[str, Any], where: str) -> str:
    """Differences as one sentence: where there are none, that the model is the same."""
    if not found:
        return f"The VQ-VAE {where} is the one that vqkit train makes."
    listed = ", ".join(f"{name}={json.dumps(value)}" for name, value in found.items())
    return f"The VQ-VAE {where} is the one that vqkit train makes, but for: {listed}."

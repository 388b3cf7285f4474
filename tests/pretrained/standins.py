"""Stand-ins for the models that come with the package: tiny, untrained, with priors, in a folder of the test."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from vqkit import VQVAE, ContextPrior
from vqkit.pretrained.card import ModelCard
from vqkit.pretrained.reference import ABOUT


def write_standins(folder: Path) -> None:
    """Write ``photo`` and ``speech`` into a folder, as ``vqkit.pretrained.reference.WEIGHTS`` is one."""
    torch.manual_seed(0)
    photo = VQVAE(16, channels=3, downsampling=4, code_dim=4, hidden_channels=8, num_codebooks=2, stacking="residual")
    speech = VQVAE(
        16, axes=1, channels=1, kind="sound@16000", downsampling=64, code_dim=4, hidden_channels=8, num_codebooks=4,
        stacking="residual",
    )  # fmt: skip
    for name, model, about in (
        ("photo", photo, {"title": "photographs", "kind": "image", "license": "CC0", "measured": ["20 dB"]}),
        ("speech", speech, {"title": "speech", "kind": "sound@16000", "license": "CC0", "rates": "1 to 4 kbps"}),
    ):
        prior = ContextPrior(
            16, (8, 8) if name == "photo" else (8,), num_codebooks=model.num_codebooks, hidden_channels=8, layers=1
        )
        model.compact().eval().use_prior(prior.compact().eval())
        model.save_pretrained(folder / name, card=ModelCard(license="cc0-1.0", data="none"))
        (folder / name / ABOUT).write_text(json.dumps(about))

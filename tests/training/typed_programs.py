"""Programs of a person as type checkers see them: right ones pass, and each slip is found.

``make lint`` checks this file (mypy --strict, which also says where an ``ignore`` is not needed: a slip that is no
longer found); ``test_types.py`` does it with pyright, which heeds no ``ignore`` there. It is never run.
"""

from __future__ import annotations

import torch

import vqkit


def right() -> tuple[torch.Tensor, torch.Tensor]:
    """No complaint."""
    data = vqkit.load_source("digits")
    settings: vqkit.training.TrainSettings = {"steps": 10, "schedule": lambda progress, step: 1 - progress}
    vqkit.train(vqkit.VQVAE.for_source(data, 16), data, **settings)
    run = vqkit.train(vqkit.PCA(4), data, batch_size=8, patience=2, best_by="nmse")
    vqkit.resume(run.path, steps=20, callbacks=vqkit.Callback())
    quantized, indices, loss = vqkit.quantizers.EMAVectorQuantizer(16, 4)(torch.randn(2, 4, 5))
    layer = vqkit.quantizers.ChannelsLast(vqkit.VectorQuantizer(16, 4))
    total: torch.Tensor = vqkit.VQVAE(16)(torch.zeros(2, 1, 8, 8)).loss + loss + layer(quantized.movedim(1, 2)).loss
    nats: torch.Tensor = vqkit.TransformerPrior(16, (5,))(indices).metrics["nats_per_index"]
    return total, nats


def wrong() -> list[object]:
    """A complaint of each line with an ``ignore``."""
    data = vqkit.load_source("digits")
    model = vqkit.VQVAE.for_source(data, 16)
    vqkit.train(model, data, step=10)  # type: ignore[call-arg]
    vqkit.resume("runs/a", learningrate=0.1)  # type: ignore[call-arg]
    vqkit.train(model, data, steps="ten")  # type: ignore[arg-type]
    found: list[object] = [model(data).los]  # type: ignore[attr-defined]
    found.append(vqkit.VectorQuantizer(16, 4)(torch.zeros(2, 4, 5)).indexes)  # type: ignore[attr-defined]
    vqkit.VQVAE(codebooksize=16)  # type: ignore[call-arg]
    return found

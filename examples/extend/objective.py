"""An objective of one's own: a patch discriminator that asks for sharper pictures.

Run it: ``python examples/extend/objective.py``. One class, registered under a name; a discriminator is an objective
with parameters and an optimizer of its own, which a run trains, logs, saves and resumes with the model, on one process
or on several.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from torch import nn

import vqkit
from vqkit.objectives import OBJECTIVES, AdversarialObjective

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@OBJECTIVES.register("patches")
class PatchDiscriminator(AdversarialObjective):
    """The discriminator of Isola et al. 2017 (arXiv 1611.07004): one logit for each patch of the signal.

    Args:
        hidden_channels: of its first layer; every further one has twice as many.
        layers: each of which halves the resolution.
        after: steps before it begins.
        adaptive: make its weight relative to the gradient of the other terms.
        learning_rate: its own.
    """

    supported_axes = (1, 2, 3)

    def __init__(
        self,
        *,
        hidden_channels: int = 32,
        layers: int = 2,
        after: int = 0,
        adaptive: bool = False,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__(after=after, adaptive=adaptive, learning_rate=learning_rate)
        self.hidden_channels = hidden_channels
        self.layers = layers

    def make_discriminator(self, axes: int, channels: int) -> nn.Module:
        """Signals ``[batch, channels, *size]`` to logits ``[batch, 1, *patches]``."""
        convolution, found, width = CONVOLUTIONS[axes], [], self.hidden_channels
        for _ in range(self.layers):
            found += [convolution(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            channels, width = width, 2 * width
        return nn.Sequential(*found, convolution(channels, 1, 3, padding=1))


def main() -> None:
    """Train with it, resume, judge, save and load."""
    data = vqkit.load_source("digits")
    model = vqkit.VQVAE.for_source(data, 64, code_dim=8, downsampling=2, hidden_channels=16, seed=0)
    objective = "likelihood + 0.1*gradient + 0.3*patches(after=10, adaptive=true)"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        vqkit.train(model, data, out=out / "run", objective=objective, steps=30, log_every=10, quiet=True)
        run = vqkit.resume(out / "run", steps=50, quiet=True)  # the discriminator goes on with the model
        lines = [line for line in run.log() if line["kind"] == "train"]
        print("the discriminator's loss:", *(f"{line['patches_discriminator']:.2f}" for line in lines[1:]))
        run.model().save_pretrained(out / "saved")  # the model alone: the discriminator has done its work
        print(f"{vqkit.evaluate(vqkit.load_model(out / 'saved'), data).psnr_db:.2f} dB PSNR")


if __name__ == "__main__":
    main()

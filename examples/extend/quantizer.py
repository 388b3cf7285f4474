"""A quantizer of one's own: a fixed random codebook on the sphere (random projections; BEST-RQ, arXiv 2202.01855).

Run it: ``python examples/extend/quantizer.py``. One class, registered under a name; training, evaluation, tokens,
compressed files, saving and loading need no other line.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor

import vqkit
from vqkit.ops import nearest_code, straight_through
from vqkit.quantizers import QUANTIZERS, Quantization, Quantizer, flatten_grid, masked_mean


@QUANTIZERS.register("random")
class RandomQuantizer(Quantizer):
    """Nearest of ``codebook_size`` random unit vectors; only the encoder learns, by the commitment loss.

    Args:
        codebook_size: K.
        code_dim: D.
        beta: weight of the commitment loss.
        seed: of the codebook.
    """

    def __init__(self, codebook_size: int, code_dim: int, *, beta: float = 0.25, seed: int = 0) -> None:
        super().__init__()
        self.codebook_size, self.code_dim, self.beta = codebook_size, code_dim, beta
        random = torch.randn(codebook_size, code_dim, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("directions", torch.nn.functional.normalize(random, dim=1))

    def encode(self, latents: Tensor) -> Tensor:
        """Return indices ``[batch, *grid]``."""
        self.check_latents(latents)
        rows = torch.nn.functional.normalize(flatten_grid(latents.detach()).float(), dim=1)
        return nearest_code(rows, self.directions).view(latents.shape[0], *latents.shape[2:])

    def lookup(self, indices: Tensor) -> Tensor:
        """Return codewords ``[batch, code_dim, *grid]``."""
        return self.directions[self.check_indices(indices)].movedim(-1, 1)

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """Quantize; the gradient goes straight through to the encoder."""
        latents = self.validate(latents, mask)
        indices = self.encode(latents)
        codewords = self.lookup(indices)
        loss = self.beta * masked_mean((latents - codewords).square(), mask, reduce_over_ranks=self.training)
        return Quantization(straight_through(latents, codewords), indices, {"commitment_loss": loss})


def main() -> None:
    """Train, judge, encode, compress, save and load with it."""
    data = vqkit.load_source("digits")
    small = {"hidden_channels": 16, "residual_channels": 8, "code_dim": 8, "downsampling": 2}
    model = vqkit.VQVAE.for_source(data, codebook_size=64, quantizer="random", quantizer_options={"beta": 0.5}, **small)
    same = vqkit.VQVAE.for_source(data, quantizer=RandomQuantizer(64, 8, beta=0.5), **small)  # an instance does as well
    assert torch.equal(model.codebook, same.codebook)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        run = vqkit.train(model, data, out=out / "run", steps=60, quiet=True, tensorboard=False)
        assert run.evaluation is not None
        tokens = vqkit.tokenize(model, data, out=out / "tokens")
        image = torch.as_tensor(data.read(0))[None]
        codec = vqkit.Codec(model)
        blob = codec.compress(image)
        assert torch.allclose(codec.decompress(blob) / 255, model.reconstruct(image), atol=1 / 255)
        same.save_pretrained(out / "saved")
        loaded = vqkit.load_model(out / "saved")
        assert torch.equal(loaded.encode(image), same.encode(image))
        print(f"{run.evaluation['psnr_db']:.2f} dB PSNR, {len(tokens):,} items as tokens, a file of {len(blob)} bytes")


if __name__ == "__main__":
    main()

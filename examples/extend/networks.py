"""An encoder and a decoder of one's own: a small vision transformer with patches of 6 pixels (arXiv 2110.04627).

Run it: ``python examples/extend/networks.py``. Each says the channels that it reads and emits and its downsampling;
it attends to the whole image, so it says no halo. Training, tokens, files, saving and loading need no other line.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

import vqkit
from vqkit.networks import DECODERS, ENCODERS, Network


def sines(grid: torch.Size, dim: int, like: Tensor) -> Tensor:
    """Position embeddings ``[positions, dim]`` of a grid of any size: half of the numbers for each axis."""
    rates = 64.0 ** (-torch.arange(dim // 4, device=like.device) / (dim // 4))
    rows, columns = torch.meshgrid(*(torch.arange(n, device=like.device) for n in grid), indexing="ij")
    angles = [axis.reshape(-1, 1) * rates for axis in (rows, columns)]
    return torch.cat([each for angle in angles for each in (angle.sin(), angle.cos())], dim=1).to(like.dtype)


class Attention(Network):
    """Transformer layers over the positions of a grid, in place of convolutions."""

    def __init__(self, dim: int, layers: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(dim, 4, 2 * dim, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, grid: Tensor) -> Tensor:
        """Return features of the same shape, each position having seen all."""
        rows = grid.flatten(2).transpose(1, 2) + sines(grid.shape[2:], grid.shape[1], grid)
        return self.layers(rows).transpose(1, 2).unflatten(2, grid.shape[2:])


@ENCODERS.register("vit")
class ViTEncoder(Network):
    """Images ``[batch, in_channels, H, W]`` to latents ``[batch, out_channels, H / patch, W / patch]``."""

    def __init__(self, in_channels: int, out_channels: int, *, patch: int = 6, dim: int = 32, layers: int = 1) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.downsampling = in_channels, out_channels, patch
        embed, out = nn.Conv2d(in_channels, dim, patch, stride=patch), nn.Conv2d(dim, out_channels, 1)
        self.body = nn.Sequential(embed, Attention(dim, layers), out)

    def forward(self, images: Tensor) -> Tensor:
        """Return latents."""
        return self.body(images)


@DECODERS.register("vit")
class ViTDecoder(Network):
    """Latents back to images: the mirror of the encoder."""

    def __init__(self, in_channels: int, out_channels: int, *, patch: int = 6, dim: int = 32, layers: int = 1) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.downsampling = in_channels, out_channels, patch
        embed, out = nn.Conv2d(in_channels, dim, 1), nn.ConvTranspose2d(dim, out_channels, patch, stride=patch)
        self.body = nn.Sequential(embed, Attention(dim, layers), out)

    def forward(self, latents: Tensor) -> Tensor:
        """Return normalized images."""
        return self.body(latents)


if __name__ == "__main__":
    data = vqkit.load_source("digits")  # 8x8 pixels: padded to 12x12, a grid of 2x2
    model = vqkit.VQVAE.for_source(data, 64, encoder=ViTEncoder(1, 8), decoder=ViTDecoder(8, 1))
    named = vqkit.VQVAE.for_source(data, 64, encoder="vit", decoder="vit", code_dim=8, downsampling=6)  # does as well
    with tempfile.TemporaryDirectory() as folder:
        run = vqkit.train(model, data, out=Path(folder) / "run", steps=100, quiet=True, tensorboard=False)
        loaded, psnr = vqkit.load_model(run.path), vqkit.evaluate(model, data).psnr_db
    blob = vqkit.Codec(model).compress(data.read(0)[None])
    assert torch.equal(loaded.encode(data.read(0)[None]), model.encode(data.read(0)[None]))
    print(f"{psnr:.2f} dB PSNR, grid {model.grid((8, 8))}, a file of {len(blob)} bytes, named: {named.downsampling}")

"""Usage, perplexity and PSNR over the size of the codebook: vqkit's defaults, beside vector-quantize-pytorch.

Both are trained by vqkit's loop in the same networks, on the same batches, for the same steps; only the quantizer
differs. The peer has the settings that its own documentation recommends against collapse: k-means initialisation,
restarts below 2 uses (``threshold_ema_dead_code=2``), and, as a second contender, a codebook of 16 numbers with cosine
similarity. PSNR is over the held-out items; usage and perplexity are over as many positions as the line states,
training and held-out items together, since 65,536 codes cannot all occur in a few thousand pictures.

    python benchmarks/codebooks.py DATA --sizes 64,512,4096 --steps 400 --hidden-channels 64
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import vqkit
from figures import Figure, figure, parser, report
from vqkit.ops import index_histogram, perplexity, usage
from vqkit.quantizers import QUANTIZERS, Quantization, Quantizer

COUNTED = 4_194_304
"""Positions over which usage is counted, at most."""


class Peer(Quantizer):
    """vector-quantize-pytorch's VectorQuantize behind vqkit's protocol."""

    def __init__(self, codebook_size: int, code_dim: int, *, cosine: bool = False) -> None:
        super().__init__()
        from vector_quantize_pytorch import VectorQuantize

        self.codebook_size, self.code_dim = codebook_size, code_dim
        small = {"codebook_dim": 16, "use_cosine_sim": True} if cosine else {}
        self.inner = VectorQuantize(
            dim=code_dim,
            codebook_size=codebook_size,
            decay=0.99,
            commitment_weight=0.25,
            kmeans_init=True,
            threshold_ema_dead_code=2,
            accept_image_fmap=True,
            **small,
        )

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        del mask
        quantized, indices, loss = self.inner(latents)
        return Quantization(quantized, indices, {"commitment_loss": loss.sum()})

    def encode(self, latents: Tensor) -> Tensor:
        was = self.inner.training
        self.inner.eval()
        found: Tensor = self.inner(latents)[1]
        self.inner.train(was)
        return found

    def codes(self, indices: Tensor) -> Tensor:
        found: Tensor = self.inner.get_output_from_indices(indices)
        return found.movedim(1, -1).movedim(-1, 1) if found.shape[1] == self.code_dim else found.movedim(-1, 1)


def study(data: Any, name: str, size: int, arguments: Any, **settings: Any) -> list[Figure]:
    """Train one model and measure it."""
    torch.manual_seed(0)
    model = vqkit.VQVAE.for_source(data, size, hidden_channels=arguments.hidden_channels, **settings)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = vqkit.train(
            model,
            data,
            out=Path(folder) / "run",
            steps=arguments.steps,
            validation=arguments.validation,
            evaluations=0,
            quiet=True,
            tensorboard=False,
        )
        seconds = time.perf_counter() - start
        finished: Any = vqkit.load_model(run.path)
    values = run.evaluation
    assert values is not None
    histogram = torch.zeros(size, dtype=torch.int64)
    with torch.no_grad(), vqkit.data.Batches(data, 64, crop=arguments.crop, seed=1) as batches:
        positions, step, wanted = 0, 0, min(COUNTED, arguments.count_per_code * size)
        while positions < wanted:
            indices = finished.encode(batches.batch(step))
            histogram += index_histogram(indices, size)
            positions, step = positions + indices.numel(), step + 1
    title = f"{name} k={size}"
    best = 1 - (1 - 1 / size) ** positions
    print(f"{title}: {positions:,} positions counted, of which even use would reach {best:.2%}", flush=True)
    return [
        figure(f"{title} psnr", [values["psnr_db"]], "dB"),
        figure(f"{title} usage", [100 * usage(histogram)], "%"),
        figure(f"{title} perplexity", [perplexity(histogram)], "codes"),
        figure(f"{title} seconds", [seconds], "s"),
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("data")
    options.add_argument("--sizes", default="64,512,4096,16384,65536")
    options.add_argument("--peer-sizes", default="64,512,4096")
    options.add_argument("--steps", type=int, default=400)
    options.add_argument("--hidden-channels", type=int, default=64)
    options.add_argument("--validation", default="0.1")
    options.add_argument("--crop", type=int, default=None, help="side of random crops, for pictures of several sizes")
    options.add_argument("--count-per-code", type=int, default=40)
    arguments = options.parse_args()
    if arguments.quick:
        arguments.sizes, arguments.peer_sizes, arguments.steps = "64", "64", 20
    data = vqkit.load_source(arguments.data)
    arguments.crop = arguments.crop or vqkit.data.default_crop(data)
    found: list[Figure] = []
    for size in (int(each) for each in arguments.sizes.split(",") if each):
        found += study(data, "vqkit", size, arguments)
        report(found[-4:], _silent(arguments))
    for size in (int(each) for each in arguments.peer_sizes.split(",") if each):
        for cosine in (False, True):
            name = "vector-quantize-pytorch" + (" cosine 16" if cosine else "")
            QUANTIZERS["peer"] = Peer
            found += study(data, name, size, arguments, quantizer="peer", quantizer_options={"cosine": cosine})
            report(found[-4:], _silent(arguments))
    if arguments.json is not None:
        report(found, arguments)


def _silent(arguments: Any) -> Any:
    """The same arguments without the file, for figures along the way."""
    return type(arguments)(**{**vars(arguments), "json": None})


if __name__ == "__main__":
    main()

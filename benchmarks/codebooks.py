"""Usage, perplexity and PSNR over the size of the codebook: vqkit's quantizers beside vector-quantize-pytorch's.

All are trained by ``vqkit study codebooks`` in the same networks, on the same batches, for the same steps; only the
quantizer differs. The peer has the settings that its own documentation recommends against collapse: k-means
initialization and restarts below 2 uses (``threshold_ema_dead_code=2``): ``peer``; ``peer-cosine16`` has codes of 16
numbers and cosine similarity besides, ``peer-rotation`` the rotation trick. As vqkit's, the peer's codebook is shown
the finished encoder's latents at the end (``Quantizer.recalibrates``).

PSNR is over the held-out items; usage and perplexity are over the whole data, training and held-out items together,
since 65,536 codes cannot all occur in a few thousand pictures.

    python benchmarks/codebooks.py DATA --sizes 64,512,4096,16384,65536 --quantizers ema,fsq --steps 400 --out runs/k
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from figures import Figure, figure, parser, report
from vqkit.ops import nearest_code
from vqkit.quantizers import QUANTIZERS, Quantization, Quantizer
from vqkit.quantizers.base import flatten_grid, unflatten_grid
from vqkit.studies.codebooks.study import codebooks


class Peer(Quantizer):
    """vector-quantize-pytorch's VectorQuantize behind vqkit's protocol."""

    recalibrates = True

    def __init__(self, codebook_size: int, code_dim: int, **options: Any) -> None:
        super().__init__()
        from vector_quantize_pytorch import VectorQuantize

        self.codebook_size, self.code_dim = codebook_size, code_dim
        self.inner = VectorQuantize(
            dim=code_dim,
            codebook_size=codebook_size,
            decay=0.99,
            commitment_weight=0.25,
            kmeans_init=True,
            threshold_ema_dead_code=2,
            **options,
        )
        self.cosine = "use_cosine_sim" in options

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        del mask
        if not self.training:  # where the library too would begin its codebook by k-means
            indices = self.encode(latents)
            return Quantization(self.lookup(indices), indices, {})
        quantized, indices, loss = self.inner(flatten_grid(latents)[None])
        found = unflatten_grid(quantized[0], latents)
        return Quantization(
            found, indices[0].view(latents.shape[0], *latents.shape[2:]), {"commitment_loss": loss.sum()}
        )

    @torch.no_grad()
    def encode(self, latents: Tensor) -> Tensor:
        """The nearest of its codes, by vqkit's search, which gives the same and takes hours less at 65,536 codes."""
        vectors = self.inner.project_in(flatten_grid(latents))
        vectors = torch.nn.functional.normalize(vectors, dim=-1) if self.cosine else vectors
        found = nearest_code(vectors, self.inner._codebook.embed[0], metric="dot" if self.cosine else "euclidean")
        return found.view(latents.shape[0], *latents.shape[2:])

    def lookup(self, indices: Tensor) -> Tensor:
        found: Tensor = self.inner.get_output_from_indices(indices.reshape(1, -1))[0]
        return found.view(*indices.shape, self.code_dim).movedim(-1, 1)


class CosinePeer(Peer):
    def __init__(self, codebook_size: int, code_dim: int) -> None:
        super().__init__(codebook_size, code_dim, codebook_dim=16, use_cosine_sim=True)


class PlainPeer(Peer):
    def __init__(self, codebook_size: int, code_dim: int) -> None:
        super().__init__(codebook_size, code_dim, rotation_trick=False)


class RotationPeer(Peer):
    def __init__(self, codebook_size: int, code_dim: int) -> None:
        super().__init__(codebook_size, code_dim, rotation_trick=True)


PEERS: dict[str, type[Quantizer]] = {"peer": PlainPeer, "peer-cosine16": CosinePeer, "peer-rotation": RotationPeer}


def _figures(entry: dict[str, Any], peers: dict[str, float]) -> list[Figure]:
    title = f"codebooks {entry['name']} k={entry['codebook_size']}"
    psnr, speed = entry["psnr_db"], entry["signals_per_second"]
    found = [
        figure(f"{title} {'psnr' if psnr is not None else 'snr'}", [entry["snr_db"] if psnr is None else psnr], "dB"),
        figure(f"{title} usage of {entry['positions_all']} positions", [100 * entry["usage_all"]], "%"),
        figure(f"{title} perplexity", [entry["perplexity_all"]], "codes"),
    ]
    if speed is not None:
        found.append(figure(f"{title} training", [speed], "signals/s", peers))
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("data", nargs="?", default="digits")
    options.add_argument("--sizes", default="64,512,4096,16384,65536")
    options.add_argument("--quantizers", default="ema")
    options.add_argument("--peers", default="peer,peer-cosine16", help="of peer, peer-cosine16, peer-rotation; or none")
    options.add_argument("--peer-sizes", default="64,512,4096")
    options.add_argument("--steps", type=int, default=400)
    options.add_argument("--hidden-channels", type=int, default=64)
    options.add_argument("--validation", default="0.1")
    options.add_argument("--crop", type=int, default=None, help="side of random crops, for pictures of several sizes")
    options.add_argument("--positions", type=int, default=1 << 22, help="of the whole data, to count usage over")
    options.add_argument("--out", type=Path, default=None, help="keep the studies and their reports here")
    options.add_argument("--threads", type=int, default=None)
    arguments = options.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.quick:
        arguments.sizes, arguments.peer_sizes, arguments.steps = "64", "64", 20
    if importlib.util.find_spec("vector_quantize_pytorch") is None:
        arguments.peers = ""
    for name, kind in PEERS.items():
        QUANTIZERS.register(name)(kind)
    settings = {
        "steps": arguments.steps,
        "hidden_channels": arguments.hidden_channels,
        "validation": arguments.validation,
        "crop": arguments.crop,
        "positions": arguments.positions,
    }
    entries: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        out = arguments.out or Path(temporary)
        for part, names, sizes in (
            ("vqkit", arguments.quantizers, arguments.sizes),
            ("peers", arguments.peers, arguments.peer_sizes),
        ):
            chosen = [name for name in names.split(",") if name not in ("", "none")]
            if chosen:
                whole = [int(size) for size in sizes.split(",")]
                found = codebooks(
                    arguments.data, out / part, quantizers=chosen, sizes=whole, say=print, quiet=True, **settings
                )
                entries += found.document["entries"]
    figures: list[Figure] = []
    for entry in (each for each in entries if each["status"] == "done"):
        same = [each for each in entries if each["codebook_size"] == entry["codebook_size"] and each is not entry]
        peers = {
            each["name"]: each["signals_per_second"]
            for each in same
            if each["name"] in PEERS and each["status"] == "done" and each["signals_per_second"]
        }
        figures += _figures(entry, {} if entry["name"] in PEERS else peers)
    report(figures, arguments)


if __name__ == "__main__":
    main()

"""One autoencoder, its quantizer vqkit's or vector-quantize-pytorch's: the same weights, batches and seeds.

The networks are those of ``train_step.py``, in plain torch, as a user of a layer has them; only the line that makes the
layer differs. Contenders take turns step by step, so that a change of the machine's speed meets all alike. After the
last step: PSNR and the share of codes used on held-out data, and milliseconds of a whole training step. A figure is the
median over the seeds, with the least and the most.

    python benchmarks/layer.py DATA --steps 500 --seeds 3
"""

from __future__ import annotations

import importlib.util
import inspect
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from figures import Figure, figure, parser, report
from train_step import CODES, DIM, plain_networks

PEER = "vector-quantize-pytorch"


def vqkit_layer() -> nn.Module:
    """The layer as it comes."""
    from vqkit.quantizers import EMAVectorQuantizer

    return EMAVectorQuantizer(CODES, DIM)


def cosine_layer() -> nn.Module:
    """The layer with the setting that vqkit's own models have by default."""
    from vqkit.quantizers import EMAVectorQuantizer

    return EMAVectorQuantizer(CODES, DIM, cosine=True)


def peer_layer() -> nn.Module:
    """The layer as it comes."""
    from vector_quantize_pytorch import VectorQuantize

    return VectorQuantize(dim=DIM, codebook_size=CODES, accept_image_fmap=True)  # type: ignore[no-any-return]


def advised_peer_layer() -> nn.Module:
    """The layer with what its documentation advises against collapse, and the paper's decay and commitment weight."""
    from vector_quantize_pytorch import VectorQuantize

    options = {"kmeans_init": True, "threshold_ema_dead_code": 2, "decay": 0.99, "commitment_weight": 0.25}
    return VectorQuantize(dim=DIM, codebook_size=CODES, accept_image_fmap=True, **options)  # type: ignore[no-any-return]


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "vqkit": vqkit_layer,
    "vqkit cosine": cosine_layer,
    PEER: peer_layer,
    f"{PEER} advised": advised_peer_layer,
}


class Network(nn.Module):
    """The autoencoder around a layer."""

    def __init__(self, make_layer: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.encoder, self.decoder = plain_networks()
        self.layer = make_layer()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction, indices and the layer's loss."""
        quantized, indices, loss = self.layer(self.encoder(x))
        return self.decoder(quantized), indices, loss


def glue(make_layer: Callable[[], nn.Module]) -> int:
    """Lines that make the layer, imports and documentation aside."""
    lines = inspect.getsource(make_layer).splitlines()[1:]
    return len([line for line in lines if line.strip() and '"""' not in line and " import " not in line])


def batches(images: Tensor, size: int, seed: int) -> Iterator[Tensor]:
    """Float batches in random order."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(images), generator=generator)
        for rows in order[: len(images) // size * size].view(-1, size):
            yield images[rows].float() / 255


@torch.no_grad()
def judge(network: Network, held: Tensor) -> tuple[float, float]:
    """PSNR in dB, and percent of the codes in use."""
    network.eval()
    error, used = 0.0, set()
    for part in held.split(250):  # type: ignore[no-untyped-call]
        x = part.float() / 255
        reconstruction, indices, _ = network(x)
        error += float((reconstruction.clamp(0, 1) - x).square().mean()) * len(x)
        used |= set(indices.unique().tolist())
    return float(-10 * torch.tensor(error / len(held)).log10()), 100 * len(used) / CODES


def train(images: Tensor, held: Tensor, names: list[str], steps: int, batch: int, seed: int) -> dict[str, Any]:
    """PSNR, usage and milliseconds of a step, by contender."""
    networks, optimizers = {}, {}
    times: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        torch.manual_seed(seed)
        networks[name] = Network(LAYERS[name]).train()
        optimizers[name] = torch.optim.Adam(networks[name].parameters(), lr=3e-4)
    first = networks[names[0]]
    for network in networks.values():  # a layer may have drawn numbers: the rest begins alike
        network.encoder.load_state_dict(first.encoder.state_dict())
        network.decoder.load_state_dict(first.decoder.state_dict())
    variance = images.float().div(255).var()
    for _, x in zip(range(steps), batches(images, batch, seed), strict=False):
        for name, network in networks.items():
            start = time.perf_counter()
            reconstruction, _, loss = network(x)
            optimizers[name].zero_grad()
            ((reconstruction - x).square().mean() / variance + loss.sum()).backward()
            optimizers[name].step()
            times[name].append(1000 * (time.perf_counter() - start))
    found = {name: (*judge(network, held), statistics.median(times[name])) for name, network in networks.items()}
    for name, (psnr, usage, milliseconds) in found.items():
        print(f"seed {seed}: {name}: {psnr:.2f} dB, {usage:.0f} % of {CODES} codes, {milliseconds:.1f} ms", flush=True)
    return found


def main() -> None:
    from vqkit import load_source

    options = parser(__doc__)
    options.add_argument("data", nargs="?", default="photos", help="images of one size, a multiple of 4")
    options.add_argument("--steps", type=int, default=500)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--held-out", type=int, default=None, help="images at the end; a tenth, 2000 at most")
    options.add_argument("--threads", type=int, default=None)
    arguments = options.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.quick:
        arguments.steps, arguments.seeds, arguments.batch = 10, 2, 8
    source = load_source(arguments.data)
    count = min(arguments.held_out or 2000, len(source) // 10)
    images, held = torch.as_tensor(source[:-count]), torch.as_tensor(source[-count:])
    has_peer = importlib.util.find_spec("vector_quantize_pytorch") is not None
    names = [name for name in LAYERS if has_peer or not name.startswith(PEER)]
    seeds = [
        train(images, held, names, arguments.steps, arguments.batch, 1000 + seed) for seed in range(arguments.seeds)
    ]
    found: list[Figure] = []
    for number, (measure, unit) in enumerate((("psnr", "dB"), ("usage", "%"), ("step", "ms"))):
        samples = {name: [each[name][number] for each in seeds] for name in names}
        for name in names:
            peers = {other: statistics.median(samples[other]) for other in names if other.startswith(PEER)}
            beside = peers if name.startswith("vqkit") and unit == "ms" else None
            found.append(figure(f"layer {name} {measure}", samples[name], unit, beside))
    found += [figure(f"layer {name} glue", [glue(LAYERS[name])], "lines") for name in names]
    about = {"data": arguments.data, "steps": arguments.steps, "batch": arguments.batch, "held_out": len(held)}
    report(found, arguments, benchmark="layer", **about)


if __name__ == "__main__":
    main()

"""Sampling from priors: tokens per second of every class of prior, beside what they replace.

A transformer with its cache stands beside its own loop without one, and beside the loop that most code on the web has
(``MiniGPT``: separate projections with biases, keys and values grown by ``torch.cat``), of the same width, depth and
number of multiplications. The PixelCNN with cached activations stands beside whole passes. Whole grids are sampled;
loops without a cache take too long for that, so they compute a few positions, evenly spread, which gives the same mean
time per position. Every contender has a process of its own; they take turns.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from typing import Any

from contest import Process, QuantizerSpec, in_turns, serve
from figures import Figure, figure, parser, report

_SPREAD = 4
"""Positions of a grid that a loop without a cache computes."""


def _prior(kind: str, width: int, layers: int, side: int, codes: int) -> Any:
    import torch

    from vqkit.priors import PRIORS

    torch.manual_seed(0)
    options = {"codebook_size": codes, "grid": [side, side], "hidden_channels": width, "layers": layers}
    return PRIORS[kind].from_config(options).eval()


def _sample(kind: str, width: int, layers: int, side: int, batch: int, codes: int) -> Callable[[], object]:
    prior = _prior(kind, width, layers, side, codes)
    return lambda: prior.sample(batch)


def _positions(side: int) -> list[int]:
    """Evenly spread positions whose mean prefix is that of all positions."""
    part = side * side // _SPREAD
    return [part // 2 + part * number for number in range(_SPREAD)]


def transformer(*settings: int) -> Callable[[], object]:
    return _sample("transformer", *settings)


def masked(*settings: int) -> Callable[[], object]:
    return _sample("masked", *settings)


def pixelcnn(*settings: int) -> Callable[[], object]:
    return _sample("pixelcnn", *settings)


def transformer_uncached(width: int, layers: int, side: int, batch: int, codes: int) -> Callable[[], object]:
    """Each position by a pass over all positions before it."""
    import torch

    from vqkit.priors.filtering import draw
    from vqkit.priors.head import embed_indices

    prior = _prior("transformer", width, layers, side, codes)
    items = torch.randint(codes, (batch, side * side, 1))
    cos, sin = prior.trunk.cos, prior.trunk.sin

    @torch.no_grad()
    def run() -> None:
        for position in _positions(side):
            start = prior.start.expand(batch, 1, -1)
            x = torch.cat([start, embed_indices(items[:, :position], prior.embedding)], dim=1)
            prior.trunk.cos, prior.trunk.sin = cos[: position + 1], sin[: position + 1]
            features = prior.trunk(x + prior.position[: position + 1])[:, -1]
            for logits in prior.head(features, items[:, position]):
                items[:, position, 0] = draw(logits, None)

    return run


def pixelcnn_naive(width: int, layers: int, side: int, batch: int, codes: int) -> Callable[[], object]:
    """Each position by a pass over the whole grid."""
    import torch

    from vqkit.priors.filtering import draw

    prior = _prior("pixelcnn", width, layers, side, codes)
    items = torch.randint(codes, (batch, side * side, 1))

    @torch.no_grad()
    def run() -> None:
        for position in _positions(side):
            features = prior._features(items, None)[:, position]
            for logits in prior.head(features, items[:, position]):
                items[:, position, 0] = draw(logits, None)

    return run


def mini_gpt(width: int, layers: int, side: int, batch: int, codes: int) -> Callable[[], object]:
    """A GPT as it is written plainly, with a cache that grows by ``torch.cat``."""
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F

    heads = max(1, width // 64)

    class PlainBlock(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
            self.project = nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            normed = self.norm_1(x)
            q, k, v = (
                layer(normed).view(batch, 1, heads, -1).transpose(1, 2) for layer in (self.query, self.key, self.value)
            )
            if past is not None:
                k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
            attention = F.softmax(q @ k.transpose(2, 3) / (width // heads) ** 0.5, dim=-1)
            x = x + self.project((attention @ v).transpose(1, 2).reshape(batch, 1, width))
            return x + self.mlp(self.norm_2(x)), (k, v)

    torch.manual_seed(0)
    embedding, position = nn.Embedding(codes + 1, width), nn.Embedding(side * side, width)
    blocks, norm, head = (
        nn.ModuleList(PlainBlock() for _ in range(layers)),
        nn.LayerNorm(width),
        nn.Linear(width, codes),
    )

    @torch.no_grad()
    def run() -> Tensor:
        token = torch.full((batch, 1), codes)
        pasts: list[tuple[Tensor, Tensor] | None] = [None] * layers
        found = []
        for place in range(side * side):
            x = embedding(token) + position(torch.tensor([place]))
            for number, block in enumerate(blocks):
                x, pasts[number] = block(x, pasts[number])
            probabilities = F.softmax(head(norm(x))[:, -1], dim=-1)
            token = torch.multinomial(probabilities, 1)
            found.append(token)
        return torch.cat(found, dim=1)

    return run


CONTENDERS: dict[str, QuantizerSpec] = {
    "transformer": transformer,
    "transformer uncached": transformer_uncached,
    "minGPT-style": mini_gpt,
    "pixelcnn": pixelcnn,
    "pixelcnn naive": pixelcnn_naive,
    "masked": masked,
}
_PEERS = {
    "transformer": ["transformer uncached", "minGPT-style"],
    "pixelcnn": ["pixelcnn naive"],
    "masked": ["transformer"],
}


def _measure(names: list[str], width: int, layers: int, side: int, batch: int, codes: int, rounds: int) -> list[Figure]:
    samples = in_turns([Process(__file__, name, width, layers, side, batch, codes) for name in names], rounds)
    rates: dict[str, list[float]] = {}
    for name, times in samples.items():
        computed = _SPREAD if name.endswith(("uncached", "naive")) else side * side
        rates[name] = [batch * computed / each for each in times]
    found = []
    for name, values in rates.items():
        peers = {other: statistics.median(rates[other]) for other in _PEERS.get(name, []) if other in rates}
        title = f"sampling {side}x{side} batch={batch} {layers}x{width} {name}"
        found.append(figure(title, values, "tokens/s", peers))
    for name in names:
        if name not in samples:
            print(f"{name}: the process died", file=sys.stderr)
    return found


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(CONTENDERS, *sys.argv[2:])
        return
    arguments = parser(__doc__).parse_args()
    attention = ["transformer", "transformer uncached", "minGPT-style", "masked"]
    convolution = ["pixelcnn", "pixelcnn naive"]
    if arguments.quick:
        found = _measure(attention, 64, 2, 8, 4, 64, 3) + _measure(convolution, 32, 4, 8, 4, 64, 3)
    else:
        found = _measure(attention, 512, 12, 16, 16, 1024, 3) + _measure(convolution, 128, 12, 16, 16, 1024, 3)
    report(found, arguments)


if __name__ == "__main__":
    main()

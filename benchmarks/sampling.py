"""Sampling from priors: tokens per second of every class of prior, beside what they replace.

A transformer with its cache stands beside its own loop without one, and beside the loop that most code on the web has
(``MiniGPT``: separate projections with biases, keys and values grown by ``torch.cat``), of the same width, depth and
number of multiplications. The PixelCNN with cached activations stands beside whole passes. Whole grids are sampled;
loops without a cache take too long for that, so they compute a few positions, evenly spread, which gives the same mean
time per position. Every contender has a process of its own; they take turns.

Then the same samples in fewer passes: a transformer and a PixelCNN, each trained for a minute on 7x7 and 14x14 grids of
``builtin:fashion``, draw one position after another and with guesses that are checked (``ahead``), in turns in one
process; and how many positions a pass takes. (Priors that have learned nothing would take many: their positions do not
depend on each other.)
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
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
_AHEAD = 31
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


def _trained(kind: str, tokens: Any, folder: Path, quick: bool) -> Any:
    """A prior of the classes of these tokens, trained for a minute."""
    import vqkit
    from vqkit.priors import PRIORS

    sizes = {"hidden_channels": 128, "layers": 4} if kind == "transformer" else {}
    prior = PRIORS[kind].for_tokens(tokens, classes=10, seed=0, **sizes)
    length: dict[str, Any] = {"steps": 20} if quick else {"minutes": 1.0}
    vqkit.train(
        prior, tokens, out=folder, batch_size=16, learning_rate=2e-3, evaluations=0, evaluation_items=64, quiet=True,
        tensorboard=False, threads=1, **length,
    )  # fmt: skip
    return prior


def _seconds(prior: Any, batch: int, seed: int, ahead: int) -> float:
    import torch

    told, start = torch.arange(batch) % 10, time.perf_counter()
    prior.sample(batch, told, generator=torch.Generator().manual_seed(seed), ahead=ahead)
    return time.perf_counter() - start


def _passes(prior: Any, batch: int, seed: int) -> int:
    import torch

    told, generator = torch.arange(batch) % 10, torch.Generator().manual_seed(seed)
    return sum(1 for _ in prior.sample_steps(batch, told, generator=generator, ahead=_AHEAD)) - 1


def _measure_guessing(downsampling: int, rounds: int, quick: bool) -> list[Figure]:
    import vqkit

    found = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        data = vqkit.load_source("builtin:fashion")
        model = vqkit.VQVAE.for_source(data, 256, downsampling=downsampling, hidden_channels=32, seed=0)
        steps = 20 if quick else 300
        vqkit.train(model, data, steps=steps, out=folder / "model", quiet=True, tensorboard=False, threads=1)
        tokens = vqkit.tokenize(model, data, folder / "tokens")
        for kind in ("transformer", "pixelcnn"):
            prior = _trained(kind, tokens, folder / kind, quick)
            for batch in (1, 16):
                times: dict[int, list[float]] = {0: [], _AHEAD: []}
                for seed in range(rounds):
                    for ahead, each in times.items():
                        each.append(_seconds(prior, batch, seed, ahead))
                rates = {ahead: [batch * prior.positions / one for one in each] for ahead, each in times.items()}
                title = f"sampling {'x'.join(map(str, prior.grid))} batch={batch} trained {kind}"
                plain = {"one by one": statistics.median(rates[0])}
                taken = [prior.positions / _passes(prior, batch, seed) for seed in range(rounds)]
                found += [
                    figure(f"{title} one by one", rates[0], "tokens/s"),
                    figure(f"{title} ahead={_AHEAD}", rates[_AHEAD], "tokens/s", plain),
                    figure(f"{title} ahead={_AHEAD}", taken, "positions a pass"),
                ]
    return found


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(CONTENDERS, *sys.argv[2:])
        return
    built = parser(__doc__)
    built.add_argument("--guessing", action="store_true", help="only the trained priors, with and without guesses")
    arguments = built.parse_args()
    attention = ["transformer", "transformer uncached", "minGPT-style", "masked"]
    convolution = ["pixelcnn", "pixelcnn naive"]
    found: list[Figure] = []
    if arguments.quick and not arguments.guessing:
        found += _measure(attention, 64, 2, 8, 4, 64, 3) + _measure(convolution, 32, 4, 8, 4, 64, 3)
    elif not arguments.guessing:
        found += _measure(attention, 512, 12, 16, 16, 1024, 3) + _measure(convolution, 128, 12, 16, 16, 1024, 3)
    for downsampling in (4,) if arguments.quick else (4, 2):
        found += _measure_guessing(downsampling, 2 if arguments.quick else 9, arguments.quick)
    report(found, arguments, benchmark="sampling")


if __name__ == "__main__":
    main()

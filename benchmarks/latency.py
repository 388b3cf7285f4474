"""One picture at a time: encode, decode and reconstruct beside the networks alone, as a service waits for them.

All contenders of a size take turns in one process. "networks" is what cannot be saved: the encoder on a normalized
tensor and the quantizer's search; the codewords and the decoder; both. "plain search" has a matrix product and
``argmin`` in the search's place, which is what an exported graph runs (its answers may differ in the last place).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

import vqkit
from figures import Figure, figure, parser, report

Call = Callable[[], object]


def calls(side: int) -> dict[str, dict[str, Call]]:
    """What is measured for a picture of this side, by operation: the networks alone first."""
    torch.manual_seed(0)
    model = vqkit.VQVAE(512).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    tensor = torch.from_numpy(pixels).movedim(-1, 0)[None].contiguous()
    numbers = (tensor / 255 - model.signal_mean) / model.signal_std
    numbers = numbers.contiguous(memory_format=torch.channels_last)
    indices = model.encode(tensor)
    book = model.codebook

    @torch.no_grad()
    def searched() -> torch.Tensor:
        return model.quantizer.encode(model.encoder(numbers))

    @torch.no_grad()
    def plain() -> torch.Tensor:
        latents = torch.nn.functional.normalize(model.encoder(numbers).movedim(1, -1).flatten(0, -2), dim=1)
        return (latents @ book.t()).argmax(dim=1)

    @torch.no_grad()
    def drawn(codes: torch.Tensor = indices) -> torch.Tensor:
        found: torch.Tensor = model.decoder(torch.nn.functional.embedding(codes, book).movedim(-1, 1))
        return found

    given = {"tensor": tensor, "NumPy": pixels, "PIL": picture}
    encoding: dict[str, Call] = {"networks": searched, "plain search": plain}
    encoding |= {kind: lambda x=x: model.encode(x) for kind, x in given.items()}  # type: ignore[misc]
    decoding: dict[str, Call] = {"networks": drawn, "tensor": lambda: model.decode(indices)}
    decoding["NumPy"] = lambda: model.decode(indices.numpy())
    both: dict[str, Call] = {"networks": lambda: drawn(searched())}
    both |= {kind: lambda x=x: model.reconstruct(x) for kind, x in given.items()}  # type: ignore[misc]
    return {"encode": encoding, "decode": decoding, "reconstruct": both}


def measure(side: int, rounds: int) -> list[Figure]:
    """Milliseconds of each call, all taking turns."""
    operations = calls(side)
    samples: dict[tuple[str, str], list[float]] = {}
    for turn in range(rounds + 2):
        for operation, contenders in operations.items():
            for name, call in contenders.items():
                start = time.perf_counter()
                call()
                if turn >= 2:
                    samples.setdefault((operation, name), []).append((time.perf_counter() - start) * 1e3)
    found = []
    for (operation, name), times in samples.items():
        peers = {} if name == "networks" else {"networks": float(np.median(samples[operation, "networks"]))}
        found.append(figure(f"{operation} {side}x{side} {name}", times, "ms", peers))
    return found


def main() -> None:
    arguments = parser(__doc__).parse_args()
    few = arguments.quick
    report(measure(32, 10 if few else 300) + measure(256, 3 if few else 40), arguments)


if __name__ == "__main__":
    main()

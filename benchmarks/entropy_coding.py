"""Integer frequencies and range coding: symbols per second, and bytes over the ideal, for tables of K symbols.

``own tables`` has a table for every symbol, as a learned prior gives; ``one table`` shares it, as a histogram does. The
peer is constriction called with its own floating-point tables, as its documentation does: what it costs to have tables
that are exact on every machine, and a decoder that notices bytes no encoder writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from figures import Figure, figure, parser, report
from vqkit.coding import Decoder, Encoder, frequencies, ideal_bits

Table = NDArray[np.int64]


def rates(run: Callable[[], object], symbols: int, rounds: int) -> list[float]:
    """Symbols per second of each round, after one that is not counted."""
    run()
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        found.append(symbols / (time.perf_counter() - start))
    return found


def draw(table: Table, count: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """``[count]`` symbols that follow their tables."""
    places = rng.integers(0, 1 << 24, size=count)
    if table.ndim == 1:
        return np.searchsorted(np.cumsum(table), places, side="right").astype(np.int32)
    return np.asarray((np.cumsum(table, axis=1) <= places[:, None]).sum(axis=1), dtype=np.int32)


def measure(codes: int, count: int, shared: bool, rounds: int) -> list[Figure]:
    from constriction import stream

    rng = np.random.default_rng(0)
    weights = (rng.dirichlet(np.full(codes, 0.1), size=1 if shared else count) * (1 << 16)).astype(np.int64)
    weights = weights[0] if shared else weights
    table = frequencies(weights)
    symbols = draw(table, count, rng)
    floats = (weights + 1).astype(np.float32)
    family = stream.model.Categorical(floats, perfect=False) if shared else stream.model.Categorical(perfect=False)
    model = (family,) if shared else (family, floats)
    amount = count if shared else floats

    def encode() -> bytes:
        encoder = Encoder()
        encoder.encode(symbols, table)
        return encoder.bytes()

    def peer_encode() -> NDArray[np.uint32]:
        encoder = stream.queue.RangeEncoder()
        encoder.encode(symbols, *model)
        return np.asarray(encoder.get_compressed())

    data, words = encode(), peer_encode()

    def decode() -> None:
        decoder = Decoder(data)
        decoder.decode(table, count if shared else None)
        decoder.finish()

    def peer_decode() -> None:
        decoder = stream.queue.RangeDecoder(words)
        decoder.decode(family, amount)

    title = f"entropy_coding K={codes} {'one table' if shared else 'own tables'}"
    peers = {
        "encode": rates(peer_encode, count, rounds),
        "decode": rates(peer_decode, count, rounds),
    }
    found = (
        []
        if shared
        else [figure(f"{title} frequencies", rates(lambda: frequencies(weights), count, rounds), "symbols/s")]
    )
    for name, run in (("encode", encode), ("decode", decode)):
        peer = {"constriction alone": float(np.median(peers[name]))}
        found.append(figure(f"{title} {name}", rates(run, count, rounds), "symbols/s", peer))
    ideal = ideal_bits(symbols, table)
    found.append(figure(f"{title} over ideal", [8 * len(data) - ideal], "bits", {"ideal": ideal}))
    return found


def small_images(rounds: int) -> list[Figure]:
    """Bytes over the ideal of 64 positions of 512 codes, the size of a small image; the library's words beside."""
    from constriction import stream

    rng, ours, words = np.random.default_rng(1), [], []
    for _ in range(100 * rounds):
        table = frequencies((rng.dirichlet(np.full(512, 0.1), size=64) * (1 << 16)).astype(np.int64))
        symbols = draw(table, 64, rng)
        encoder = Encoder()
        encoder.encode(symbols, table)
        ideal = ideal_bits(symbols, table) / 8
        ours.append(len(encoder.bytes()) - ideal)
        library = stream.queue.RangeEncoder()
        library.encode(symbols, stream.model.Categorical(perfect=False), (table - 1).astype(np.float32))
        words.append(library.num_bits() / 8 - ideal)
    whole = [float(np.mean(ours))]
    peers = {"constriction's words": float(np.mean(words))}
    return [figure("entropy_coding small image over ideal", whole, "bytes", peers)]


def main() -> None:
    arguments = parser(__doc__).parse_args()
    rounds = 1 if arguments.quick else 5
    figures = []
    for codes in (256, 512, 4096):
        count = (1 << 18 if arguments.quick else 1 << 21) // codes
        figures += measure(codes, count, False, rounds)
        figures += measure(codes, 100_000, True, rounds)
    report(figures + small_images(rounds), arguments)


if __name__ == "__main__":
    main()

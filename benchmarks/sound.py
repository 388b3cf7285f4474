"""Networks for sound: real-time factors of exact encoding and decoding, whole and in chunks, latency, and memory.

A real-time factor is seconds of sound in a second of computing: 20 means that an hour takes 3 minutes. "exact" is fixed
point, as models compute in evaluation mode (the tokens of the clip alone, in any batch, chunk and number of threads);
"float" is the same network with ``exact=False``. All contenders of a size take turns in one process, so that a busy
machine slows all of them. The peer is EnCodec (arXiv 2210.13438) of transformers with random weights, float32, its
LSTM included, at the widths of ``hidden_channels=512``; without transformers it is left out.

An hour goes through ``model.stream()`` in chunks of ten seconds; its memory is the peak of the process over what it had
before.
"""

from __future__ import annotations

import importlib.util
import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

import vqkit
from figures import Figure, figure, parser, report

RATE, FRAME = 16_000, 320
WIDTHS = (128, 512)


def model_of(hidden: int, *, exact: bool = True) -> vqkit.VQVAE:
    """A VQ-VAE with the strides of EnCodec: 50 frames a second at 16 kHz."""
    torch.manual_seed(0)
    encoder = {"type": "seanet", "config": {"strides": [2, 4, 5, 8], "hidden_channels": hidden, "exact": exact}}
    sizes: dict[str, Any] = {"axes": 1, "channels": 1, "code_dim": 32, "kind": f"sound@{RATE}"}
    model = vqkit.VQVAE(1024, encoder=encoder, decoder="seanet", **sizes)
    model.prepare([sound(2)])
    return model.eval()


def sound(seconds: int) -> torch.Tensor:
    """Noise whose loudness changes."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 1, RATE * seconds, generator=generator)
    return (0.2 * noise * torch.linspace(0, 6, RATE * seconds).sin()).clamp(-1, 1)


def encodec() -> Any:
    """EnCodec's encoder and decoder at 16 kHz with random weights, or None without transformers."""
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers import EncodecConfig, EncodecModel  # type: ignore[import-not-found, unused-ignore]

    torch.manual_seed(0)
    return EncodecModel(EncodecConfig(sampling_rate=RATE, upsampling_ratios=[8, 5, 4, 2])).eval()  # type: ignore[no-untyped-call, unused-ignore]


def contenders(hidden: int, x: torch.Tensor) -> dict[str, Callable[[], object]]:
    """What is timed, by name: whole files, then chunks."""
    exact, plain = model_of(hidden), model_of(hidden, exact=False)
    indices = exact.encode(x)
    frames = indices.shape[1]
    found: dict[str, Callable[[], object]] = {
        "encode exact": lambda: exact.encode(x),
        "encode float": lambda: plain.encode(x),
        "decode exact": lambda: exact.decode(indices),
        "decode float": lambda: plain.decode(indices),
    }
    peer = encodec() if hidden == 512 else None
    if peer is not None:
        latents = torch.randn(1, 128, frames, generator=torch.Generator().manual_seed(0))
        found["encode encodec"] = lambda: peer.encoder(x)
        found["decode encodec"] = lambda: peer.decoder(latents)

    def encoded(count: int) -> None:
        stream = exact.stream()
        for chunk in torch.split(x, count * FRAME, dim=2):
            stream.encode(chunk)
        stream.encode(last=True)

    def decoded(count: int) -> None:
        stream = exact.stream()
        for chunk in torch.split(indices, count, dim=1):
            stream.decode(chunk)

    for count in (1, 7):
        found[f"encode exact, chunks of {count}"] = partial(encoded, count)
        found[f"decode exact, chunks of {count}"] = partial(decoded, count)
    return found


@torch.no_grad()
def of_width(hidden: int, threads: int, seconds: int, repeats: int) -> list[Figure]:
    """Real-time factors, all contenders in turn."""
    torch.set_num_threads(threads)
    calls = contenders(hidden, sound(seconds))
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            taken[name].append(seconds / (time.perf_counter() - begin))
    medians = {name: sorted(each)[len(each) // 2] for name, each in taken.items()}
    figures = []
    for name, each in taken.items():
        way = name.partition(" ")[0]
        peers = (
            {}
            if not name.endswith("exact")
            else {peer: medians[f"{way} {peer}"] for peer in ("float", "encodec") if f"{way} {peer}" in medians}
        )
        figures.append(figure(f"{hidden} channels, {threads} threads: {name}", each, "x real time", peers))
    return figures


def of_stream() -> list[Figure]:
    """Latency that streams state, of a causal network and of one that looks ahead."""
    figures = []
    for causal in (True, False):
        config = {"strides": [2, 4, 5, 8], "hidden_channels": 128, "causal": causal}
        sizes: dict[str, Any] = {"axes": 1, "channels": 1, "code_dim": 32, "kind": f"sound@{RATE}"}
        model = vqkit.VQVAE(16, encoder={"type": "seanet", "config": config}, decoder="seanet", **sizes).eval()
        said = model.stream().latency_seconds
        assert said is not None
        figures.append(figure(f"latency, {'causal' if causal else 'centered'}", [1000 * said], "ms"))
    return figures


def of_memory(minutes: int) -> list[Figure]:
    """Memory that a long recording adds in a stream."""
    model = model_of(128)
    stream, chunk = model.stream(), sound(10)
    stream.decode(stream.encode(chunk))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(6 * minutes):
        stream.decode(stream.encode(chunk))
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return [figure(f"memory that {minutes} minutes add", [more], "MiB")]


def main() -> None:
    arguments = parser(__doc__).parse_args()
    seconds, repeats = (2, 2) if arguments.quick else (20, 7)
    figures = of_stream()
    for hidden in WIDTHS[:1] if arguments.quick else WIDTHS:
        for threads in (1, 2):
            found = of_width(hidden, threads, seconds, repeats)
            print(f"measured: {hidden} channels on {threads} threads", flush=True)
            figures += found
    torch.set_num_threads(1)
    figures += of_memory(1 if arguments.quick else 60)
    report(figures, arguments, rate=RATE, frame=FRAME)


if __name__ == "__main__":
    main()

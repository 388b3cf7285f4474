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

import numpy as np
import torch

import vqkit
from figures import Figure, figure, parser, report

RATE, FRAME = 16_000, 320
WIDTHS = (128, 512)
CODES, CODEBOOKS = 1024, 6
"""Of the models beside EnCodec: 3 kbps."""


def model_of(hidden: int, *, exact: bool = True, codebooks: int = 1) -> vqkit.VQVAE:
    """A VQ-VAE with the strides of EnCodec: 50 frames a second at 16 kHz."""
    config = {"strides": [2, 4, 5, 8], "hidden_channels": hidden, "exact": exact}
    return ready(unprepared({"type": "seanet", "config": config}, codebooks))


def convnext_of(hidden: int) -> vqkit.VQVAE:
    """The network of docs/sound.md, as wide as is said, causal so that it streams."""
    return ready(unprepared(_convnext(hidden), CODEBOOKS))


def _convnext(hidden: int) -> dict[str, Any]:
    config = {"strides": [160, 2], "hidden_channels": hidden, "causal": True, "lapped": True}
    return {"type": "convnext", "config": config}


def unprepared(network: dict[str, Any], codebooks: int) -> vqkit.VQVAE:
    torch.manual_seed(0)
    stack: dict[str, Any] = {"num_codebooks": codebooks, "stacking": "residual"} if codebooks > 1 else {}
    sizes: dict[str, Any] = {"axes": 1, "channels": 1, "code_dim": 32, "kind": f"sound@{RATE}"}
    return vqkit.VQVAE(CODES, encoder=network, decoder=network["type"], **stack, **sizes)


def ready(model: vqkit.VQVAE) -> vqkit.VQVAE:
    model.prepare([sound(2)])
    return model.eval()


def parameters(model: torch.nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


def as_large(wanted: int) -> vqkit.VQVAE:
    """The convnext with so many parameters, nearly: they are a quadratic function of the width; in steps of 32."""
    widths = (32, 64, 96)
    counts = [parameters(unprepared(_convnext(width), CODEBOOKS)) for width in widths]
    square, linear, constant = np.polyfit(widths, counts, 2)
    width = max(np.roots([square, linear, constant - wanted]).real)
    return convnext_of(max(32, 32 * round(width / 32)))


def sound(seconds: int) -> torch.Tensor:
    """Noise whose loudness changes."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 1, RATE * seconds, generator=generator)
    return (0.2 * noise * torch.linspace(0, 6, RATE * seconds).sin()).clamp(-1, 1)


def encodec() -> Any:
    """EnCodec at 16 kHz with random weights and 50 frames a second, or None without transformers."""
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers import EncodecConfig, EncodecModel  # type: ignore[import-not-found, unused-ignore]

    torch.manual_seed(0)
    config = EncodecConfig(sampling_rate=RATE, upsampling_ratios=[8, 5, 4, 2], target_bandwidths=[3.0])  # type: ignore[no-untyped-call, unused-ignore]
    model: Any = EncodecModel(config)
    return model.eval()


def beside_encodec(threads: int, seconds: int, repeats: int, wanted: int | None) -> list[Figure]:
    """Real-time factors of the whole way to indices and back, EnCodec and ours in turn."""
    peer = encodec()
    if peer is None:
        print("transformers is not installed: nothing stands beside EnCodec")
        return []
    x = sound(seconds)
    models = {"seanet": model_of(512, codebooks=CODEBOOKS), "convnext": as_large(wanted or parameters(peer))}
    codes, scales = peer.encode(x, bandwidth=3.0, return_dict=False)[:2]
    assert codes.shape[2] == CODEBOOKS, codes.shape
    calls: dict[str, Callable[[], object]] = {
        "encode, EnCodec": lambda: peer.encode(x, bandwidth=3.0),
        "decode, EnCodec": lambda: peer.decode(codes, scales),
    }
    for name, model in models.items():
        indices = model.encode(x)
        calls[f"encode, {name}"] = partial(model.encode, x)
        calls[f"decode, {name}"] = partial(model.decode, indices)
    figures = [figure("parameters, EnCodec", [parameters(peer) / 1e6], "million")]
    figures += [figure(f"parameters, {name}", [parameters(model) / 1e6], "million") for name, model in models.items()]
    taken = in_turn(calls, seconds, repeats)
    medians = {name: sorted(each)[len(each) // 2] for name, each in taken.items()}
    for name, each in taken.items():
        own = name.partition(",")[0]
        peers = {} if name.endswith("EnCodec") else {"EnCodec": medians[f"{own}, EnCodec"]}
        figures.append(figure(f"beside EnCodec, {threads} threads: {name}", each, "x real time", peers))
    return figures


def in_turn(calls: dict[str, Callable[[], object]], seconds: int, repeats: int) -> dict[str, list[float]]:
    """Real-time factors of each call."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            taken[name].append(seconds / (time.perf_counter() - begin))
    return taken


def contenders(exact: vqkit.VQVAE, plain: vqkit.VQVAE | None, x: torch.Tensor) -> dict[str, Callable[[], object]]:
    """What is timed, by name: whole files, then chunks."""
    indices = exact.encode(x)
    found: dict[str, Callable[[], object]] = {
        "encode exact": lambda: exact.encode(x),
        "decode exact": lambda: exact.decode(indices),
    }
    if plain is not None:
        found["encode float"] = lambda: plain.encode(x)
        found["decode float"] = lambda: plain.decode(indices)

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
    """Real-time factors of a SEANet, all contenders in turn."""
    calls = contenders(model_of(hidden), model_of(hidden, exact=False), sound(seconds))
    return factors(f"{hidden} channels, {threads} threads", calls, seconds, repeats)


@torch.no_grad()
def of_convnext(threads: int, seconds: int, repeats: int, width: int) -> list[Figure]:
    """The same of the network of docs/sound.md with its codebooks."""
    calls = contenders(convnext_of(width), None, sound(seconds))
    return factors(f"convnext of {width}, {CODEBOOKS} codebooks, {threads} threads", calls, seconds, repeats)


def factors(of: str, calls: dict[str, Callable[[], object]], seconds: int, repeats: int) -> list[Figure]:
    taken = in_turn(calls, seconds, repeats)
    medians = {name: sorted(each)[len(each) // 2] for name, each in taken.items()}
    figures = []
    for name, each in taken.items():
        plain = f"{name.partition(' ')[0]} float"
        peers = {"float": medians[plain]} if name.endswith("exact") and plain in medians else {}
        figures.append(figure(f"{of}: {name}", each, "x real time", peers))
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


PARTS = ("seanet", "convnext", "encodec", "memory")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--only", default=",".join(PARTS), help="which parts, by commas")
    options.add_argument("--threads", default="1,2", help="numbers of threads, by commas")
    options.add_argument("--parameters", type=int, help="of the convnext beside EnCodec (default: as many as EnCodec)")
    arguments = options.parse_args()
    parts = arguments.only.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        options.error(f"--only {unknown[0]}: not one of {', '.join(PARTS)}")
    quick = arguments.quick
    seconds, repeats = (1, 2) if quick else (20, 7)
    figures = of_stream()
    for threads in map(int, arguments.threads.split(",")):
        torch.set_num_threads(threads)
        if "seanet" in parts:
            for hidden in WIDTHS[:1] if quick else WIDTHS:
                figures += of_width(hidden, threads, seconds, repeats)
        if "convnext" in parts:
            figures += of_convnext(threads, seconds, repeats, 32 if quick else 128)
        if "encodec" in parts:
            with torch.no_grad():
                figures += beside_encodec(threads, seconds, repeats, 1_000_000 if quick else arguments.parameters)
        print(f"measured on {threads} threads", flush=True)
    torch.set_num_threads(1)
    if "memory" in parts:
        figures += of_memory(1 if quick else 60)
    report(figures, arguments, rate=RATE, frame=FRAME)


if __name__ == "__main__":
    main()

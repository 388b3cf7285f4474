"""Megapixels a second of ``.vqk`` files there and back, beside JPEG XL and JPEG on the same images and threads.

Every image is a file of its own, in memory, its bytes read from and written to it (opening a PNG is not in it). The
share of the entropy coder is the time inside of its calls; what the prior's network takes is not in that share.

    vqkit train DATA --out runs/t && vqkit prior runs/t --kind context
    python benchmarks/throughput.py runs/t DATA --images 10 --threads 2

CompressAI publishes seconds an image of its models on a CPU that it does not name (results/image/kodak/*_cpu.json in
its repository, commit 128f003, 768x512 pixels, the lower rates); ``--published`` prints them as megapixels a second.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from figures import Figure, figure, parser, report
from vqkit.cli.files import exact_prior
from vqkit.codec import Compressor, Decompressor, Signal
from vqkit.codec.entropy import models as entropy_models
from vqkit.codec.entropy.models import EntropyModel, entropy_model
from vqkit.coding import Decoder, Encoder
from vqkit.data import load_source
from vqkit.models import VQVAE, load_model
from vqkit.studies.rate_distortion.image_codecs import ImageCodec, image_codecs

Pixels = np.ndarray[Any, Any]
_PUBLISHED = {
    "bmshj2018-hyperprior": (0.69, 0.90),
    "mbt2018-mean": (0.74, 0.94),
    "mbt2018 (context model)": (5.5, 10.0),
    "cheng2020-anchor (context model)": (4.3, 8.7),
}
"""Seconds to encode and decode an image of Kodak, medians of the first three rates."""


class Clock:
    """Seconds inside of the entropy coder's calls, while it is entered."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Clock:
        def timed(function: Any) -> Any:
            def run(*given: Any, **named: Any) -> Any:
                start = time.perf_counter()
                found = function(*given, **named)
                self.seconds += time.perf_counter() - start
                return found

            return run

        class TimedEncoder:
            def __init__(self) -> None:
                coder = Encoder()
                self.encode, self.bytes = timed(coder.encode), timed(coder.bytes)

        class TimedDecoder:
            def __init__(self, data: bytes) -> None:
                coder = Decoder(data)
                self.decode, self.finish = timed(coder.decode), timed(coder.finish)

        for name, kind in (("Encoder", TimedEncoder), ("Decoder", TimedDecoder)):
            setattr(entropy_models, name, kind)
        return self

    def __exit__(self, *_: object) -> None:
        for name, kind in (("Encoder", Encoder), ("Decoder", Decoder)):
            setattr(entropy_models, name, kind)


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def of_files(model: VQVAE, entropy: EntropyModel, images: list[Pixels], repeats: int) -> dict[str, list[float]]:
    """Seconds of all images for each repetition, and per cent of the entropy coder."""
    writer = Compressor(model, entropy)
    readers = {"decompress": Decompressor(model, entropy), "decompress --fast": Decompressor(model, entropy, fast=True)}
    found: dict[str, list[float]] = {}

    def write(image: Pixels) -> bytes:
        file = io.BytesIO()
        writer.write(file, [Signal(image)])
        return file.getvalue()

    for repeat in range(repeats + 1):  # the first for nothing
        files: list[bytes] = []
        with Clock() as clock:
            took = seconds(lambda: files.extend(map(write, images)))  # noqa: B023
            times = {"compress": (took, clock.seconds)}
        for name, reader in readers.items():
            with Clock() as clock:
                took = seconds(lambda: [list(reader.read(io.BytesIO(file))) for file in files])  # noqa: B023
                times[name] = (took, clock.seconds)
        for name, (whole, coder) in times.items():
            if repeat:
                found.setdefault(name, []).append(whole)
                found.setdefault(f"entropy coder's share of {name}", []).append(100 * coder / whole)
    found["bits per pixel"] = [8 * sum(map(len, files)) / sum(image[0].size for image in images)]
    return found


def of_codec(codec: ImageCodec, images: list[Pixels], wanted: float, repeats: int) -> dict[str, list[float]]:
    """The same of another format, at the setting whose files come nearest to the bits wanted."""
    pixels = sum(image[0].size for image in images)

    def distance(value: float) -> float:
        return abs(float(8 * sum(len(codec.encode(image, value)) for image in images) / pixels) - wanted)

    value = min(codec.values, key=distance)
    found: dict[str, list[float]] = {"encode": [], "decode": []}
    for _ in range(repeats):
        files: list[bytes] = []
        found["encode"].append(seconds(lambda: files.extend(codec.encode(each, value) for each in images)))  # noqa: B023
        found["decode"].append(seconds(lambda: [codec.decode(file, len(images[0])) for file in files]))  # noqa: B023
    return found


def rates(images: list[Pixels], found: dict[str, list[float]]) -> dict[str, list[float]]:
    megapixels = sum(image[0].size for image in images) / 1e6
    return {name: [megapixels / each for each in values] for name, values in found.items()}


def measured(model: VQVAE, entropy: EntropyModel, images: list[Pixels], repeats: int) -> list[Figure]:
    own = of_files(model, entropy, images, repeats)
    bits = own.pop("bits per pixel")
    shares = {name: own.pop(name) for name in list(own) if "share" in name}
    settings: dict[str, list[float]] = {"jpeg": [5, 10, 20, 30, 50, 70, 90], "jpeg_xl": [0.5, 1, 2, 4, 7, 10, 15]}
    codecs = [each for each in image_codecs(settings, model.channels)[0] if each.name in ("JPEG", "JPEG XL")]
    peers = {each.name: rates(images, of_codec(each, images, bits[0], repeats)) for each in codecs}
    figures = []
    for name, values in rates(images, own).items():
        which = "encode" if name == "compress" else "decode"
        beside = {f"{peer} {which}": float(np.median(its[which])) for peer, its in peers.items()}
        figures.append(figure(name, values, "MP/s", beside))
    figures += [figure(f"{peer} {which}", its[which], "MP/s") for peer, its in peers.items() for which in its]
    figures += [figure(name, values, "%") for name, values in shares.items()]
    return [*figures, figure("bits per pixel", bits, "bits")]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("run", nargs="?", default=None)
    options.add_argument("data", nargs="?", default=None)
    options.add_argument("--prior", default=None, help="as of vqkit compress")
    options.add_argument("--images", type=int, default=10)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--published", action="store_true", help="also CompressAI's figures, of another machine")
    arguments = options.parse_args()
    figures: list[Figure] = []
    if arguments.published:
        for name, both in _PUBLISHED.items():
            for which, took in zip(("encode", "decode"), both, strict=True):
                figures.append(figure(f"CompressAI {name} {which}, published", [768 * 512 / 1e6 / took], "MP/s"))
    if arguments.run is None or arguments.data is None:
        print("give the RUN of a tokenizer and DATA to measure files")
    else:
        torch.set_num_threads(arguments.threads)
        if arguments.quick:
            arguments.images, arguments.repeats = 2, 1
        model: Any = load_model(arguments.run)
        entropy = entropy_model(exact_prior(model, arguments.run, arguments.prior), model.codebook_size)
        source = load_source(arguments.data).with_channels(model.channels)
        images = [source.read(number) for number in range(min(arguments.images, len(source)))]
        figures += measured(model, entropy, images, arguments.repeats)
    report(figures, arguments, images=arguments.images)


if __name__ == "__main__":
    main()

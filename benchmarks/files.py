"""``.vqk`` files of a run: do they decode alike everywhere, how near are they to their models' bits, how fast are they?

``--files`` single-image files are written one by one (one thread, float32), and every one is decoded again with two
threads, without MKL-DNN, with float64 carriers, without int8 products and with the frequencies compiled, and, from
files of 16 images, in batches: files whose indices differ are counted (none may). Then whole images (``--images`` of
them) are compressed and decompressed: megapixels per second, the share of the time that entropy coding takes, bytes
beside the ideal bits.

    vqkit train DATA --out runs/t && vqkit prior runs/t --kind context
    python benchmarks/files.py runs/t DATA --files 10000
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from figures import Figure, figure, parser, report
from vqkit.cli.files import exact_prior
from vqkit.codec import Compressor, Decompressor, Signal, entropy_models
from vqkit.codec.entropy_models import EntropyModel, entropy_model
from vqkit.coding import Decoder, Encoder
from vqkit.data import Source, load_source
from vqkit.models import VQVAE, load_model
from vqkit.priors import ContextPrior
from ways import float32_products, float64_carrier, no_mkldnn, threads


@contextmanager
def other_frequencies(prior: Any, made: Any) -> Iterator[None]:
    plain = prior.frequencies
    prior.frequencies = made
    yield
    prior.frequencies = plain


def indices_of(reader: Decompressor, data: bytes) -> list[bytes]:
    """The indices of a file's signals, without decoding signals."""
    return [each.indices.numpy().tobytes() for each in reader.read(io.BytesIO(data))]


def written(writer: Compressor, images: list[np.ndarray[Any, Any]]) -> bytes:
    file = io.BytesIO()
    writer.write(file, (Signal(each) for each in images))
    return file.getvalue()


def alike(model: VQVAE, prior: Any, entropy: EntropyModel, source: Source, count: int) -> list[Figure]:
    """Files that decode to other indices (or not at all) in another setting."""
    writer, reader = Compressor(model, entropy), Decompressor(model, entropy, fast=True)
    reader.signals = lambda indices, _: indices  # type: ignore[assignment, method-assign]
    ways: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "again": nullcontext,
        "two_threads": lambda: threads(2),
    }
    if isinstance(prior, ContextPrior):
        ways["float64_carrier"] = lambda: float64_carrier(prior)
        ways["no_mkldnn"] = lambda: no_mkldnn(prior)
        ways["float32_products"] = lambda: float32_products(prior)
        made = torch.compile(prior.frequencies, dynamic=True)
        ways["compiled"] = lambda: other_frequencies(prior, made)
    wrong = dict.fromkeys([*ways, "batches_of_16"], 0)
    for start in range(0, count, 16):
        images = [source.read(number % len(source)) for number in range(start, min(count, start + 16))]
        files = [written(writer, [image]) for image in images]
        with torch.no_grad():
            known = [model.encode(torch.from_numpy(image)[None])[0].int().numpy().tobytes() for image in images]
        for name, way in ways.items():
            with way():
                wrong[name] += sum(indices_of(reader, file) != [want] for file, want in zip(files, known, strict=True))
        together = indices_of(reader, written(writer, images))
        wrong["batches_of_16"] += sum(mine != want for mine, want in zip(together, known, strict=True))
    return [figure(f"files that differ, {name}", [number], f"of {count:,}") for name, number in wrong.items()]


def speed(model: VQVAE, entropy: EntropyModel, source: Source, count: int, repeats: int) -> list[Figure]:
    """Megapixels per second there and back, and where the time goes."""
    images = [source.read(number) for number in range(min(count, len(source)))]
    pixels = sum(image[0].size for image in images) / 1e6
    clock = {"coder": 0.0}

    def timed(function: Any) -> Any:
        def run(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            found = function(*arguments, **options)
            clock["coder"] += time.perf_counter() - start
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
    found: dict[str, list[float]] = {}
    for fast in (False, True):
        writer, reader = Compressor(model, entropy), Decompressor(model, entropy, fast=fast)
        suffix = ", float32" if fast else ""
        for _ in range(repeats + 1):
            clock["coder"] = 0.0
            start = time.perf_counter()
            file = io.BytesIO()
            sizes = writer.write(file, (Signal(image) for image in images))
            middle = time.perf_counter()
            first, clock["coder"] = clock["coder"], 0.0
            for _each in reader.read(io.BytesIO(file.getvalue())):
                pass
            end = time.perf_counter()
            if not fast:
                # the report's own count of the ideal bits is made by the same network once more
                found.setdefault("compress, with a report of bits", []).append(pixels / (middle - start))
                found.setdefault("entropy coder's share of compress", []).append(100 * first / (middle - start))
            found.setdefault(f"decompress{suffix}", []).append(pixels / (end - middle))
            found.setdefault(f"entropy coder's share of decompress{suffix}", []).append(
                100 * clock["coder"] / (end - middle)
            )
    for name, plain in (("Encoder", Encoder), ("Decoder", Decoder)):
        setattr(entropy_models, name, plain)
    figures = [figure(name, values[1:], "%" if "share" in name else "MP/s") for name, values in found.items()]
    ideal = sizes.model_bits[entropy.kind] / 8
    figures.append(figure("coded indices beside ideal bits", [100 * (sizes.index_bytes / ideal - 1)], "% more"))
    figures.append(figure("headers and checksums", [sizes.header_bytes / len(images)], "bytes an image"))
    figures.append(figure("file", [sizes.bits_per_pixel], "bits per pixel"))
    return figures


def main() -> None:
    torch._dynamo.config.recompile_limit = 256  # every layer compiled, none left to eager mode
    options = parser(__doc__)
    options.add_argument("run", nargs="?", default=None)
    options.add_argument("data", nargs="?", default=None)
    options.add_argument("--prior", default=None, help="as of vqkit compress")
    options.add_argument("--files", type=int, default=1000)
    options.add_argument("--images", type=int, default=20, help="for the speeds")
    options.add_argument("--repeats", type=int, default=3)
    arguments = options.parse_args()
    if arguments.run is None or arguments.data is None:
        print("give the RUN of a tokenizer with a context prior, and DATA: there is nothing to measure")
        return
    if arguments.quick:
        arguments.files, arguments.images, arguments.repeats = 64, 4, 1
    model: Any = load_model(Path(arguments.run))
    assert isinstance(model, VQVAE)
    prior: Any = exact_prior(model, arguments.run, arguments.prior)
    entropy = entropy_model(prior, model.codebook_size)
    source = load_source(arguments.data).with_channels(model.channels)
    figures = speed(model, entropy, source, arguments.images, arguments.repeats)
    if arguments.files:
        torch.set_num_threads(1)
        figures += alike(model, prior, entropy, source, arguments.files)
    report(figures, arguments, files=arguments.files, images=arguments.images, entropy_model=entropy.kind)


if __name__ == "__main__":
    main()

"""``.vqk`` files of a run: do they decode alike everywhere, and how near are they to their models' bits?

``--files`` single-image files are written one by one (one thread, float32), and every one is decoded again with two
threads, with float32 products without MKL-DNN (else they may be of int8, by it), with float64 carriers and products,
and with the frequencies compiled, and, from files of 16 images, in batches: files whose indices differ are counted
(none may). Then the bytes of one file of ``--images`` images beside its ideal bits. How fast: ``throughput.py``.

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
from vqkit.codec import Compressor, Decompressor, Signal
from vqkit.codec.entropy.models import EntropyModel, entropy_model
from vqkit.data import Source, load_source
from vqkit.models import VQVAE, load_model
from vqkit.priors import ContextPrior
from ways import float64_carrier, no_mkldnn, threads


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


def alike(model: VQVAE, prior: Any, entropy: EntropyModel, source: Source, numbers: range, every: int) -> list[Figure]:
    """Files that decode to other indices (or not at all) in another setting."""
    spent: dict[str, float] = {}
    done: dict[str, int] = {}
    writer, reader = Compressor(model, entropy), Decompressor(model, entropy, fast=True)
    reader.signals = lambda indices, _: indices  # type: ignore[assignment, method-assign]
    ways: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "again": nullcontext,
        "two_threads": lambda: threads(2),
    }
    if isinstance(prior, ContextPrior):
        ways["float64_carrier"] = lambda: float64_carrier(prior)
        ways["no_mkldnn"] = lambda: no_mkldnn(prior)
        made = torch.compile(prior.frequencies, dynamic=True)
        ways["compiled"] = lambda: other_frequencies(prior, made)
    wrong = dict.fromkeys([*ways, "batches_of_16"], 0)
    for start in range(0, len(numbers), 16):
        images = [source.read(number % len(source)) for number in numbers[start : start + 16]]
        files = [written(writer, [image]) for image in images]
        with torch.no_grad():
            known = [model.encode(torch.from_numpy(image)[None])[0].int().numpy().tobytes() for image in images]
        for name, way in ways.items():
            begun = time.perf_counter()
            with way():
                some = slice(None, None, every if name == "compiled" else 1)
                pairs = list(zip(files[some], known[some], strict=True))
                wrong[name] += sum(indices_of(reader, file) != [want] for file, want in pairs)
                done[name] = done.get(name, 0) + len(pairs)
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun
        if start // 16 % 20 == 19:
            took = ", ".join(f"{name} {each / (start + 16):.3f}" for name, each in spent.items())
            print(f"{start + 16:,} files, differ: {sum(wrong.values())}; seconds a file: {took}", flush=True)
        together = indices_of(reader, written(writer, images))
        done["batches_of_16"] = done.get("batches_of_16", 0) + len(images)
        wrong["batches_of_16"] += sum(mine != want for mine, want in zip(together, known, strict=True))
    return [figure(f"files that differ, {name}", [number], f"of {done[name]:,}") for name, number in wrong.items()]


def bits(model: VQVAE, entropy: EntropyModel, source: Source, count: int) -> list[Figure]:
    """The bytes of one file of several images beside its ideal bits."""
    images = [source.read(number) for number in range(min(count, len(source)))]
    sizes = Compressor(model, entropy).write(io.BytesIO(), (Signal(image) for image in images))
    ideal = sizes.model_bits[entropy.kind] / 8
    return [
        figure("coded indices beside ideal bits", [100 * (sizes.index_bytes / ideal - 1)], "% more"),
        figure("headers and checksums", [sizes.header_bytes / len(images)], "bytes an image"),
        figure("file", [sizes.bits_per_pixel], "bits per pixel"),
    ]


def main() -> None:
    torch._dynamo.config.recompile_limit = 256  # every layer compiled, none left to eager mode
    options = parser(__doc__)
    options.add_argument("run", nargs="?", default=None)
    options.add_argument("data", nargs="?", default=None)
    options.add_argument("--prior", default=None, help="as of vqkit compress")
    options.add_argument("--files", type=int, default=1000)
    options.add_argument("--first", type=int, default=0, help="number of the first image: for several processes")
    options.add_argument("--compiled-every", type=int, default=1, help="compiled for one of so many files only: slow")
    options.add_argument("--images", type=int, default=20, help="for the bits")
    arguments = options.parse_args()
    if arguments.run is None or arguments.data is None:
        print("give the RUN of a tokenizer with a context prior, and DATA: there is nothing to measure")
        return
    if arguments.quick:
        arguments.files, arguments.images = 64, 4
    model: Any = load_model(Path(arguments.run))
    assert isinstance(model, VQVAE)
    prior: Any = exact_prior(model, arguments.run, arguments.prior)
    entropy = entropy_model(prior, model.codebook_size)
    source = load_source(arguments.data).with_channels(model.channels)
    torch.set_num_threads(1)
    figures = bits(model, entropy, source, arguments.images)
    figures += alike(
        model,
        prior,
        entropy,
        source,
        range(arguments.first, arguments.first + arguments.files),
        arguments.compiled_every,
    )
    report(
        figures,
        arguments,
        first=arguments.first,
        files=arguments.files,
        images=arguments.images,
        entropy_model=entropy.kind,
    )


if __name__ == "__main__":
    main()

"""Fewer steps for the last codebooks: files and speed of a context prior under other orders, with the same weights.

Nothing is trained: a step of several groups takes the numbers that its first group had. A prior that learned in the
other order costs less than what is printed here.

    python benchmarks/coding_order.py photo bsds500/val --images 4
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import torch

from figures import Figure, figure, parser, report
from vqkit import ContextPrior, load_model
from vqkit.cli.files import exact_prior
from vqkit.codec import Compressor, Decompressor, Signal, entropy_model
from vqkit.data import load_source

ORDERS: tuple[tuple[int, list[int]], ...] = ((4, [2, 2, 1]), (4, [1]), (2, [2, 1]), (2, [1]))
"""Sides of the cells of the first codebook, and of the later ones."""


def in_order(prior: ContextPrior, cell: int, later_cell: list[int]) -> ContextPrior:
    """A prior of two axes with the same weights, whose codebooks are in cells of these sizes."""
    found = ContextPrior(**{**prior.config, "cell": cell, "later_cell": later_cell})
    state, rows = prior.state_dict(), []
    for codebook in range(prior.num_codebooks):
        first, every = prior.order.number(codebook, 0, 2), prior.order.cell_of(codebook) ** 2
        rows += list(range(first, first + every))[:: every // found.order.cell_of(codebook) ** 2]
    state["network.step.weight"] = state["network.step.weight"][rows]
    found.load_state_dict(state)
    return found.eval()


def fastest(function: Callable[[], Any], times: int) -> tuple[float, Any]:
    """Seconds of processor time of the fastest of several calls, and what it returned."""
    found: list[float] = []
    for _ in range(times):
        start = time.process_time()
        result = function()
        found.append(time.process_time() - start)
    return min(found), result


def main() -> None:
    options = parser(__doc__)
    options.add_argument("model")
    options.add_argument("data")
    options.add_argument("--prior", default=None, help="as of vqkit compress")
    options.add_argument("--images", type=int, default=4)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    model: Any = load_model(given.model)
    trained = exact_prior(model, given.model, given.prior)
    assert isinstance(trained, ContextPrior)
    source = load_source(given.data)
    count = 1 if given.quick else min(given.images, len(source))
    images = [source.read(number * len(source) // count) for number in range(count)]
    megapixels = sum(image[0].size for image in images) / 1e6
    figures: list[Figure] = []
    orders = [("as trained", trained)]
    orders += [(f"cell {cell}, then {later}", in_order(trained, cell, later)) for cell, later in ORDERS]
    for name, prior in orders:
        entropy = entropy_model(prior, model.codebook_size)
        writer, reader = Compressor(model, entropy), Decompressor(model, entropy)

        def write(writer: Compressor = writer) -> list[bytes]:
            files = [io.BytesIO() for _ in images]
            for file, image in zip(files, images, strict=True):
                writer.write(file, [Signal(image)])
            return [file.getvalue() for file in files]

        def read(files: list[bytes], reader: Decompressor = reader) -> None:
            for file in files:
                list(reader.read(io.BytesIO(file)))

        seconds, files = fastest(write, 3)
        taken, _ = fastest(lambda: read(files), 3)  # noqa: B023
        steps = len(prior.steps(model.grid(images[0].shape[1:])))
        figures.append(figure(f"{name}, steps", [steps], ""))
        figures.append(figure(f"{name}, size", [8 * sum(map(len, files)) / megapixels / 1e6], "bits per pixel"))
        figures.append(figure(f"{name}, compress", [megapixels / seconds], "MP/s of processor time"))
        figures.append(figure(f"{name}, decompress", [megapixels / taken], "MP/s of processor time"))
    report(figures, given, images=count, model=given.model)


if __name__ == "__main__":
    main()

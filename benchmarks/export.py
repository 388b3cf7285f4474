"""Indices of exported graphs that differ from the model's, over 10,000 images: how many, and how many are near ties.

``python benchmarks/export.py`` trains a small VQ-VAE on the images of ``--data`` (the test images of Fashion-MNIST in
the shared data), exports it in each format and counts; ``--run RUN`` takes a trained one.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import vqkit
from figures import figure, parser, report

_DATA = Path(__file__).parents[2] / "shared" / "data" / "fashion_mnist" / "test-00000-of-00001.parquet"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--data", default=str(_DATA))
    arguments.add_argument("--run", default=None)
    given = arguments.parse_args()
    source = vqkit.load_source(given.data)
    count = min(len(source), 300 if given.quick else 10_000)
    images = source.subset(range(len(source) - count, len(source)))
    with tempfile.TemporaryDirectory() as folder:
        model: Any
        if given.run is None:
            model = vqkit.VQVAE.for_source(source, 512, seed=0, hidden_channels=32, residual_channels=16)
            steps = 20 if given.quick else 200
            vqkit.train(model, source, out=f"{folder}/run", steps=steps, quiet=True, tensorboard=False)
        else:
            model = vqkit.load_model(given.run)
        found = []
        for name in vqkit.export.EXPORT_FORMATS:
            start = time.perf_counter()
            differences = vqkit.export_model(model, f"{folder}/{name}", format=name, data=images).differences
            seconds = time.perf_counter() - start
            print(f"{name}: {differences.describe()}")
            found += [
                figure(f"{name}_indices", [differences.indices], "indices"),
                figure(f"{name}_near_ties", [differences.near_ties], "indices"),
                figure(f"{name}_others", [differences.others], "indices"),
                figure(f"{name}_signal_error", [differences.signal_error or 0.0], "of the range"),
                figure(f"{name}_seconds", [seconds], "s"),
            ]
    report(found, given)


if __name__ == "__main__":
    main()

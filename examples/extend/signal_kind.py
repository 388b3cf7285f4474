"""A kind of signal of one's own: depth maps in metres, kept as 16-bit PNG files in millimetres.

Run it: ``python examples/extend/signal_kind.py``. One class, registered under a name; reading, training,
evaluation, tokens, decoded files, saving and loading need no other line.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import vqkit
from vqkit.signals import SIGNALS, Signal
from vqkit.tokens import detokenize


@SIGNALS.register("depth")
class Depth(Signal):
    """Depth maps ``[1, height, width]``: metres from 0 to 10."""

    axes = 2
    noun = ("depth map", "depth maps")
    unit = "pixels"
    value_range = (0.0, 10.0)
    moments = (5.0, 2.5)
    extensions = (".png",)
    measures = ("ssim",)
    layouts = "[N, H, W] in metres"

    def read(self, path: Path) -> Any:
        """Return the metres of a file of millimetres."""
        return np.asarray(Image.open(path), dtype=np.float32)[None] / 1000

    def write(self, item: Any, path: Path, **_: Any) -> None:
        """Write millimetres."""
        Image.fromarray(np.rint(item[0] * 1000).astype(np.uint16)).save(path)

    def suffix(self, channels: int) -> str:
        """16-bit PNG files."""
        return ".png" if channels == 1 else ".npy"

    def shows(self, channels: int) -> bool:
        """Return whether there is one depth a pixel."""
        return channels == 1

    def show(self, item: Any) -> Image.Image:
        """Return a grey picture: near is bright."""
        return Image.fromarray(np.rint(255 - item[0] * 25.5).astype(np.uint8))

    def example(self, count: int, generator: np.random.Generator) -> Any:
        """Return slopes of 16x16 pixels."""
        slopes = generator.uniform(0, 0.3, (count, 2))
        rows, columns = np.mgrid[:16, :16]
        return (slopes[:, :1, None] * rows + slopes[:, 1:, None] * columns).astype(np.float32)[:, None]


def main() -> None:
    """Read files, train, judge, encode, decode to files, save and load."""
    depth = Depth()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        (out / "maps").mkdir()
        for number, item in enumerate(depth.example(64, np.random.default_rng(0))):
            depth.write(item, out / "maps" / f"{number:02}.png")
        data = vqkit.load_source(out / "maps", kind="depth")
        model = vqkit.VQVAE.for_source(data, codebook_size=32, hidden_channels=16, residual_channels=8)
        run = vqkit.train(model, data, out=out / "run", steps=80, quiet=True, tensorboard=False)
        loaded = vqkit.load_model(run.path)  # the folder says the kind
        tokens = vqkit.tokenize(loaded, out / "maps", out / "tokens")
        detokenize(loaded, tokens, out / "decoded")
        error = np.abs(depth.read(out / "decoded" / "00.png") - data.read(0)).mean()
        print(f"{data.describe()}: {vqkit.evaluate(loaded, data).psnr_db:.1f} dB PSNR, first off by {error:.2f} m")


if __name__ == "__main__":
    main()

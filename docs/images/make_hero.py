"""The picture at the top of the README: photographs that the model has not seen, and what their .vqk files give back.

    python docs/images/make_hero.py PHOTOS --minutes 6 --out docs/images/hero.jpg

PHOTOS holds ``train/`` and ``val/`` and a table ``SOURCE.csv`` (columns ``file`` and ``licence``); only photographs
that are CC0 or in the public domain are read. A residual VQ-VAE learns for two thirds of the time, the prior of its
files for the rest.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import vqkit

FREE = ("CC0 1.0", "public domain")
SIZE = (384, 256)
SHOWN = ("budgie_kitten_on_lawn.jpg", "elementary_pier.jpg", "skimage_cat.jpg")


def open_photo(path: Path) -> Image.Image:
    """Return a photograph scaled and cut around its middle to SIZE."""
    photo = Image.open(path).convert("RGB")
    scale = max(SIZE[0] / photo.width, SIZE[1] / photo.height)
    photo = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)
    left, top = (photo.width - SIZE[0]) // 2, (photo.height - SIZE[1]) // 2
    return photo.crop((left, top, left + SIZE[0], top + SIZE[1]))


def train_codec(photos: list[np.ndarray], out: Path, minutes: float) -> vqkit.Codec:
    """Train a tokenizer and the prior of its files."""
    data = vqkit.load_source(np.stack(photos))
    model = vqkit.VQVAE.for_source(
        data,
        256,
        downsampling=8,
        num_codebooks=4,
        stacking="residual",
        hidden_channels=96,
        widths=[32, 64, 96],
        linear_path=True,
        seed=0,
    )
    vqkit.train(model, data, out=out / "model", minutes=minutes * 2 / 3, crop=96, batch_size=8, flip=True)
    tokens = vqkit.tokenize(model, data, out=out / "tokens")
    prior = vqkit.ContextPrior.for_tokens(tokens, seed=0)
    vqkit.train(prior, tokens, out=out / "prior", minutes=minutes / 3, batch_size=4)
    return vqkit.Codec(model, prior)


def draw_sheet(codec: vqkit.Codec, photos: list[Image.Image]) -> Image.Image:
    """Draw each photograph over its reconstruction, with the size of the file."""
    width, height, line = *SIZE, 26
    sheet = Image.new("RGB", (len(photos) * (width + 8) - 8, 2 * (height + line)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for column, photo in enumerate(photos):
        blob = codec.compress(photo)
        back = Image.fromarray(codec.decompress(blob)[0].permute(1, 2, 0).numpy())
        rate = 8 * len(blob) / (width * height)
        left, below = column * (width + 8), height + line
        sheet.paste(photo, (left, 0))
        pen.text((left + 2, height + 3), f"original: {3 * width * height:,} bytes", fill="black", font=font)
        sheet.paste(back, (left, below))
        words = f"vqkit: {len(blob):,} bytes, {rate:.2f} bits per pixel"
        pen.text((left + 2, below + height + 3), words, fill="black", font=font)
    return sheet


def main() -> None:
    """Train, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--out", type=Path, default=Path("docs/images/hero.jpg"))
    given = parser.parse_args()
    with (given.photos / "SOURCE.csv").open(encoding="utf-8", newline="") as table:
        free = {row["file"] for row in csv.DictReader(table) if row["licence"] in FREE}
    training = [np.asarray(open_photo(given.photos / name)) for name in sorted(free) if name.startswith("train/")]
    shown = [open_photo(given.photos / "val" / name) for name in SHOWN if f"val/{name}" in free]
    with tempfile.TemporaryDirectory() as folder:
        sheet = draw_sheet(train_codec(training, Path(folder), given.minutes), shown)
    sheet.save(given.out, quality=88)


if __name__ == "__main__":
    main()

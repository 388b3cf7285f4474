"""The picture of docs/sharp.md: photographs that no model has seen, and what models with one codebook give back.

    python docs/images/make_sharp.py PHOTOS RUN [RUN ...] --out docs/images/sharp.png

PHOTOS is a folder of photographs (only the four named here, all CC0, are read); the runs are those of
``benchmarks/sharp.py``, whose folders are named by the way. Photographs are reduced to 96 pixels, shown twice as large.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import vqkit

SHOWN = ("budgie_kitten_on_lawn.jpg", "elementary_brown_architecture.jpg", "elementary_pier.jpg", "skimage_cat.jpg")
SIDE, SCALE, LINE = 96, 2, 18


def open_photo(path: Path) -> np.ndarray:
    """Return the middle of a photograph, ``[3, SIDE, SIDE]`` uint8."""
    photo = Image.open(path).convert("RGB")
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    small = photo.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small).transpose(2, 0, 1).copy()


def main() -> None:
    """Reconstruct, draw, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("docs/images/sharp.png"))
    given = parser.parse_args()
    photos = torch.from_numpy(np.stack([open_photo(given.photos / name) for name in SHOWN]))
    rows = {"original": photos}
    for run in given.runs:
        with torch.no_grad():
            made = vqkit.load_model(run).reconstruct(photos)
        rows[run.name] = (255 * made).round().clamp(0, 255).to(torch.uint8)
    wide = SIDE * SCALE
    sheet = Image.new("RGB", (len(SHOWN) * (wide + 4) - 4, len(rows) * (wide + LINE + 4) - 4), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for row, (name, pictures) in enumerate(rows.items()):
        top = row * (wide + LINE + 4)
        for column, picture in enumerate(pictures):
            image = Image.fromarray(picture.permute(1, 2, 0).numpy())
            sheet.paste(image.resize((wide, wide), Image.Resampling.NEAREST), (column * (wide + 4), top))
        error = float((pictures.float() - photos.float()).square().mean())
        words = name if error == 0 else f"{name}: {10 * np.log10(255**2 / error):.2f} dB"
        pen.text((2, top + wide), words, fill="black", font=font)
    sheet.save(given.out)


if __name__ == "__main__":
    main()

"""A list of Pillow pictures: trained on, encoded, given back as pictures, and put into a file.

Run it: ``python examples/at_home/pictures.py``.
"""

import numpy as np
from PIL import Image, ImageDraw

import vqkit


def drawn(number: int) -> Image.Image:
    """Return a picture of a circle in front of a coloured ground."""
    rng = np.random.default_rng(number)
    picture = Image.new("RGB", (32, 32), tuple(int(value) for value in rng.integers(0, 128, 3)))
    x, y, size = (int(value) for value in rng.integers(4, 14, 3))
    color = tuple(int(value) for value in rng.integers(128, 256, 3))
    ImageDraw.Draw(picture).ellipse((x, y, x + size, y + size), fill=color)
    return picture


def main() -> None:
    """Train, encode, decode and compress pictures."""
    pictures = [drawn(number) for number in range(300)]
    data = vqkit.load_source(pictures)
    small = {"hidden_channels": 16, "residual_channels": 8}
    model = vqkit.VQVAE.for_source(data, codebook_size=64, seed=0, **small)
    vqkit.train(model, data, steps=100, learning_rate=2e-3, quiet=True, tensorboard=False)

    indices = model.encode(pictures[:4])  # one picture, a path and arrays do as well
    back = vqkit.show(model.decode(indices))  # a Pillow picture of all four
    back.save("back.png")
    codec = vqkit.Codec(model)
    blob = codec.compress(pictures[0])
    restored = Image.fromarray(codec.decompress(blob)[0].movedim(0, -1).numpy())
    error = np.abs(np.asarray(restored, float) - np.asarray(pictures[0], float)).mean()
    print(f"indices {tuple(indices.shape)}; a file of {len(blob)} bytes, error {error:.1f} of 255")


if __name__ == "__main__":
    main()

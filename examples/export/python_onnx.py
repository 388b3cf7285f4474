"""Tokens of an image with ONNX Runtime alone: no torch, no vqkit.

    vqkit export runs/photos --out graphs
    python python_onnx.py graphs photo.png back.png

It needs numpy, Pillow and onnxruntime.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image


def main(folder: Path, source: str, target: str) -> None:
    """Encode an image, print its tokens, and write what they decode to."""
    said = json.loads((folder / "export.json").read_text())
    encoder = onnxruntime.InferenceSession(folder / said["graphs"]["encoder"]["file"])
    decoder = onnxruntime.InferenceSession(folder / said["graphs"]["decoder"]["file"])
    picture = Image.open(source).convert("L" if said["signal"]["channels"] == 1 else "RGB")
    pixels = np.atleast_3d(np.asarray(picture, np.float32) / 255)
    (indices,) = encoder.run(None, {"signals": pixels.transpose(2, 0, 1)[None]})
    print(f"{indices.size} indices of {said['model']['codebook_size']}: {indices[0].tolist()}")
    (signals,) = decoder.run(None, {"indices": indices})
    back = signals[0, :, : picture.height, : picture.width].transpose(1, 2, 0)
    Image.fromarray((back * 255).round().astype(np.uint8).squeeze()).save(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])

"""The first part of the demo: a photograph and a voice through the models that come with the package, with sizes.

The photograph (scikit-image's cat, CC0) and the sentences (CMU ARCTIC) were held out when the models were trained.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vqkit.codec import Codec
from vqkit.data import load_source
from vqkit.data.builtin import PHOTOS, SAMPLES
from vqkit.data.images.reading import decode_image
from vqkit.models import IndexModel, load_model
from vqkit.pictures import before_after_sheet, save_sheet
from vqkit.pretrained.reference import ReferenceModel, for_kind
from vqkit.priors import Prior
from vqkit.storage import atomic, outputs
from vqkit.studies.alone import alone
from vqkit.studies.rate_distortion.image_codecs import image_codecs
from vqkit.studies.rate_distortion.study import nearest_file

_PHOTO = "chelsea"
_KBPS = 3.0
_MARK = "first-look.json"
_OWN = {_MARK, "photo.png", "photo.vqk", "photo-back.png", "photo.jpg", "photo-sheet.png", "voice.wav", "voice.vqk",
        "voice-back.wav"}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """One signal as tokens, as a file, and back.

    Attributes:
        model: the name of the model.
        what: the signal, in words.
        raw_bytes: of its 8-bit pixels, or 16-bit samples.
        grid: positions on each axis.
        tokens: how many indices.
        file_bytes: of the ``.vqk`` file.
        about: what came of it, in words.
        file: the ``.vqk`` file.
    """

    model: str
    what: str
    raw_bytes: int
    grid: tuple[int, ...]
    tokens: int
    file_bytes: int
    about: str
    file: Path

    def lines(self) -> list[str]:
        """The same for people."""
        grid = "x".join(map(str, self.grid))
        return [
            f"{self.what}: {self.raw_bytes:,} bytes -> {self.tokens:,} tokens on a grid of {grid} -> "
            f"{self.file_bytes:,} bytes in {self.file}",
            f"  {self.about}",
        ]


@alone
def look_first(out: Path) -> list[Look]:
    """Encode, compress and restore a photograph and a spoken sentence; nothing for which no model is there.

    Args:
        out: folder; an earlier look there is replaced.

    Raises:
        ConfigError: ``out`` holds something else.
    """
    outputs.check_contents(out, "a first look", lambda entry: entry.name in _OWN and (out / _MARK).is_file())
    found = [(for_kind("image"), _photo), (for_kind("sound"), _voice)]
    known = [(model, look) for model, look in found if model is not None]
    if not known:
        return []
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    atomic.write_json(out / _MARK, outputs.marked("demo", {"models": [model.name for model, _ in known]}))
    return [look(model, out) for model, look in known]


def _opened(found: ReferenceModel) -> tuple[IndexModel, Codec, Codec]:
    model = load_model(found.path)
    assert isinstance(model, IndexModel)
    prior = model.prior if isinstance(model.prior, Prior) else None
    return model, Codec(model, prior), Codec(model, prior, kbps=_KBPS) if model.kind.rate else Codec(model, prior)


def _photo(found: ReferenceModel, out: Path) -> Look:
    model, codec, _ = _opened(found)
    pixels = decode_image(SAMPLES / PHOTOS[_PHOTO])[0]
    blob = codec.compress(torch.from_numpy(pixels))
    back = codec.decompress(blob)[0].numpy()
    atomic.write_file(out / "photo.vqk", lambda path: path.write_bytes(blob))
    ((jpeg, *_), _) = image_codecs({"jpeg": [1]}, 3)
    rival = nearest_file(jpeg, pixels, len(blob))
    shown = jpeg.decode(rival, 3)
    (out / "photo.jpg").write_bytes(rival)
    for name, each in (("photo.png", pixels), ("photo-back.png", back)):
        model.kind.write(each, out / name, durable=False, made="reconstruction")
    rows = [
        (f"original, {pixels.size:,} bytes of pixels", [_picture(pixels)]),
        (f"vqkit, {len(blob):,} bytes", [_picture(back)]),
        (f"JPEG, {len(rival):,} bytes", [_picture(shown)]),
    ]
    save_sheet(before_after_sheet(rows, columns=1), out / "photo-sheet.png")
    indices = model.encode(torch.from_numpy(pixels)[None])[0]
    about = (
        f"PSNR {_psnr(pixels, back):.2f} dB; JPEG of {len(rival):,} bytes: {_psnr(pixels, shown):.2f} dB; "
        f"side by side in {out / 'photo-sheet.png'}"
    )
    grid = model.grid(pixels.shape[1:])
    return Look(found.name, "a photograph", pixels.size, grid, indices.numel(), len(blob), about, out / "photo.vqk")


def _voice(found: ReferenceModel, out: Path) -> Look:
    model, _, codec = _opened(found)
    sound = np.asarray(load_source("builtin:speech").read(0))
    blob = codec.compress(torch.from_numpy(sound))
    back = codec.decompress(blob)[0].numpy()
    atomic.write_file(out / "voice.vqk", lambda path: path.write_bytes(blob))
    for name, each in (("voice.wav", sound), ("voice-back.wav", back)):
        model.kind.write(each, out / name, durable=False, made="reconstruction")
    indices = model.encode(torch.from_numpy(sound)[None], kbps=_KBPS)[0]
    seconds = sound.shape[1] / (model.kind.rate or 1)
    about = (
        f"{seconds:.1f} s at {8 * len(blob) / seconds / 1000:.2f} kbps; hear it: {out / 'voice.wav'}, "
        f"{out / 'voice-back.wav'}"
    )
    grid = model.grid(sound.shape[1:])
    return Look(found.name, "a sentence", 2 * sound.size, grid, indices.numel(), len(blob), about, out / "voice.vqk")


def _picture(pixels: npt.NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255


def _psnr(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    mse = float(np.mean((one.astype(np.float64) - other) ** 2))
    return math.inf if not mse else 10 * math.log10(255**2 / mse)

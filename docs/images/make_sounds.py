"""The sounds and spectrograms of the pages on sound and on voices: what a model makes of recordings it has not seen.

    python docs/images/make_sounds.py rates RUN --out docs/images/sound
    python docs/images/make_sounds.py voices RUN fsdd/train --out docs/images/voices

``rates``: RUN is of ``benchmarks/speech.py``; one of the sentences of ``builtin:speech`` at each of its rates.
``voices``: RUN is of ``benchmarks/conversion.py``, DATA the same recordings; a digit of the held-out tenth as each
speaker would say it. It needs the extra ``sound``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import vqkit
from vqkit.pictures import before_after_sheet

SENTENCE, WIDTH = 0, 300
MP3 = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}


def leave(model: Any, sounds: dict[str, np.ndarray], out: Path, compression: float) -> None:
    """Write each sound as MP3, and one picture of their spectrograms, those of a moment widened."""
    out.mkdir(parents=True, exist_ok=True)
    for name, sound in sounds.items():
        path = out / f"{name.replace(' ', '-')}.mp3"
        soundfile.write(path, sound[0].clip(-1, 1), model.kind.rate, compression_level=compression, **MP3)
        print(f"{path}: {sound.shape[1] / model.kind.rate:.2f} s, {path.stat().st_size:,} bytes")
    pictures = {name: model.kind.show(sound) for name, sound in sounds.items()}
    factor = -(-WIDTH // max(picture.width for picture in pictures.values()))
    rows = [(name, [each.resize((factor * each.width, each.height))]) for name, each in pictures.items()]
    before_after_sheet(rows).quantize(128).save(out / "spectrograms.png", optimize=True)


def rates(model: Any, out: Path) -> None:
    """One sentence, and what is decoded of it at each rate."""
    sentence = vqkit.load_source("builtin:speech").read(SENTENCE)
    sounds = {"original": sentence}
    for kbps in (6.0, 3.0, 1.5):
        indices = model.encode(sentence[None], kbps=kbps)
        sounds[f"{kbps:g} kbps"] = model.decode(indices, sentence.shape[1:])[0].numpy()
    leave(model, sounds, out, 0.6)


def voices(model: Any, data: str, digit: int, out: Path) -> None:
    """One held-out digit, by whom it was said and by every other speaker."""
    _, digits = vqkit.split(vqkit.load_source(data, labels="digit"), 0.1, seed=0)
    _, held_out = vqkit.split(vqkit.load_source(data, labels="speaker"), 0.1, seed=0)
    number = int(np.flatnonzero(digits.labels == digit)[0])
    recording, speaker = held_out.read(number), model.class_names[int(held_out.labels[number])]
    sounds = {f"{speaker}, original": recording}
    for name in model.class_names:
        sounds[name] = vqkit.convert(model, recording[None], to=name)[0].numpy()
    leave(model, {name.replace(", ", " "): sound for name, sound in sounds.items()}, out, 0.5)


def main() -> None:
    """Load the model, and leave its sounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["rates", "voices"])
    parser.add_argument("run")
    parser.add_argument("data", nargs="?")
    parser.add_argument("--digit", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    model = vqkit.load_model(given.run)
    if given.what == "rates":
        rates(model, given.out)
    else:
        voices(model, given.data, given.digit, given.out)


if __name__ == "__main__":
    main()

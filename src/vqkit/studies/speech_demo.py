"""The demo on sound: five spoken sentences to tokens, back, and into one file, with nothing to download."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vqkit.checking import counted
from vqkit.codec import Compressor, Signal
from vqkit.data import load_source
from vqkit.models import VQVAE
from vqkit.ops import evaluating
from vqkit.pictures import before_after_sheet, save_sheet
from vqkit.storage import atomic, outputs
from vqkit.studies.alone import alone
from vqkit.training import train

_SPEECH = "builtin:speech"
_OWN = {"run", "originals", "reconstructions", "sheet.png", "speech.vqk", "demo.json"}
_MINUTES = 1.5
_KBPS = (1.5, 3.0)


@dataclass(frozen=True)
class SpeechDemo:
    """What the demo left.

    Attributes:
        path: its folder: the run, the sentences before and after as WAV files, a sheet of spectrograms, a file.
        sheet: spectrograms, before above after.
        file: the sentences compressed.
        seconds: of speech.
        file_bytes: of the file.
        raw_bytes: of its samples at 16 bit.
    """

    path: Path
    sheet: Path
    file: Path
    seconds: float
    file_bytes: int
    raw_bytes: int


@alone
def run_speech_demo(
    out: Path,
    *,
    minutes: float = _MINUTES,
    steps: int | None = None,
    hidden_channels: int = 96,
    say: Callable[[str], None] | None = None,
    quiet: bool = False,
) -> SpeechDemo:
    """Train a tokenizer on the built-in speech, and show what comes back of it and how small it is.

    It is trained on what it shows: the demo is of the way, not of quality on other voices.

    Args:
        out: folder; an earlier demo of this kind there is replaced.
        minutes: of training.
        steps: in place of minutes.
        hidden_channels: width of the networks.
        say: told what is going on.
        quiet: show no progress of the training.

    Raises:
        ConfigError: ``out`` holds something that is not an earlier demo.
    """
    outputs.check_contents(out, "a demo of sound", lambda entry: entry.name in _OWN and (out / "demo.json").is_file())
    for name in _OWN - {"demo.json"}:
        if (out / name).is_dir():
            shutil.rmtree(out / name)
        else:
            (out / name).unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    atomic.write_json(out / "demo.json", outputs.marked("demo", {"kind": "sound"}))
    speech = load_source(_SPEECH)
    model = VQVAE.for_source(speech, hidden_channels=hidden_channels, residual_blocks=2, kbps=list(_KBPS), seed=0)
    if say is not None:
        lasting = f"{minutes:g} minutes" if steps is None else counted(steps, "step")
        say(f"training for {lasting} on {speech.describe()}")
    length = {"steps": steps} if steps is not None else {"minutes": minutes}
    train(
        model, speech, out=out / "run", validation=speech, batch_size=4, crop=8000, evaluations=1, quiet=quiet,
        learning_rate=1e-3, **length,
    )  # fmt: skip
    pairs = []
    with evaluating(model):
        for number in range(len(speech)):
            sound = np.asarray(speech.read(number))
            back = model.reconstruct(torch.from_numpy(sound).unsqueeze(0))[0].numpy()
            pairs.append((sound, back))
            name = speech.item_name(number) or f"{number}.wav"
            for folder, samples in (("originals", sound), ("reconstructions", back)):
                (out / folder).mkdir(exist_ok=True)
                model.kind.write(samples, out / folder / name, durable=False, made="reconstruction")
        pictures = [[model.kind.show(each) for each in side] for side in zip(*pairs, strict=True)]
        shown = [[picture for picture in row if picture is not None] for row in pictures]
        sheet = before_after_sheet([("original", shown[0]), ("reconstruction", shown[1])], columns=len(speech))
        save_sheet(sheet, out / "sheet.png")
        signals = [Signal(sound, speech.item_name(number)) for number, (sound, _) in enumerate(pairs)]
        atomic.write_file(out / "speech.vqk", lambda path: _compress(model, signals, path))
    count = sum(int(sound.size) for sound, _ in pairs)
    size = (out / "speech.vqk").stat().st_size
    assert model.kind.rate is not None
    return SpeechDemo(out, out / "sheet.png", out / "speech.vqk", count / model.kind.rate, size, 2 * count)


def _compress(model: VQVAE, signals: list[Signal], path: Path) -> None:
    with path.open("wb") as file:
        Compressor(model).write(file, signals)

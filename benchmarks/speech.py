"""A tokenizer of speech at 1.5, 3 and 6 kbps, from a folder of recordings: how well is it understood, beside Opus?

DATA is a folder of speech at 16 kHz. The last tenth of its files by a seeded permutation is held out
(``vqkit.split(source, 0.1, seed=0)``). A VQ-VAE with the networks that sounds have by default learns from the rest for
the minutes that are given; each held-out recording is then decoded from the first 3, 6 and 12 codebooks, and judged
beside the same recording as Opus, MP3 and Vorbis files: STOI, log mel distance, and kilobits of actual files a second.
A run that is there is judged, not trained again. ``--further`` trains its model on, in rounds at half the rate; from
the second round on, sounds are trained with the numbers of codebooks of the three rates alone.

    python benchmarks/speech.py speech_16k/train --minutes 75 --threads 1 --out runs/speech
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vqkit
from figures import Figure, figure, parser, report
from vqkit.studies.rate_distortion.sounds.codecs import matched, sound_codecs
from vqkit.studies.rate_distortion.sounds.measures import delay_of, sound_qualities

RATE = 16000
KBPS = (1.5, 3.0, 6.0)
OBJECTIVE = "compressed(phase=0.1) + 2*envelope"
CODECS: dict[str, list[float]] = {"opus": [6, 8, 12, 16], "mp3": [8, 16], "vorbis": [0.0]}


def trained(data: Any, out: Path, minutes: float, threads: int | None) -> Any:
    """The model of a run, trained where there is none."""
    if not (out / "model").is_dir():
        network = {"type": "convnext", "config": {"strides": [160, 2], "causal": False, "lapped": True}}
        model = vqkit.VQVAE.for_source(
            data, 1024, num_codebooks=12, stacking="residual", quantizer_options={"quantizer_dropout": 0.7},
            downsampling=320, hidden_channels=192, encoder=network, decoder=network, seed=0,
        )  # fmt: skip
        vqkit.train(
            model, data, out=out, minutes=minutes, evaluations=2, objective=OBJECTIVE, batch_size=16, crop=RATE // 2,
            optimizer="muon", learning_rate=1e-3, threads=threads,
        )  # fmt: skip
    return vqkit.load_model(out / "model")


def trained_on(data: Any, out: Path, minutes: list[float], threads: int | None) -> Any:
    """The model of a run, trained on in rounds of so many minutes at half the rate, each in a run beside it."""
    model = vqkit.load_model(out / "model")
    for number, length in enumerate(minutes, 1):
        if number > 1:
            model = at_three_rates(model)
        further = out.with_name(f"{out.name}-further-{number}")
        if not (further / "model").is_dir():
            vqkit.train(
                model, data, out=further, minutes=length, evaluations=2, objective=OBJECTIVE, batch_size=16,
                crop=RATE // 2, optimizer="muon", learning_rate=5e-4, threads=threads, seed=number,
            )  # fmt: skip
        model = vqkit.load_model(further / "model")
    return model


def at_three_rates(model: Any) -> Any:
    """The same model, to be trained with as many codebooks as the three rates have, half of the time with all."""
    options = {**model.config["quantizer_options"], "quantizer_dropout": 0.5, "dropout_codebooks": [3, 6]}
    changed = type(model)(**{**model.config, "quantizer_options": options})
    changed.load_state_dict(model.state_dict())
    return changed


def spread(name: str, values: list[float]) -> Figure:
    """The mean of a measure over the recordings, with the lowest and the highest."""
    return Figure(name, float(np.mean(values)), "", min(values), max(values))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("data", help="a folder of speech at 16 kHz")
    options.add_argument("--minutes", type=float, default=75.0, help="of training (default: 75)")
    options.add_argument("--further", type=float, nargs="*", default=[], help="rounds of minutes at half the rate")
    options.add_argument("--threads", type=int, help="of training")
    options.add_argument("--out", type=Path, default=Path("runs/speech"), help="run folder (default: runs/speech)")
    given = options.parse_args()
    data = vqkit.load_source(f"sound@{RATE}:{given.data}")
    _, held_out = vqkit.split(data, 0.1, seed=0)
    model = trained(data, given.out, 1.0 if given.quick else given.minutes, given.threads)
    if given.further:
        model = trained_on(data, given.out, given.further, given.threads)
    sounds = [np.asarray(held_out.read(number)) for number in range(2 if given.quick else len(held_out))]
    seconds = sum(sound.shape[1] for sound in sounds) / RATE
    figures = [figure("held-out recordings", [len(sounds)], "files"), figure("held-out speech", [seconds], "s")]
    times = {"encode": 0.0, "decode": 0.0}
    for kbps in KBPS:
        found: dict[str, list[float]] = {}
        for sound in sounds:
            start = time.perf_counter()
            indices = model.encode(torch.from_numpy(sound).unsqueeze(0), kbps=kbps)
            middle = time.perf_counter()
            back = model.decode(indices, [sound.shape[1]])[0].numpy()
            times["encode"] += middle - start
            times["decode"] += time.perf_counter() - middle
            for name, value in sound_qualities(sound, back, RATE).items():
                found.setdefault(name, []).append(value)
        figures += [spread(f"{kbps:g} kbps {name}", found[name]) for name in ("stoi", "mel_distance")]
    for name, took in times.items():
        figures.append(figure(f"{name}, seconds of sound a second", [len(KBPS) * seconds / took], "x"))
    for codec in sound_codecs({} if given.quick else CODECS, 1)[0]:
        for setting in codec.values:
            files = [codec.encode(sound, RATE, setting) for sound in sounds]
            found = {}
            for sound, file in zip(sounds, files, strict=True):
                back, own = codec.decode(file)
                back = matched(sound, back, RATE, own, partial(delay_of, sound, rate=RATE))
                for name, value in sound_qualities(sound, back, RATE).items():
                    found.setdefault(name, []).append(value)
            kbps = 8 * sum(map(len, files)) / seconds / 1000
            label = f"{codec.name} {kbps:.2f} kbps"
            figures += [spread(f"{label} {name}", found[name]) for name in ("stoi", "mel_distance")]
    report(figures, given, data=Path(given.data).name)


if __name__ == "__main__":
    main()

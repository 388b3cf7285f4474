"""Files of speech: how near to the prior's cross-entropy are they, and what does the context prior save?

RUN is a tokenizer of sound with priors that code files (``vqkit prior RUN --kind context``), DATA a folder of sounds.
The last tenth of its files by a seeded permutation (``vqkit.split(source, 0.1, seed=0)``), which neither has seen if
they were trained on the rest, is compressed at each rate, under no prior, the histogram and the context prior: all
sounds in one file, and each in a file of its own. "cross-entropy" is the ideal length of the indices under the prior,
in the frequencies that the coder works with; "above" is what a file has on top of it: headers, names, checksums, and
what the coder itself loses.

    python benchmarks/sound_files.py runs/speech speech_16k/train
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

import vqkit
from figures import figure, parser, report
from vqkit.codec import Compressor, RateReport, Signal, entropy_model, known_priors
from vqkit.models import model_rates
from vqkit.priors import load_prior


def compressed(compressor: Compressor, sounds: Sequence[Signal]) -> RateReport:
    return compressor.write(io.BytesIO(), sounds)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("run", help="a run folder of a VQ-VAE of sound, with a context prior")
    options.add_argument("data", help="a folder of sounds")
    options.add_argument("--kbps", help="rates, by commas (default: those of the model)")
    options.add_argument("--files", type=int, default=0, help="the first so many held-out files (default: all)")
    given = options.parse_args()
    model: Any = vqkit.load_model(given.run)
    source = vqkit.load_source(f"sound@{model.kind.rate}:{given.data}", channels=model.channels)
    _, held_out = vqkit.split(source, 0.1, seed=0)
    count = 1 if given.quick else given.files or len(held_out)
    sounds = [
        Signal(np.asarray(held_out.read(number)), f"{number:03}.wav") for number in range(min(count, len(held_out)))
    ]
    seconds = sum(sound.values.shape[1] for sound in sounds) / model.kind.rate
    places = known_priors(given.run, model)
    entropies = {kind: entropy_model(load_prior(place), model.codebook_size) for kind, place in places.items()}
    entropies["uniform"] = entropy_model(None, model.codebook_size)
    wanted = None if given.kbps is None else [float(each) for each in given.kbps.split(",")]
    rates = [{"codebooks": rate.codebooks} for rate in model_rates(model)] if wanted is None else [
        {"kbps": kbps} for kbps in wanted
    ]  # fmt: skip
    figures = [figure("sounds", [len(sounds)], "files"), figure("duration", [seconds], "s")]
    for rate in rates:
        ideal: dict[str, float] = {}
        for kind, entropy in entropies.items():
            compressor = Compressor(model, entropy, **rate)
            together = compressed(compressor, sounds)
            alone = [compressed(compressor, [sound]) for sound in sounds]
            label = f"{compressor.codebooks} codebooks, {kind}"
            ideal[kind] = together.model_bits[kind]
            kbps = {"cross-entropy": ideal[kind], "one file": 8.0 * together.file_bytes}
            kbps["a file each"] = 8.0 * sum(each.file_bytes for each in alone)
            figures += [figure(f"{label}, {name}", [bits / seconds / 1000], "kbps") for name, bits in kbps.items()]
            for name in ("one file", "a file each"):
                figures.append(figure(f"{label}, {name} above", [100 * kbps[name] / ideal[kind] - 100], "%"))
            figures.append(figure(f"{label}, coder above", [8e2 * together.index_bytes / ideal[kind] - 100], "%"))
            figures.append(figure(f"{label}, headers a sound", [together.header_bytes / len(sounds)], "bytes"))
        if {"context", "histogram"} <= set(ideal):
            saved = 100 * (1 - ideal["context"] / ideal["histogram"])
            figures.append(figure(f"{compressor.codebooks} codebooks, context below histogram", [saved], "%"))
    report(figures, given)


if __name__ == "__main__":
    main()

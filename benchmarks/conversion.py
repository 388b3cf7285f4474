"""Spoken digits by another speaker: is the digit still heard, and is the wanted speaker?

DATA is the Free Spoken Digit Dataset as Parquet with the columns ``audio``, ``digit`` and ``speaker``. The last tenth
by a seeded permutation is held out (``vqkit.split(source, 0.1, seed=0)``). Two classifiers of log mel spectrograms,
one of digits and one of speakers, learn from the real recordings of the rest, and are judged on the held-out ones. A
VQ-VAE whose decoder is told the speaker learns from the same recordings, with the objective ``confusion``, which takes
the speaker out of the codes (``--confusion 0``: without). A training that was interrupted is gone on with. Then:

- each held-out recording is decoded by every other speaker: how many are named the digit that was said, and the wanted
  speaker;
- a prior over the indices that is told the digit draws new ones, which every speaker decodes in turn.

    python benchmarks/conversion.py fsdd/train --minutes 20 --out runs/voices
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import vqkit
from figures import figure, parser, report
from vqkit.data import ArraySource, Source
from vqkit.evaluation import Classifier, train_classifier
from vqkit.generation import convert, generate
from vqkit.ops import mel_magnitude

RATE, SAMPLES, BANDS, WINDOW, HOP = 8000, 8000, 32, 256, 160
FLOOR_DB = 60.0
OBJECTIVE = "mel(windows=[64, 256, 1024])"
CONFUSION = 0.02


def pictures(sounds: list[Any]) -> np.ndarray[Any, Any]:
    """Log mel spectrograms of a second, uint8 ``[N, 1, bands, frames]``: 60 dB below the loudest to the loudest."""
    found = []
    for sound in sounds:
        x = torch.as_tensor(np.asarray(sound, dtype=np.float32)).reshape(1, 1, -1)
        x = torch.nn.functional.pad(x, (0, max(0, SAMPLES - x.shape[2])))[:, :, :SAMPLES]
        decibels = 20 * mel_magnitude(x, RATE, WINDOW, HOP, BANDS).clamp_min(1e-7).log10()
        scaled = ((decibels - decibels.max()) / FLOOR_DB + 1).clamp(0, 1)
        found.append((255 * scaled[0]).round().to(torch.uint8).numpy())
    return np.stack(found)


def items(source: Source) -> list[Any]:
    """The signals of a source, of any lengths."""
    return [source.read(number) for number in range(len(source))]


def shifted(sounds: list[Any], seed: int) -> list[Any]:
    """The sounds behind up to a fifth of a second of silence: a classifier is not to know where a digit begins."""
    starts = np.random.default_rng(seed).integers(0, RATE // 5, len(sounds))
    return [np.pad(sound, ((0, 0), (int(start), 0))) for sound, start in zip(sounds, starts, strict=True)]


def classifier(path: Path, sounds: list[Any], source: Source, steps: int) -> Any:
    """A classifier of the labels of a source, of its signals as they are and behind some silence; kept in a file."""
    if path.is_file():
        found = Classifier(1, len(source.class_names or range(10)))
        found.load_state_dict(load_file(path))
        return found.eval()
    images = np.concatenate([pictures(sounds), *(pictures(shifted(sounds, seed)) for seed in (0, 1))])
    assert source.labels is not None
    labels = np.concatenate([source.labels] * 3)
    found = train_classifier(ArraySource(images, labels=labels, class_names=source.class_names), steps=steps)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(found.state_dict(), path)
    return found


def named(network: Any, sounds: list[Any]) -> Tensor:
    """The class of each sound."""
    with torch.no_grad():
        batches = torch.split(torch.from_numpy(pictures(sounds)), 256)
        return torch.cat([network.logits(batch).argmax(dim=1) for batch in batches])


def share(found: Tensor, wanted: Any) -> float:
    """Per cent."""
    return 100 * float((found == torch.as_tensor(wanted)).float().mean())


def trained(path: Path, make: Any, data: Any, **settings: Any) -> Any:
    """The model in a run folder, or one that is trained there; an interrupted training is gone on with."""
    if (path / "run.json").is_file() and not (path / "model" / "config.json").is_file():
        given = settings["validation"]
        vqkit.resume(path, data=data, **({} if isinstance(given, float) else {"validation": given}))
    elif not (path / "model" / "config.json").is_file():
        vqkit.train(make(), data, out=path, tensorboard=False, **settings)
    return vqkit.training.trainable.load_trained(path)


def padded(learned: Source, held: Source, copies: int) -> ArraySource:
    """The signals with silence up to a second, which is cut there: grids of one size, what is held out at the end.

    Those that are learned from are there so often: as they are, and behind some milliseconds of silence, under which
    their indices are others.
    """
    sounds = items(learned)
    parts = [sounds, *(shifted(sounds, seed) for seed in range(10, 9 + copies)), items(held)]
    made = [np.pad(sound, ((0, 0), (0, SAMPLES)))[:, :SAMPLES] for part in parts for sound in part]
    labels = np.concatenate([*[learned.labels] * copies, held.labels])
    return ArraySource(np.stack(made), labels=labels, class_names=learned.class_names, kind=learned.kind)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("data", nargs="?", help="a folder of Parquet files with audio, digit and speaker")
    options.add_argument("--out", type=Path, default=Path("runs/voices"), help="folder of the runs")
    options.add_argument("--minutes", type=float, default=20.0, help="of the VQ-VAE's training")
    options.add_argument("--steps", type=int, default=None, help="of it, in place of minutes")
    options.add_argument("--prior-steps", type=int, default=2000)
    options.add_argument("--prior-copies", type=int, default=6, help="of each recording, behind other silences")
    options.add_argument("--prior-dropout", type=float, default=0.2)
    options.add_argument("--classifier-steps", type=int, default=800)
    options.add_argument("--codebook-size", type=int, default=512)
    options.add_argument("--code-dim", type=int, default=16)
    options.add_argument("--strides", default="80,4")
    options.add_argument("--width", type=int, default=128)
    options.add_argument("--blocks", type=int, default=2)
    options.add_argument("--objective", default=OBJECTIVE)
    options.add_argument("--confusion", type=float, default=CONFUSION, help="weight of that objective")
    options.add_argument("--batch-size", type=int, default=16)
    options.add_argument("--learning-rate", type=float, default=1.5e-3)
    options.add_argument("--optimizer", default="adamw")
    options.add_argument("--crop", type=int, default=3200)
    options.add_argument("--count", type=int, default=300, help="new digits; 0: no prior is trained")
    options.add_argument("--items", type=int, default=None, help="held-out recordings to convert (default: all)")
    arguments = options.parse_args()
    if arguments.data is None:
        print("conversion.py: name DATA, the Free Spoken Digit Dataset as Parquet; nothing measured")
        return
    quick = arguments.quick
    if quick:
        arguments.steps, arguments.prior_steps, arguments.classifier_steps, arguments.count = 20, 20, 20, 20
    name = f"sound@{RATE}:{arguments.data}"
    by_speaker, by_digit = (vqkit.load_source(name, labels=labels) for labels in ("speaker", "digit"))
    (learned, held), (learned_digits, held_digits) = (vqkit.split(each, 0.1, 0) for each in (by_speaker, by_digit))
    speakers = by_speaker.class_names or []
    real, heard = items(learned), items(held)
    assert held.labels is not None
    assert held_digits.labels is not None
    figures = []

    def say(what: str, value: float, unit: str) -> None:
        figures.append(figure(what, [value], unit))
        print(figures[-1].line(), flush=True)

    who, what = (
        classifier(arguments.out / f"{label}.safetensors", real, each, arguments.classifier_steps)
        for label, each in (("speaker", learned), ("digit", learned_digits))
    )
    say("speaker of real held-out recordings", share(named(who, heard), held.labels), "%")
    say("digit of real held-out recordings", share(named(what, heard), held_digits.labels), "%")

    network = {
        "hidden_channels": arguments.width, "strides": [int(each) for each in arguments.strides.split(",")],
        "residual_blocks": arguments.blocks, "causal": False, "exact": False,
        "stage_norms": False,
    }  # fmt: skip
    spec = {"type": "convnext", "config": network}
    budget = {"minutes": arguments.minutes} if arguments.steps is None else {"steps": arguments.steps}

    def tokenizer() -> vqkit.VQVAE:
        return vqkit.VQVAE.for_source(
            by_speaker, arguments.codebook_size, code_dim=arguments.code_dim, encoder=spec, decoder=spec,
            conditional=True, seed=0,
        )  # fmt: skip

    objective = arguments.objective + (f" + {arguments.confusion:g}*confusion" if arguments.confusion else "")
    model = trained(
        arguments.out / "model", tokenizer, learned, objective=objective, batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate, optimizer=arguments.optimizer, crop=arguments.crop, evaluations=0,
        validation=held.subset(range(12)), **budget,
    )  # fmt: skip
    step = int(np.prod(np.atleast_1d(model.downsampling)))
    say("frames", RATE / step, "1/s")
    say("rate", RATE / step * np.log2(model.codebook_size), "bit/s")

    start, seconds = time.perf_counter(), 0.0
    again, made, wanted_digit, wanted_speaker = [], [], [], []
    for number, sound in enumerate(heard[: 20 if quick else arguments.items]):
        own = int(held.labels[number])
        others = [name for name in range(len(speakers)) if name != own]
        voices = [own, *others]
        converted = convert(model, np.repeat(sound[None], len(voices), axis=0), to=voices).numpy()
        again.append(converted[0])
        made += list(converted[1:])
        wanted_speaker += others
        wanted_digit += [int(held_digits.labels[number])] * len(others)
        seconds += sound.shape[1] / RATE
    say("speed of conversion", len(speakers) * seconds / (time.perf_counter() - start), "x real time")
    say("digit of reconstructions", share(named(what, again), held_digits.labels[: len(again)]), "%")
    say("speaker of reconstructions", share(named(who, again), held.labels[: len(again)]), "%")
    say("digit of conversions", share(named(what, made), wanted_digit), "%")
    spoken = named(who, made)
    say("wanted speaker of conversions", share(spoken, wanted_speaker), "%")
    for number, speaker in enumerate(speakers):
        rows = torch.tensor(wanted_speaker) == number
        say(f"wanted speaker of conversions to {speaker}", share(spoken[rows], number), "%")

    if not arguments.count:
        if arguments.json is not None:
            report(figures, arguments, data=Path(arguments.data).name, config=model.config)
        return
    grids, tokens = padded(learned_digits, held_digits, arguments.prior_copies), arguments.out / "tokens"
    data = vqkit.tokenize(model, grids, tokens)

    def prior() -> Any:
        return vqkit.TransformerPrior.for_tokens(
            data,
            classes=10,
            condition_dropout=0.1,
            hidden_channels=128,
            layers=4,
            heads=4,
            dropout=arguments.prior_dropout,
            seed=0,
        )

    trained(
        arguments.out / "prior", prior, data, steps=arguments.prior_steps, validation=f"last:{len(held_digits)}",
        best_by="bits_per_item", evaluations=20,
    )  # fmt: skip
    drawn_from = vqkit.load_prior(arguments.out / "prior" / "best")
    asked = torch.arange(arguments.count) % 10
    to = torch.arange(arguments.count) // 10 % len(speakers)
    for guidance, temperature in ((1.0, 1.0), (2.0, 1.0), (2.0, 0.8)):
        generator = torch.Generator().manual_seed(0)
        drawn, _ = generate(
            model, drawn_from, len(asked), asked, to=to, guidance=guidance, temperature=temperature, generator=generator
        )
        new, how = list(drawn.numpy()), f"guidance {guidance:g}, temperature {temperature:g}"
        say(f"digit of samples, {how}", share(named(what, new), asked), "%")
        say(f"speaker of samples, {how}", share(named(who, new), to), "%")
    report([], arguments)
    if arguments.json is not None:
        report(figures, arguments, data=Path(arguments.data).name, config=model.config)


if __name__ == "__main__":
    main()

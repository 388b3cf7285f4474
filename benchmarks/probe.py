"""What indices keep of spoken digits: VQ-VAEs beside an autoencoder and a VAE of the same encoder, probed.

The experiment of van den Oord et al. 2017 (arXiv 1711.00937, section 4.3) on the Free Spoken Digit Dataset: which digit
(content), and which of six speakers, can be told from the indices, and from continuous latents. As in the paper, the
decoder of the model ``conditional`` is told the speaker, so that its codes need not be; that of ``vqvae`` is not. All
are trained alike, at 25 frames a second, 128 codes; a tenth of the items, by a seeded permutation, is held out from the
training of models and of probes alike. A training that was interrupted is gone on with.

    python benchmarks/probe.py DATA --out runs/probe-speech      # DATA: the Parquet file of the set, or its folder
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import vqkit
from figures import Figure, figure, parser, report
from vqkit.models import Model
from vqkit.studies.probe.report import title

_LATENTS = 32
_TRAINING: dict[str, Any] = {"crop": 4096, "batch_size": 16, "objective": "mel + stft", "seed": 0}
_LOOK: dict[str, Any] = {"evaluations": 1, "log_every": 25}
_JUDGED = 32
"""Held-out items that trainings are judged on; probes are on all of them."""


def models(data: Any, channels: int) -> dict[str, Any]:
    """What makes each model: the same encoder and decoder, other latents."""
    config: dict[str, Any] = {"hidden_channels": channels, "residual_blocks": 1}
    network = {"type": "seanet", "config": config}
    shared: dict[str, Any] = {"downsampling": 320, "seed": 0}
    tokens = {**shared, "encoder": network, "decoder": network}
    network = {"type": "seanet", "config": {**config, "exact": False}}  # no index hangs on the last bits of latents
    grid = {**shared, "encoder": network, "decoder": network, "latent": "grid"}
    return {
        "vqvae": lambda: vqkit.VQVAE.for_source(data, 128, code_dim=_LATENTS, **tokens),
        "conditional": lambda: vqkit.VQVAE.for_source(data, 128, code_dim=_LATENTS, conditional=True, **tokens),
        "autoencoder": lambda: vqkit.Autoencoder.for_source(data, _LATENTS, **grid),
        "vae": lambda: vqkit.VAE.for_source(data, _LATENTS, beta=0.1, **grid),
    }


def trained(folder: Path, make: Any, data: tuple[Any, Any], steps: int) -> Model:
    """The model of a run folder: trained now, gone on with, or finished before."""
    if (folder / "model" / "config.json").is_file():
        found: Model = vqkit.load_model(folder)
        return found
    if (folder / "run.json").is_file():
        resumed: Model = vqkit.resume(folder, data=data[0], validation=data[1]).model()
        return resumed
    torch.manual_seed(0)
    run = vqkit.train(make(), data[0], out=folder, steps=steps, validation=data[1], **_TRAINING, **_LOOK)
    model: Model = run.model()
    return model


def figures(document: Mapping[str, Any]) -> list[Figure]:
    """Accuracies with their intervals, beside chance, and information of the codes."""
    found = []
    for entry in document["label_sets"]:
        chance = 100 * entry["majority"]["accuracy"]
        found.append(figure(f"{entry['name']} always {entry['majority']['label']}", [chance], "%"))
        for row in entry["probes"]:
            low, high = row["interval"]
            samples = [100 * each for each in (low, row["accuracy"], high)]
            found.append(figure(f"{entry['name']} {title(row, document['axes'])}", samples, "%", {"chance": chance}))
        for table in entry["code_tables"]:
            bits = table["mutual_information_bits"]
            found.append(figure(f"{entry['name']} information of a code", [bits], "bits"))
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("data", type=Path, help="FSDD as Parquet: columns audio, digit and speaker")
    options.add_argument("--out", type=Path, default=Path("runs/probe-speech"))
    options.add_argument("--steps", type=int, default=None, help="of each training (default: 800; quick: 20)")
    options.add_argument("--models", default="vqvae,conditional,autoencoder,vae", help="which of them, by commas")
    arguments = options.parse_args()
    steps = arguments.steps or (20 if arguments.quick else 800)
    name = f"sound@8000:{arguments.data}"
    source = vqkit.load_source(name, labels="speaker")  # which only the decoder of `conditional` is told
    training, held_out = vqkit.split(source, 0.1, seed=0)
    parts = training, held_out.subset(range(min(_JUDGED, len(held_out))))
    made = models(source, 16 if arguments.quick else 64)
    names = arguments.models.split(",")
    if unknown := [name for name in names if name not in made]:
        options.error(f"--models {unknown[0]}: not one of {', '.join(made)}")
    found = {name: trained(arguments.out / name, made[name], parts, steps) for name in names}
    study = vqkit.probe(found, name, arguments.out / "probe", labels=["digit", "speaker"], say=print)
    document = study.document
    about = {name: document[name] for name in ("settings", "parts", "models", "kept", "claims")}
    report(figures(document), arguments, steps=steps, **about)
    for each in document["claims"]:
        print(each["holds"], each["claim"], each["numbers"])


if __name__ == "__main__":
    main()

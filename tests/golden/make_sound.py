"""Makes the golden sound model and its file: ``python -m tests.golden.make_sound`` in the root of the repository.

As with ``tests.golden.make_models``: nothing in ``sound-v1`` may change. Two sounds with names, and one that
goes on over two groups, cut into tiles: ``sound.vqk``, its indices, and the samples that they decode to (16 bits).
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch

from tests.golden.make import FOLDER, numbers
from tests.golden.make_models import CODEBOOKS, CODES, Case, _fill, drawn_indices, written
from vqkit.codec import Decompressor, entropy_model
from vqkit.coding import GroupHeader
from vqkit.models import VQVAE
from vqkit.priors import HistogramPrior
from vqkit.signals.wav import sixteen_bits

SOUND = FOLDER / "sound-v1"
CASE = Case(
    "histogram",
    (
        GroupHeader(signals=1, size=(37,), codebooks=CODEBOOKS, names=("talk/one.flac",)),
        GroupHeader(signals=1, size=(1,), codebooks=CODEBOOKS, names=("two.wav",)),
        GroupHeader(signals=1, size=(80,), codebooks=CODEBOOKS, names=("long.wav",), tile=(7,), goes_on=True),
        GroupHeader(signals=1, size=(41,), codebooks=CODEBOOKS, tile=(7,)),
    ),
)


def new_models() -> tuple[VQVAE, HistogramPrior]:
    net = {"type": "seanet", "config": {"strides": [2, 2], "hidden_channels": 4, "weight_norm": False}}
    model = VQVAE(
        CODES,
        code_dim=4,
        channels=2,
        axes=1,
        kind="sound@8000",
        encoder=net,
        decoder=net,
        num_codebooks=CODEBOOKS,
        stacking="residual",
        quantizer_options={"cosine": False},
    )
    _fill(model, 11)
    histogram = HistogramPrior(CODES, (4,), num_codebooks=CODEBOOKS)
    histogram.counts.copy_(torch.from_numpy(numbers(6, CODEBOOKS * CODES) % 1000).view(1, CODEBOOKS, CODES))
    return model, histogram.eval()


def main(folder: Path = SOUND) -> None:
    for name, each in zip(("tokenizer", "histogram"), new_models(), strict=True):
        each.save_pretrained(folder / name)
    model = VQVAE.from_pretrained(folder / "tokenizer").eval()
    entropy = entropy_model(HistogramPrior.from_pretrained(folder / "histogram"), CODES)
    indices = drawn_indices(CASE, 900)
    data = written(model, entropy, None, CASE, indices, indices)
    (folder / "sound.vqk").write_bytes(data)
    found = list(Decompressor(model, entropy).read(io.BytesIO(data)))
    flat = torch.cat([each.indices.flatten() for each in found]).to(torch.uint8)
    assert torch.equal(flat.long(), torch.cat([each.flatten() for each in indices]))
    np.save(folder / "sound.indices.npy", flat.numpy())
    np.save(folder / "sound.samples.npy", np.concatenate([sixteen_bits(each.values.numpy()) for each in found]))


if __name__ == "__main__":
    main()

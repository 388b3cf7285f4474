"""Makes the golden sound model and its file: ``python -m tests.golden.make_sound`` in the root of the repository.

As with ``tests.golden.make_models``: nothing in ``sound-v1`` may change. Two sounds with names, and one that
goes on over two groups, cut into tiles: ``sound.vqk``, its indices, and the samples that they decode to (16 bits).
``mixed.vqk``, made by the same models, is one mixed group: sounds of several sizes in one block a layer, and one alone.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.golden.make import FOLDER, numbers
from tests.golden.make_models import CODEBOOKS, CODES, Case, _fill, drawn_indices, written
from vqkit.codec import Compressor, Decompressor, entropy_model
from vqkit.codec.entropy.models import EntropyModel
from vqkit.coding import Block, GroupHeader, Writer, integers_crc
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
MIXED = Case(
    "histogram",
    (
        GroupHeader(
            signals=5,
            size=(37,),
            sizes=((37,), (90,), (90,), (1,), (42,)),
            codebooks=CODEBOOKS,
            layers=(1,) * CODEBOOKS,
            names=("talk/001.wav", "talk/002.wav", "talk/003.flac", "tälk/003.flac", "z"),
        ),
        GroupHeader(signals=1, size=(5,), codebooks=CODEBOOKS),
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
    write(folder, "sound", model, entropy, written(model, entropy, None, CASE, indices, indices), indices)
    flat, (alone,) = drawn_runs(MIXED.groups[0], 950), drawn_indices(Case("histogram", MIXED.groups[1:]), 990)
    write(folder, "mixed", model, entropy, written_mixed(model, entropy, flat, alone), [*flat, alone])


def drawn_runs(group: GroupHeader, seed: int) -> list[Tensor]:
    """int64 ``[n, positions, codebooks]`` of each run of a mixed group."""
    single = tuple(GroupHeader(signals=count, size=size, codebooks=CODEBOOKS) for size, count in group.runs)
    return drawn_indices(Case("histogram", single), seed)


def written_mixed(model: VQVAE, entropy: EntropyModel, runs: list[Tensor], alone: Tensor) -> bytes:
    """The file ``MIXED`` of these indices."""
    file = io.BytesIO()
    with Writer(file, Compressor(model, entropy).header) as writer:
        for group, items in zip(MIXED.groups, (runs, [alone]), strict=True):
            writer.begin(group)
            for place in group.places(writer.header):
                first, last = place.first_codebook, place.first_codebook + place.codebooks
                data, _ = entropy.encode([each.numpy() for each in items], first, place.codebooks)
                flat = torch.cat([each[..., first:last].flatten() for each in items])
                writer.block(Block(place=place, crc=integers_crc(flat.numpy()), data=data))
    return file.getvalue()


def write(folder: Path, name: str, model: VQVAE, entropy: EntropyModel, data: bytes, indices: list[Tensor]) -> None:
    """A file, the indices that went in, and the samples that come out."""
    (folder / f"{name}.vqk").write_bytes(data)
    found = list(Decompressor(model, entropy).read(io.BytesIO(data)))
    flat = torch.cat([each.indices.flatten() for each in found]).to(torch.uint8)
    assert torch.equal(flat.long(), torch.cat([each.flatten() for each in indices]))
    np.save(folder / f"{name}.indices.npy", flat.numpy())
    np.save(folder / f"{name}.samples.npy", np.concatenate([sixteen_bits(each.values.numpy()) for each in found]))


if __name__ == "__main__":
    main()

"""Makes the golden models and their files: ``python -m tests.golden.make_models`` in the root of the repository.

As with ``tests.golden.make``: run it for a new version of the format only, in another folder. What it makes is what
released versions read and write, so nothing in ``models-v1`` may change. Parameters, indices and pixels come from
integers of ``numbers``, not from a random generator that a library might change; the models are kept all the same,
and the tests read those.

For each case there are ``<case>.vqk`` and ``<case>.indices.npy`` (uint8, all signals one after another, each ``[*grid,
codebooks]`` in C order), for some ``<case>.pixels.npy`` too (uint8, all signals one after another, each ``[channels, H,
W]``): what was encoded in the lossless cases, what the tokenizer decodes in the others.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tests.golden.make import FOLDER, numbers
from vqkit.codec import Compressor, Decompressor, entropy_model
from vqkit.codec.entropy.models import EntropyModel
from vqkit.codec.lossless import PixelCoder
from vqkit.codec.protocols import PixelModel
from vqkit.coding import Block, GroupHeader, Writer, grid_of, integers_crc, pixels
from vqkit.models import VQVAE
from vqkit.pixels import PixelPrior
from vqkit.priors import ContextPrior, HistogramPrior, Prior

MODELS = FOLDER / "models-v1"
CODES, CODEBOOKS, DOWNSAMPLING = 12, 2, 4
FAMILIES: dict[str, type[Prior]] = {"histogram": HistogramPrior, "context": ContextPrior}


@dataclass(frozen=True)
class Case:
    kind: str
    groups: tuple[GroupHeader, ...]
    lossless: bool = False
    decoded: bool = False

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        """Of all signals, in order."""
        return [group.size for group in self.groups for _ in range(group.signals)]

    @property
    def names(self) -> list[str | None]:
        """The same."""
        return [name for group in self.groups for name in group.names or (None,) * group.signals]

    @property
    def codebooks(self) -> int:
        return self.groups[0].codebooks


def _groups(codebooks: int) -> tuple[GroupHeader, ...]:
    return (
        GroupHeader(signals=3, size=(21, 14), codebooks=codebooks),
        GroupHeader(signals=1, size=(30, 45), codebooks=codebooks, names=("a/b.png",)),
        GroupHeader(signals=1, size=(1, 1), codebooks=codebooks),
    )


def _cut(layers: tuple[int, ...], *, lossless: bool = False) -> tuple[GroupHeader, ...]:
    """Tiles, and a layer for each codebook."""
    return (
        GroupHeader(signals=2, size=(35, 26), codebooks=2, layers=layers, tile=(5, 4), lossless=lossless),
        GroupHeader(signals=1, size=(7, 50), codebooks=2, tile=(2, 9), lossless=lossless),
    )


CASES = {
    "uniform": Case("uniform", _groups(2), decoded=True),
    "histogram": Case("histogram", _groups(2)),
    "histogram-first": Case("histogram", _groups(1), decoded=True),
    "histogram-tiles": Case("histogram", _cut((1, 1))),
    "context": Case("context", _groups(2)),
    "context-first": Case("context", _groups(1)),
    "context-tiles": Case("context", _cut((1, 1))),
    "lossless": Case(
        "context",
        (
            GroupHeader(signals=2, size=(21, 14), codebooks=2, lossless=True, names=("one.png", "two.png")),
            GroupHeader(signals=1, size=(3, 2), codebooks=2, lossless=True),
        ),
        lossless=True,
    ),
    "lossless-tiles": Case("context", _cut((), lossless=True), lossless=True),
}


def noise(seed: int, shape: tuple[int, ...]) -> Tensor:
    """float32, mean 0 and variance 1, nearly normal: sums of twelve integers, the same on every machine."""
    count = math.prod(shape)
    sums = (numbers(seed, 12 * count).reshape(12, count) >> 11).sum(axis=0) - 6 * (1 << 20)
    return torch.from_numpy((sums / (1 << 20)).astype(np.float32)).view(shape)


SCALES = {"embedding": 1.5, "marker": 0.5, "step": 0.5, "classes": 0.5}
"""Of the values of a table, by its name; weights are as large as He's, but for what follows."""
FACTORS = {".wide.": 1.75, ".means.": 0.25, ".shape.": 0.5, ".enter.": 0.5}


@torch.no_grad()
def _fill(model: nn.Module, seed: int) -> None:
    """Parameters far from those of a new model, with which every index and pixel matters to those around it.

    Those of exact networks have few digits, so that many lie in the middle between two of their integers.
    """
    for place, (name, each) in enumerate(sorted(model.state_dict().items())):
        drawn = noise(seed + 1000 * place, tuple(each.shape))
        if name.endswith(("codebook", "average_sums")):
            each.copy_(drawn)
        elif name.endswith(".weight"):
            scale = next((value for part, value in SCALES.items() if part in name), 0.0)
            digits = 11 if scale else 8
            scale = scale or math.sqrt(2 / math.prod(each.shape[1:]))
            scale *= math.prod(value for part, value in FACTORS.items() if part in name)
            each.copy_((drawn * scale * 2**digits).round() / 2**digits)
            if ".enter." in name:
                each[:3] *= 0.125  # the means: a level of difference is many of their units
        elif name.endswith((".bias", ".gain")):
            each.copy_((drawn * 2**11).round() / 2**13 + (0 if name.startswith(("encoder", "decoder")) else each))
    model.eval()


def new_models() -> tuple[VQVAE, HistogramPrior, ContextPrior, PixelPrior]:
    model = VQVAE(
        CODES,
        code_dim=4,
        channels=3,
        axes=2,
        downsampling=DOWNSAMPLING,
        hidden_channels=8,
        residual_channels=4,
        residual_blocks=1,
        num_codebooks=CODEBOOKS,
        stacking="residual",
        quantizer_options={"cosine": False},
    )
    histogram = HistogramPrior(CODES, (4, 4), num_codebooks=CODEBOOKS)
    histogram.counts.copy_(torch.from_numpy(numbers(5, CODEBOOKS * CODES) % 1000).view(1, CODEBOOKS, CODES))
    histogram.counts[0, 0, 3] = 0
    context = ContextPrior(
        CODES, (4, 4), num_codebooks=CODEBOOKS, classes=2, condition_dropout=0.125, hidden_channels=8, layers=2
    )
    small = {"hidden_channels": 8, "neighbours": 6, "features": 3, "components": 2, "token_channels": 8}
    exact = PixelPrior(CODES, DOWNSAMPLING, num_codebooks=CODEBOOKS, layers=1, token_layers=1, **small)
    for seed, each in enumerate((model, context, exact), 1):
        _fill(each, seed)
    return model, histogram.eval(), context, exact


def drawn_indices(case: Case, seed: int) -> list[Tensor]:
    """int64 ``[n, *grid, codebooks]`` of each group; small ones more often."""
    found = []
    for place, group in enumerate(case.groups):
        shape = (group.signals, *grid_of(group.size, DOWNSAMPLING), group.codebooks)
        one, other = (numbers(seed + 10 * place + more, math.prod(shape)) % CODES for more in (0, 1))
        found.append(torch.from_numpy(np.minimum(one, other)).view(shape))
    return found


def drawn_pixels(case: Case, seed: int) -> list[Tensor]:
    """uint8 ``[n, channels, H, W]`` of each group: a slope and noise, with black and white."""
    found = []
    for place, group in enumerate(case.groups):
        shape = (group.signals, 3, *group.size)
        slope = 7 * torch.arange(group.size[0])[:, None] + 5 * torch.arange(group.size[1]) - 30
        rough = torch.from_numpy(numbers(seed + place, math.prod(shape)) % 64).view(shape)
        found.append((slope + rough).clamp(0, 255).to(torch.uint8))
    return found


def written(
    model: VQVAE,
    entropy: EntropyModel,
    exact: PixelModel | None,
    case: Case,
    indices: list[Tensor],
    images: list[Tensor],
) -> bytes:
    """The file of these indices (and pixels), which no encoder has to find."""
    file = io.BytesIO()
    with Writer(file, Compressor(model, entropy, pixel_model=exact).header) as writer:
        for group, items, own in zip(case.groups, indices, images, strict=True):
            writer.begin(group)
            for place in group.places(writer.header):
                tile = items[(slice(None), *place.tile)].contiguous()
                if place.kind == "residual":
                    assert exact is not None
                    part = own[(slice(None), slice(None), *pixels(place.tile, group.size, DOWNSAMPLING))].contiguous()
                    block = Block(place=place, crc=integers_crc(part.numpy()), data=exact.encode(tile, part))
                else:
                    first, last = place.first_codebook, place.first_codebook + place.codebooks
                    data, _ = entropy.encode([tile.numpy()], first, place.codebooks)
                    block = Block(place=place, crc=integers_crc(tile[..., first:last].numpy()), data=data)
                writer.block(block)
    return file.getvalue()


def prior_of(case: Case, folder: Path = MODELS) -> Prior | None:
    """The saved prior of a case's indices."""
    return FAMILIES[case.kind].from_pretrained(folder / case.kind) if case.kind in FAMILIES else None


def main(folder: Path = MODELS) -> None:
    for name, each in zip(("tokenizer", "histogram", "context", "pixels"), new_models(), strict=True):
        each.save_pretrained(folder / name)
    model, exact = VQVAE.from_pretrained(folder / "tokenizer"), PixelPrior.from_pretrained(folder / "pixels")
    for seed, (name, case) in enumerate(CASES.items()):
        indices, images = drawn_indices(case, 100 * seed + 7), drawn_pixels(case, 100 * seed + 57)
        entropy, coder = entropy_model(prior_of(case, folder), CODES), PixelCoder(exact) if case.lossless else None
        data = written(model, entropy, coder, case, indices, images)
        (folder / f"{name}.vqk").write_bytes(data)
        found = list(Decompressor(model, entropy, pixel_model=coder).read(io.BytesIO(data)))
        flat = torch.cat([each.indices.flatten() for each in found]).to(torch.uint8)
        assert torch.equal(flat.long(), torch.cat([each.flatten() for each in indices]))
        np.save(folder / f"{name}.indices.npy", flat.numpy())
        if case.lossless or case.decoded:
            np.save(folder / f"{name}.pixels.npy", torch.cat([each.values.flatten() for each in found]).numpy())


if __name__ == "__main__":
    main()

"""Codes with NaN or Inf are never chosen and spoil no search; weights of bits that were set on a model are saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import vqkit
from vqkit.errors import ConfigError
from vqkit.models import VQVAE
from vqkit.ops import nearest_code
from vqkit.ops.assignment.nearest_blocks import nearest_in_blocks
from vqkit.quantizers import EMAVectorQuantizer
from vqkit.quantizers.codebook.base import CodebookQuantizer

BAD = [float("nan"), float("inf"), -float("inf"), 1e30]


def plain(latents: Tensor, codes: Tensor, sound: Tensor, metric: str) -> Tensor:
    """The search in float64 over the sound codes alone."""
    x, c = latents.double(), codes.double()[sound]
    cost = torch.cdist(x, c) if metric == "euclidean" else -(x @ c.t())
    return torch.nonzero(sound).squeeze(1)[cost.argmin(dim=1)]


@pytest.mark.parametrize("size", [7, 64, 200, 2500])
@pytest.mark.parametrize("metric", ["euclidean", "dot"])
@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_code_that_is_no_number_is_never_chosen(bad: float, metric: str, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    latents, codes = torch.randn(300, 6, generator=generator), torch.randn(size, 6, generator=generator)
    sound = torch.ones(size, dtype=torch.bool)
    for place in (0, size // 2, size - 1):
        codes[place, place % 6] = bad
        sound[place] = False
    want = plain(latents, codes, sound, metric)
    assert torch.equal(nearest_code(latents, codes, metric=metric), want)
    if bad != 1e30:  # which float64 can tell apart
        assert torch.equal(nearest_code(latents.double(), codes.double(), metric=metric), want)


def test_many_equal_codes_beside_an_unsound_one() -> None:
    codes = torch.zeros(400, 3)
    codes[0] = float("nan")
    assert torch.equal(nearest_in_blocks(torch.zeros(500, 3), codes), torch.ones(500, dtype=torch.int64))


def test_a_codebook_of_nothing_but_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="no code of the codebook is finite"):
        nearest_code(torch.zeros(2, 3), torch.full((4, 3), float("nan")))
    with pytest.raises(ValueError, match="no code of the codebook is finite"):
        nearest_code(torch.zeros(2, 3).double(), torch.full((4, 3), float("nan")).double())


def test_an_unsound_code_is_healed_by_a_restart() -> None:
    quantizer = EMAVectorQuantizer(8, 4, restart_every=1, decay=0.5).train()
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(4, 4, 64, generator=generator)
    quantizer(latents)
    for table in (quantizer.codebook, quantizer.average_sums):
        table[3] = float("nan")
    for _ in range(300):
        quantizer(torch.randn(4, 4, 64, generator=generator))
    assert torch.isfinite(quantizer.codebook).all()


TINY: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "channels": 1, "code_dim": 8}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quantizer": "gradient"},
        {"quantizer": "simvq"},
        {"quantizer": "ibq"},
        {"num_codebooks": 2},
        {"num_codebooks": 2, "stacking": "residual"},
    ],
)
def test_a_weight_of_bits_that_was_set_is_saved(options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = VQVAE(16, **TINY, **options)
    data = torch.rand(32, 1, 8, 8)
    model.prepare([data])
    model.train()(data)
    model.eval()
    books = [each for each in model.modules() if isinstance(each, CodebookQuantizer)]
    for each in books:
        each.rate_weight = 50.0
    model.save_pretrained(tmp_path / "m")
    back = vqkit.load_model(tmp_path / "m")
    assert torch.equal(back.encode(data), model.encode(data))
    assert [e.rate_weight for e in back.modules() if isinstance(e, CodebookQuantizer)] == [50.0] * len(books)
    for each in books:
        each.rate_weight = 0.0
    model.save_pretrained(tmp_path / "m")
    assert torch.equal(vqkit.load_model(tmp_path / "m").encode(data), model.encode(data))
    if len(books) > 1:
        books[0].rate_weight = 3.0
        with pytest.raises(ConfigError, match=r"rate_weight=\[0\.0, 3\.0\]"):
            model.save_pretrained(tmp_path / "m")


def test_training_goes_on_with_the_weight_that_was_set() -> None:
    model = VQVAE(16, **TINY)
    model.quantizer.rate_weight = 2.0  # type: ignore[assignment]
    assert VQVAE.from_config(model.config).quantizer.rate_weight == 2.0  # as a run makes its last model

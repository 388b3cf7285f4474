"""The VQ-VAE in 60 lines of docs/vqvae-in-60-lines.md computes what ``vqkit.VQVAE`` computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import vqkit
from tests.docs.test_code_blocks import blocks

PAGE = Path(__file__).parents[2] / "docs" / "vqvae-in-60-lines.md"
CODE = next(block.text for block in blocks(PAGE) if block.language == "python")
EXACTLY = {"cosine": False, "decay_warmup": False, "restart_below": 0.0}


def test_it_has_60_lines() -> None:
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 60


@pytest.fixture
def pair() -> tuple[Any, vqkit.VQVAE]:
    """Both models, with the same weights and the same first codebook."""
    namespace: dict[str, Any] = {}
    exec(compile(CODE, str(PAGE), "exec"), namespace)
    torch.manual_seed(0)
    ours = vqkit.VQVAE(16, code_dim=8, hidden_channels=16, residual_channels=4, quantizer_options=EXACTLY).train()
    plain = namespace["PlainVQVAE"](16, 8, 3, 16, 4, float(ours.signal_mean), float(ours.signal_std)).train()
    weights = {name.replace(".layers.", "."): value for name, value in ours.state_dict().items()}
    own = {name: weights[name] for name in plain.state_dict() if name.startswith(("encoder", "decoder"))}
    assert not plain.load_state_dict(own, strict=False).unexpected_keys
    assert len(own) == len(list(plain.parameters())) == len(list(ours.parameters()))
    with torch.no_grad():  # codes are latents, so that many are in use
        plain.codebook.copy_(ours.latents(torch.rand(4, 3, 16, 16)).movedim(1, -1).flatten(0, -2)[::4])
    plain.sums.copy_(plain.codebook)
    ours.quantizer.set_codebook(plain.codebook.clone())
    return plain, ours


def test_it_trains_as_the_package_does(pair: tuple[Any, vqkit.VQVAE]) -> None:
    plain, ours = pair
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in pair]
    used = set()
    for _ in range(4):
        x = torch.rand(4, 3, 16, 16)
        torch.testing.assert_close(plain.encoder((x - plain.mean) / plain.std), ours.latents(x))
        error, commitment, indices = plain(x)
        output = ours(x)
        assert torch.equal(indices, output.indices)
        torch.testing.assert_close(error, output.metrics["reconstruction_loss"])
        torch.testing.assert_close(commitment, output.metrics["commitment_loss"])
        torch.testing.assert_close(error + commitment, output.loss)
        for optimizer, loss in zip(optimizers, (error + commitment, output.loss), strict=True):
            optimizer.zero_grad()
            loss.backward()
        for mine, theirs in zip(plain.parameters(), ours.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, theirs.grad)
        for optimizer in optimizers:
            optimizer.step()
        torch.testing.assert_close(plain.codebook, ours.quantizer.codebook)
        used.update(indices.flatten().tolist())
    assert len(used) >= 8  # or nothing was shown


def test_it_encodes_and_decodes_as_the_package_does(pair: tuple[Any, vqkit.VQVAE]) -> None:
    plain, ours = (model.eval() for model in pair)
    before = plain.codebook.clone()
    x = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        indices = plain.encode(x)
        assert torch.equal(indices, ours.encode(x))
        torch.testing.assert_close(plain.decode(indices), ours.decode(indices))
        plain(x)
    assert torch.equal(plain.codebook, before)  # evaluation teaches nothing

"""Lossless images: the exact p(pixels | indices), its coding, and its training in the one loop."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from vqkit.cli.main import app
from vqkit.codec import decode_pixels, encode_pixels
from vqkit.data import ArraySource
from vqkit.errors import BitstreamError, ConfigError, DataError
from vqkit.exact.logistic import (
    LOG_SCALE,
    Mixture,
    coarse_frequencies,
    fine_frequencies,
    inverse_scales,
    logistic_table,
    mixture_nats,
)
from vqkit.models import VQVAE
from vqkit.pixels import PixelPrior
from vqkit.pixels.neighbors import Canvas, offsets
from vqkit.priors import ContextPrior
from vqkit.training import TrainConfig, resume
from vqkit.training.recipes.lossless import bits_per_dim, context_of, train_lossless
from vqkit.training.trainable import load_trained

SMALL: dict[str, Any] = {
    "hidden_channels": 8,
    "layers": 1,
    "neighbours": 6,
    "features": 3,
    "components": 2,
    "token_channels": 8,
    "token_layers": 1,
}
TOTAL = 1 << 24


def prior(seed: int = 0, noise: float = 0.2, **options: Any) -> PixelPrior:
    """A small one with random parameters, so that everything matters to everything."""
    with torch.random.fork_rng():
        torch.manual_seed(seed + 2)
        made = PixelPrior(**{"codebook_size": 16, "downsampling": 4, **SMALL, **options})
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for each in made.parameters():
            each.add_(torch.randn(each.shape, generator=generator) * noise)
    return made.eval()


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def indices_for(model: PixelPrior, pixels: Tensor, seed: int = 1) -> Tensor:
    shape = [len(pixels), *model.grid(tuple(pixels.shape[2:]))]
    shape += [model.num_codebooks] * (model.num_codebooks > 1)
    return torch.randint(0, model.codebook_size, shape, generator=torch.Generator().manual_seed(seed))


def mixtures(rows: int = 40, components: int = 3, seed: int = 0) -> Mixture:
    generator = torch.Generator().manual_seed(seed)
    means = torch.randint(-2000, 10_000, (rows, components), generator=generator)
    scales = torch.randint(LOG_SCALE.low, LOG_SCALE.high + 1, (rows, components), generator=generator)
    return Mixture(means.float(), scales.float(), torch.randint(-300, 300, (rows, components), generator=generator))


def reference(mixture: Mixture) -> np.ndarray:
    """p of all 256 levels, float64, by tanh: another formula than the code's."""
    means, logits = mixture.means.double().numpy() / 32, mixture.logits.double().numpy() / 64
    scales = np.exp(mixture.log_scales.double().numpy() / 64)
    edges = np.arange(257) - 0.5
    below = 0.5 + 0.5 * np.tanh((edges[None, None] - means[:, :, None]) / (2 * scales[:, :, None]))
    below[:, :, 0], below[:, :, -1] = 0.0, 1.0
    weights = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return (weights[:, :, None] * np.diff(below, axis=2)).sum(axis=1)


def all_levels(mixture: Mixture) -> np.ndarray:
    """Products of the two parts' frequencies, integers that sum to 2^48: ``[rows, 256]``."""
    coarse = coarse_frequencies(mixture)
    fine = [fine_frequencies(mixture, torch.full((len(coarse),), part)) for part in range(16)]
    return np.concatenate([(coarse[:, part, None] * fine[part]).numpy() for part in range(16)], axis=1)


def test_the_tables_are_the_logistic_function_and_the_exponential() -> None:
    z = np.arange(-16384, 16385) / 1024
    table = np.array(logistic_table())
    assert np.abs(table - TOTAL / (1 + np.exp(-z))).max() < 0.5001
    assert (np.diff(table) >= 0).all()
    assert table[16384] == TOTAL // 2
    assert (table + table[::-1] == TOTAL).all()
    scales = np.exp(np.arange(LOG_SCALE.low, LOG_SCALE.high + 1) / 64)
    assert np.abs(np.array(inverse_scales()) - 2**17 / scales).max() < 0.5001


def test_levels_are_a_distribution_and_that_of_the_mixture() -> None:
    mixture = mixtures()
    for table in (coarse_frequencies(mixture), fine_frequencies(mixture, torch.full((40,), 7))):
        assert table.dtype == torch.int64
        assert int(table.min()) >= 1
        assert (table.sum(dim=1) == TOTAL).all()
    found = all_levels(mixture)
    assert (found.sum(axis=1) == 1 << 48).all()
    expected = reference(mixture)
    lost = (expected * np.log(np.maximum(expected, 1e-300) / (found / 2.0**48))).sum(axis=1)
    assert lost.max() < 2e-3  # nats a level; the finest scales' means are rounded to 1/32 level alike


def test_training_sees_the_same_distribution() -> None:
    mixture = mixtures()
    levels = torch.arange(256).repeat(40)
    rows = Mixture(
        *(each.float().repeat_interleave(256, 0) for each in (mixture.means, mixture.log_scales, mixture.logits))
    )
    found = mixture_nats(rows, levels).view(40, 256).double().exp().reciprocal().numpy()
    expected = reference(mixture)
    assert np.abs(found - expected).max() < 1e-4
    tails = (expected < 1e-5) & (expected > 1e-8)
    assert tails.sum() > 100
    assert np.abs(found[tails] / expected[tails] - 1).max() < 0.03  # 1e-10 is added
    rows.means.requires_grad_()
    mixture_nats(rows, levels).sum().backward()
    assert rows.means.grad is not None
    assert bool(torch.isfinite(rows.means.grad).all())


def test_all_images_together_have_probability_one() -> None:
    model = prior(channels=1)
    every = torch.cartesian_prod(torch.arange(256), torch.arange(256)).to(torch.uint8).view(-1, 1, 1, 2)
    assert len({step.group for step in model.steps((1, 2))}) == 2
    index = torch.tensor([[[3]]]).expand(len(every), 1, 1)
    total = float(model.log_prob(every, index).exp().sum())
    assert total == pytest.approx(1.0, abs=1e-9)


CASES = {
    "random": (images(2, 3, 16, 16), {}),
    "constant": (torch.full((1, 3, 12, 8), 37, dtype=torch.uint8), {}),
    "extremes": (images(1, 3, 9, 9) // 128 * 255, {}),
    "grey": (images(1, 1, 8, 13), {"channels": 1}),
    "odd size": (images(1, 3, 37, 51), {}),
    "one pixel": (images(1, 3, 1, 1), {}),
    "one row": (images(1, 3, 1, 30), {}),
    "two codebooks": (images(1, 3, 10, 10), {"num_codebooks": 2}),
    "downsampling 8": (images(1, 3, 20, 10), {"downsampling": 8}),
    "cell 2": (images(1, 3, 11, 10), {"cell": 2}),
}


@pytest.mark.parametrize("name", CASES)
def test_round_trip_bit_for_bit(name: str) -> None:
    pixels, options = CASES[name]
    model = prior(**options)
    indices = indices_for(model, pixels)
    payload = encode_pixels(model, indices, pixels)
    size = (int(pixels.shape[2]), int(pixels.shape[3]))
    back = decode_pixels(model, indices, payload, size, pixels.shape[1])
    assert back.dtype == torch.uint8
    assert torch.equal(back, pixels)
    ideal = -float(model.log_prob(pixels, indices).sum()) / math.log(2)
    assert ideal - 8 <= 8 * len(payload) <= ideal * 1.001 + 32


def test_an_unused_codebook_adds_nothing() -> None:
    model, pixels = prior(num_codebooks=2), images(1, 3, 8, 8)
    indices = indices_for(model, pixels)
    indices[..., 1] = -1
    payload = encode_pixels(model, indices, pixels)
    assert torch.equal(decode_pixels(model, indices, payload, (8, 8), 3), pixels)
    found = everything(model, pixels, indices)
    with torch.no_grad():
        model.network.embedding.weight[16:] = 0  # the second codebook's
    indices[..., 1] = 5
    assert torch.equal(everything(model, pixels, indices), found)


def test_no_later_step_influences_an_earlier_one() -> None:
    model, pixels = prior(), images(1, 3, 10, 9)
    indices = indices_for(model, pixels)
    state = torch.zeros(3, 90, dtype=torch.int64)  # 0: nothing known of a subpixel, 1: level // 16, 2: all
    seen = 0
    steps = model.steps((10, 9))
    assert sum(len(step.positions) for step in steps) == 2 * 3 * 90
    for step in steps:
        other = images(1, 3, 10, 9, seed=5).view(3, 90)
        mixed = torch.where(state == 2, pixels.view(3, 90), other)
        mixed = torch.where(state == 1, pixels.view(3, 90) // 16 * 16 + other % 16, mixed).view(1, 3, 10, 9)
        mine = model.frequencies(pixels, indices, step)
        assert mine.shape == (1, len(step.positions), 16)
        assert bool((mine.sum(dim=2) == TOTAL).all())
        assert torch.equal(mine, model.frequencies(mixed, indices, step))
        earlier = torch.where(state == 2, other, pixels.view(3, 90)).view(1, 3, 10, 9)
        seen += not torch.equal(mine, model.frequencies(earlier, indices, step))
        assert bool((state[step.channel, step.positions] == step.part).all())
        state[step.channel, step.positions] += 1
    assert bool((state == 2).all())
    assert seen >= len(steps) - 2  # all steps but those of the first subpixels see earlier ones


def test_steps_are_what_is_coded() -> None:
    model, pixels = prior(), images(2, 3, 6, 7)
    indices = indices_for(model, pixels)
    total = torch.zeros(2, dtype=torch.float64)
    for step in model.steps((6, 7)):
        level = pixels.flatten(2)[:, step.channel, step.positions].long()
        symbol = level // 16 if step.part == 0 else level % 16
        chosen = model.frequencies(pixels, indices, step).gather(2, symbol.unsqueeze(2))
        total += (chosen.double() / TOTAL).log().sum(dim=(1, 2))
    assert torch.allclose(total, model.log_prob(pixels, indices), rtol=1e-12)


def test_indices_matter_and_are_read_where_they_lie() -> None:
    model, pixels = prior(), images(1, 3, 32, 8)
    indices = indices_for(model, pixels)
    other = indices.clone()
    other[0, 0, 0] = (other[0, 0, 0] + 1) % 16
    step = model.steps((32, 8))[0]
    differs = (model.frequencies(pixels, indices, step) != model.frequencies(pixels, other, step)).any(dim=2)[0]
    rows = step.positions // 8
    assert bool(differs.any())
    assert int(rows[differs].max()) <= model.halo


def everything(model: PixelPrior, pixels: Tensor, indices: Tensor) -> Tensor:
    state = model.incremental_state(indices, (int(pixels.shape[2]), int(pixels.shape[3])), pixels)
    found = []
    for group in range(16):
        if state.begin_group(group):
            found += [table.view(len(pixels), -1, 16) for channel in model.order for _, table in state.tables(channel)]
    return torch.cat(found, dim=1)


def test_the_same_integers_whatever_computes_them() -> None:
    model, pixels = prior(hidden_channels=32, neighbours=24), images(16, 3, 9, 10)
    indices = indices_for(model, pixels)
    expected = everything(model, pixels, indices)
    threads = torch.get_num_threads()
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            assert torch.equal(everything(model, pixels, indices), expected)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(everything(model, pixels[3:4], indices[3:4]), expected[3:4])
    model.set_storage_dtype(torch.float64)
    assert torch.equal(everything(model, pixels, indices), expected)
    model.set_storage_dtype(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(everything(model, pixels, indices), expected)
    assert torch.equal(everything(model.train(), pixels, indices), expected)


def test_compiled_it_gives_the_same_integers() -> None:
    model, pixels = prior(), images(1, 3, 8, 8)
    told = Canvas.of(pixels, model.border, torch.float32).around(torch.tensor([9, 11, 40]), model.known[9])[0]
    rows = torch.cat([told, torch.ones(3, SMALL["features"])], dim=1)

    def forward(rows: Tensor) -> tuple[Tensor, Tensor]:
        mean = model.network.enter[9](rows)
        mixture = model.network.heads[0](mean[:, 0], model.network.leave(mean), [])
        return mixture.means, mixture.log_scales

    with torch.no_grad():
        plain, compiled = forward(rows), torch.compile(forward, backend="aot_eager")(rows)
    assert all(torch.equal(one, other) for one, other in zip(plain, compiled, strict=True))


def test_many_rows_are_computed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pixels = prior(), images(2, 3, 20, 20)
    indices = indices_for(model, pixels)
    expected = everything(model, pixels, indices)
    monkeypatch.setattr("vqkit.pixels.steps._ROWS", 7)
    assert torch.equal(everything(model, pixels, indices), expected)


def test_neighbours_are_known_and_near() -> None:
    for cell in (2, 4):
        known = offsets(cell, 12)
        assert len(known) == cell * cell
        assert known[0] == ()
        assert set(known[-1][:4]) == {(-1, 0), (1, 0), (0, -1), (0, 1)}


def test_a_reference_is_the_rounded_mean_of_the_nearest_inside() -> None:
    pixels = torch.tensor([[10, 21], [31, 40]], dtype=torch.uint8).view(1, 1, 2, 2)
    canvas = Canvas.of(pixels, 2, torch.float32)
    told, reference = canvas.around(torch.tensor([0]), ((0, 1), (1, 0), (0, -1), (1, 1)))
    assert reference.tolist() == [[31.0]]  # (21 + 31 + 40) / 3 = 30.67
    assert told.tolist() == [[-10.0, 0.0, 0.0, 9.0, 16.0, 16.0, 0.0, 16.0, -97.0]]
    assert canvas.around(torch.tensor([0]), ((0, -1),))[1].tolist() == [[128.0]]
    assert torch.equal(canvas.pixels(), pixels)


def test_training_computes_what_files_hold() -> None:
    model, pixels = prior(noise=0.03), images(2, 3, 14, 12) // 4 + 90
    indices = indices_for(model, pixels)
    exact = model.log_prob(pixels, indices)
    trained = model.train().log_prob(pixels, indices)
    assert torch.allclose(trained.double(), exact, rtol=2e-3)
    (-trained.sum()).backward()
    for name, each in model.named_parameters():
        assert each.grad is not None, name
        assert bool(torch.isfinite(each.grad).all()), name
        assert float(each.grad.abs().max()) > 0 or "embedding" in name, name


def test_a_folder_gives_the_same_integers(tmp_path: Path) -> None:
    model, pixels = prior(components=3), images(1, 3, 9, 9)
    indices = indices_for(model, pixels)
    model.save_pretrained(tmp_path / "saved")
    for back in (PixelPrior.from_pretrained(tmp_path / "saved"), load_trained(tmp_path / "saved")):
        assert isinstance(back, PixelPrior)
        assert back.config == model.config
        assert torch.equal(everything(back, pixels, indices), everything(model, pixels, indices))


def test_a_damaged_payload_is_noticed() -> None:
    model, pixels = prior(), images(1, 3, 8, 8)
    indices = indices_for(model, pixels)
    payload = encode_pixels(model, indices, pixels)
    for damaged in (payload[:-3], payload + b"\1", bytes([payload[0] ^ 64]) + payload[1:]):
        try:
            back = decode_pixels(model, indices, damaged, (8, 8), 3)
        except BitstreamError:
            continue
        assert not torch.equal(back, pixels)
    with pytest.raises(BitstreamError, match="damaged"):
        decode_pixels(model, indices, payload + b"\1", (8, 8), 3)


def test_what_is_refused() -> None:
    model, pixels = prior(), images(1, 3, 8, 8)
    indices = indices_for(model, pixels)
    with pytest.raises(DataError, match="round floats yourself"):
        encode_pixels(model, indices, pixels / 255)
    with pytest.raises(DataError, match=r"reads \[batch, 3"):
        encode_pixels(model, indices, pixels[:, :1])
    with pytest.raises(DataError, match=r"have torch.int64 \[batch, 2, 2\]"):
        encode_pixels(model, indices[:, :1], pixels)
    with pytest.raises(DataError, match="codebook_size"):
        encode_pixels(model, indices + 16, pixels)
    with pytest.raises(ConfigError, match="channels=1"):
        decode_pixels(model, indices, b"", (8, 8), 1)
    with pytest.raises(ConfigError, match="height and width"):
        model.steps((0, 8))
    with pytest.raises(ConfigError, match=r"grey \(1\) or colour \(3\)"):
        PixelPrior(16, 4, channels=2)
    with pytest.raises(ConfigError, match="1040 at most"):
        PixelPrior(16, 4, neighbours=300)
    with pytest.raises(ConfigError, match="features=0"):
        PixelPrior(16, 4, features=0)
    with pytest.raises(ConfigError, match="with_tokenizer"):
        model(pixels)
    with pytest.raises(ConfigError, match="codebook_size=32"):
        model.with_tokenizer(tokenizer(codebook_size=32))
    with pytest.raises(ConfigError, match="the model says it"):
        PixelPrior.for_model(tokenizer(), channels=1)


def tokenizer(**options: Any) -> VQVAE:
    torch.manual_seed(0)
    made = VQVAE(**{"codebook_size": 16, "hidden_channels": 8, "residual_channels": 4, "code_dim": 4, **options})
    return made.eval()


def slopes(count: int = 40) -> ArraySource:
    """Images [3, 12, 12] that are smooth, with a little noise: there is something to learn."""
    rng = np.random.default_rng(0)
    down, right = rng.integers(-6, 7, (2, count, 1, 1, 1))
    grid = np.arange(12)
    array = 128 + down * (grid[:, None] - 6) + right * (grid[None] - 6) + rng.integers(-2, 3, (count, 3, 12, 12))
    return ArraySource(array.clip(0, 255).astype(np.uint8))


CONFIG: dict[str, Any] = {"steps": 60, "batch_size": 8, "learning_rate": 1e-2, "validation": "last:8", "device": "cpu"}


def test_the_loop_trains_and_goes_on(tmp_path: Path) -> None:
    model, source = tokenizer(), slopes()
    before = copy.deepcopy(model.state_dict())
    config = TrainConfig.from_dict({**CONFIG, "evaluations": 2, "average_decay": 0.9})
    run = train_lossless(model, source, tmp_path / "a", config=config, options=SMALL, quiet=True)
    assert run.finished
    assert run.evaluation is not None
    found = bits_per_dim(run, model, source)
    assert found["uniform"] == pytest.approx(9 * 4 / 432)
    assert found["total"] == pytest.approx(found["residual"] + found["uniform"])
    assert found["residual"] < 4.5  # an untrained one: about 5.5
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    trained = run.model()
    pixels = torch.from_numpy(source.gather(np.arange(36, 40)))
    indices = model.encode(pixels)
    payload = encode_pixels(trained, indices, pixels)
    assert torch.equal(decode_pixels(trained, indices, payload, (12, 12), 3), pixels)
    short = TrainConfig.from_dict({**CONFIG, "steps": 30, "evaluations": 2, "average_decay": 0.9})
    train_lossless(model, source, tmp_path / "b", config=short, options=SMALL, quiet=True)
    with pytest.raises(ConfigError, match="with_tokenizer"):
        resume(tmp_path / "b", data=source, steps=60, quiet=True)
    longer = resume(tmp_path / "b", data=source, tokenizer=model, steps=40, quiet=True)
    assert longer.finished
    assert longer.step == 40


def test_tokens_under_a_context_prior_are_counted(tmp_path: Path) -> None:
    model, source = tokenizer(), slopes()
    config = TrainConfig.from_dict({**CONFIG, "steps": 1, "batch_size": 2})
    run = train_lossless(model, source, tmp_path / "lossless", config=config, options=SMALL, quiet=True)
    assert context_of(tmp_path) is None
    ContextPrior(16, [3, 3], hidden_channels=8, layers=1).save_pretrained(tmp_path / "context" / "run" / "model")
    found = bits_per_dim(run, model, source, context_of(tmp_path))
    assert found["context"] == pytest.approx(found["uniform"], rel=1e-4)  # an untrained one
    assert found["total_context"] == pytest.approx(found["total"], rel=1e-4)


def test_the_command(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", slopes().gather(np.arange(40)))
    tokenizer().save_pretrained(tmp_path / "model")
    small = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
    arguments = ["lossless", str(tmp_path / "model"), str(tmp_path / "images.npy"), "--steps", "4", "--batch-size", "4"]
    out = ["--out", str(tmp_path / "lossless"), "--validation", "last:8", "--device", "cpu"]
    done = CliRunner().invoke(app, [*arguments, *small, *out])
    assert done.exit_code == 0, done.output
    assert "bits per dimension: residual" in done.output
    assert isinstance(load_trained(tmp_path / "lossless"), PixelPrior)
    wrong = CliRunner().invoke(app, [*arguments, *out, "--set", "zap=1"])
    assert isinstance(wrong.exception, ConfigError)
    assert "neighbours" in str(wrong.exception)

"""Indices that weigh the entropy model's bits: beside a slow search in float64; files that read as any other."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.codec.cases import context, histogram, signals, tokenizer
from vqkit.codec import Codec, Compressor, Decompressor, RateController, Signal, StreamCompressor, entropy_model
from vqkit.codec.entropy.models import tile_bits
from vqkit.codec.entropy.optimized import optimized_indices
from vqkit.codec.resuming.file import going_on
from vqkit.errors import ConfigError
from vqkit.models import VQVAE
from vqkit.priors import ContextPrior

WEIGHT = 0.3
SHAPES: dict[str, dict[str, Any]] = {
    "one": {},
    "residual": {"num_codebooks": 3, "stacking": "residual"},
    "product": {"num_codebooks": 2, "stacking": "product"},
}


def model_of(shape: str) -> VQVAE:
    """With latents of about the unit of length, and codes among them."""
    model = tokenizer(**SHAPES[shape])
    with torch.no_grad():
        flat = latents_of(model).movedim(1, -1).flatten(0, -2)
        last = [each for each in model.encoder.modules() if isinstance(each, torch.nn.Conv2d)][-1]
        last.weight /= flat.std(0)[:, None, None, None]
        assert last.bias is not None
        last.bias.copy_((last.bias - flat.mean(0)) / flat.std(0))
        for number, book in enumerate(books_of(model)):
            book.uses.copy_(torch.arange(1, 17).roll(5 * number + 5) ** 2 / 93.5)
            book.codebook.copy_(
                0.6**number * torch.randn(book.codebook.shape, generator=torch.Generator().manual_seed(number))
            )
    return model


def books_of(model: VQVAE) -> list[Any]:
    quantizer: Any = model.quantizer
    return list(getattr(quantizer, "stages", getattr(quantizer, "parts", [quantizer])))


def latents_of(model: VQVAE, count: int = 2) -> Tensor:
    return model.latents(signals(model, count, (24, 20))).detach()


def slow_indices(model: VQVAE, prior: ContextPrior, latents: Tensor, codebooks: int) -> Tensor:
    """One position after another in float64: of the 4 cheapest codes now the one that is cheapest at the end."""
    books = books_of(model)
    words = [book.codebook.double() for book in books]
    usual = [-(book.uses.double() + 0.02).log2() + (book.uses.double() + 0.02).sum().log2() for book in books]
    product = model.config["stacking"] == "product" and len(books) > 1
    found = torch.zeros(len(latents), *latents.shape[2:], codebooks, dtype=torch.int64)
    flat = found.view(len(latents), -1, codebooks)
    for step in prior.steps(latents.shape[2:], codebooks):
        table = prior.frequencies(found, step).double() / 2**24
        for item in range(len(latents)):
            for number, place in enumerate(step.positions.tolist()):
                left = latents[item].flatten(1)[:, place].double()
                book = step.codebook
                left = (
                    left[4 * book // 2 :][:2]
                    if product
                    else left - sum(words[each][flat[item, place, each]] for each in range(book))
                )
                costs = (left - words[book]).square().sum(1) - WEIGHT * table[item, number].log2()
                last = product or book == codebooks - 1
                best, cheapest = -1, np.inf
                for code in [int(costs.argmin())] if last else costs.argsort()[:4].tolist():
                    rest, cost = left - words[book][code], -WEIGHT * float(table[item, number, code].log2())
                    for later in range(book + 1, codebooks if not last else 0):
                        prices = (rest - words[later]).square().sum(1) + WEIGHT * usual[later]
                        cost += WEIGHT * float(usual[later][prices.argmin()])
                        rest = rest - words[later][prices.argmin()]
                    cost += float(rest.square().sum())
                    if cost < cheapest:
                        best, cheapest = code, cost
                flat[item, place, book] = best
    return found


@pytest.mark.parametrize(("shape", "codebooks"), [("one", 1), ("residual", 3), ("residual", 2), ("product", 2)])
def test_a_slow_search_finds_the_same(shape: str, codebooks: int) -> None:
    model = model_of(shape)
    prior, latents = context(model), latents_of(model)
    found = optimized_indices(model, entropy_model(prior, 16), latents, WEIGHT, codebooks)
    assert torch.equal(torch.from_numpy(found), slow_indices(model, prior, latents, codebooks))


@pytest.mark.parametrize("kind", ["context", "histogram"])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_file_of_them_reads_as_any_other_and_costs_less(shape: str, kind: str) -> None:
    model = model_of(shape)
    prior = context(model) if kind == "context" else histogram(model)
    entropy = entropy_model(prior, 16)
    x = signals(model, 3, (24, 20))
    data = Codec(model, prior, rate_weight=WEIGHT, optimize=True).compress(x)
    read = [each.indices for each in Decompressor(model, entropy).read(io.BytesIO(data))]
    latents = model.latents(x).detach()
    chosen = optimized_indices(model, entropy, latents, WEIGHT, model.num_codebooks)
    np.testing.assert_array_equal(torch.stack(read).numpy(), chosen)

    def cost(indices: Any) -> float:
        codes = torch.from_numpy(indices)
        words = model.quantizer.lookup(codes if model.num_codebooks > 1 else codes[..., 0])
        return float((words - latents).square().sum()) + WEIGHT * tile_bits(entropy, indices)

    plain = Codec(model, prior, rate_weight=WEIGHT).compress(x)
    without = [each.indices.long() for each in Decompressor(model, entropy).read(io.BytesIO(plain))]
    assert cost(chosen) < 0.99 * cost(torch.stack(without).numpy())


def test_they_depend_on_their_signal_alone() -> None:
    model = model_of("residual")
    entropy, latents = entropy_model(context(model), 16), latents_of(model, 5)
    whole = optimized_indices(model, entropy, latents, WEIGHT, 3)
    alone = [optimized_indices(model, entropy, each[None], WEIGHT, 3) for each in latents]
    np.testing.assert_array_equal(whole, np.concatenate(alone))


def test_a_rate_is_met_and_spent() -> None:
    model = model_of("residual")
    entropy, x = entropy_model(context(model), 16), signals(model, 2, (32, 32))
    given = [Signal(each.numpy()) for each in x]
    whole = Compressor(model, entropy).write(io.BytesIO(), given)
    wanted = 0.8 * whole.model_bits["context"] / whole.pixels
    search = RateController(model, entropy, wanted, optimize=True)
    report = Compressor(model, entropy, search=search, optimize=True).write(io.BytesIO(), given)
    assert 0.9 * wanted < report.model_bits["context"] / report.pixels <= wanted


def test_an_interrupted_compression_does_not_mix_the_two(tmp_path: Path) -> None:
    model = model_of("residual")
    given = [Signal(each.numpy()) for each in signals(model, 2, (24, 20))]

    def compressor(optimize: bool, seed: int = 2) -> Compressor:
        prior = context(model)
        prior.network.step.weight.data += seed
        return Compressor(model, entropy_model(prior, 16), rate_weight=WEIGHT, optimize=optimize)

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    for optimize, seed in ((False, 2), (True, 2), (True, 3)):
        compressor(optimize, seed).write(want := io.BytesIO(), given)
        writer = compressor(optimize, seed)
        with pytest.raises(KeyboardInterrupt), going_on(writer, tmp_path / "out.vqk") as memory:
            writer.write(found := io.BytesIO(), given, progress=stop)
        assert memory.made == 2  # the indices and their bytes: not those of the ones before
        writer = compressor(optimize, seed)
        with going_on(writer, tmp_path / "kept.vqk"):
            writer.write(found := io.BytesIO(), given)
        assert found.getvalue() == want.getvalue()


def test_what_cannot_be_optimized_is_refused() -> None:
    model = model_of("residual")
    entropy = entropy_model(context(model), 16)
    with pytest.raises(ConfigError, match=r"optimize=True: without a prior .*vqkit.ContextPrior"):
        Codec(model, optimize=True, rate_weight=WEIGHT)
    with pytest.raises(ConfigError, match=r"optimize=True: bits weigh nothing"):
        Codec(model, context(model), optimize=True)
    with pytest.raises(ConfigError, match="no rows of a codebook"):
        Codec(tokenizer(quantizer="fsq"), context(tokenizer(quantizer="fsq")), optimize=True)
    sound = tokenizer(1, channels=1, kind="sound@16000")
    writer = Compressor(sound, entropy_model(context(sound), 16), rate_weight=WEIGHT, optimize=True)
    with pytest.raises(ConfigError, match="optimize=True: a stream"):
        StreamCompressor(writer, io.BytesIO())
    assert "optimize=True" in repr(Codec(model, context(model), rate_weight=WEIGHT, optimize=True))
    assert RateController(model, entropy, 0.5, optimize=True).wanted == 0.5

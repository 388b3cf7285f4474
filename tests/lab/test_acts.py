"""Acts of the lab: comparison, token grid, codewords and use of codes, against other formulas."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from tests.codec.cases import context, tokenizer
from tests.lab.cases import image_model, sound_model, vector_model
from vqkit.errors import ConfigError, DataError
from vqkit.lab import OpenModel
from vqkit.lab.acts.code_use import code_use, crop_at, data_use
from vqkit.lab.acts.codewords import codewords, flat_map, nearest_codes
from vqkit.lab.acts.comparison import compare, error_map, heat, index_entropy, rate_table
from vqkit.lab.acts.examples import example_names, read_example
from vqkit.lab.acts.side_by_side import side_by_side
from vqkit.lab.acts.token_grid import TokenGrid, decode_grid, encode_grid, patches
from vqkit.lab.acts.uploads import of_array


@pytest.fixture(scope="module")
def pictures() -> OpenModel:
    return OpenModel("pictures", None, image_model())


@pytest.fixture(scope="module")
def stack() -> OpenModel:
    return OpenModel("stack", None, image_model(num_codebooks=3, stacking="residual"))


@pytest.fixture(scope="module")
def voices() -> OpenModel:
    return OpenModel("voices", None, sound_model())


def noise(height: int = 24, width: int = 32) -> Any:
    return np.random.default_rng(3).integers(0, 256, (3, height, width)).astype(np.uint8)


def test_a_comparison_is_the_models_own(pictures: OpenModel) -> None:
    upload = of_array(pictures, noise(), "noise")
    found = compare(pictures, upload)
    x = torch.from_numpy(noise())[None]
    back = pictures.model.reconstruct(x)
    assert np.array_equal(found.reconstruction, back.numpy())
    mse = float(np.mean((noise() / 255 - back[0].numpy().astype(np.float64)) ** 2))
    assert found.psnr == pytest.approx(-10 * math.log10(mse), abs=1e-4)
    assert (found.grid, found.tokens) == ((6, 8), 48)


def test_rates_are_those_of_files(stack: OpenModel) -> None:
    upload = of_array(stack, noise(), "noise")
    rows = rate_table(stack, upload, [1, 3])
    for row in rows:
        blob = vqkit.Codec(stack.model, codebooks=row.codebooks).compress(torch.from_numpy(noise()))
        assert row.file_bytes == len(blob)
        assert row.nominal_bytes == 48 * row.codebooks * 6 / 8
        assert row.entropy_bytes <= row.nominal_bytes
    assert rows[0].psnr != rows[1].psnr
    assert rows[1].psnr == pytest.approx(compare(stack, upload).psnr)


def test_the_prior_of_a_run_codes_its_files(tmp_path: Any) -> None:
    model = tokenizer(channels=3)
    model.save_pretrained(tmp_path / "run" / "model")
    context(model).save_pretrained(tmp_path / "run" / "context" / "run" / "model")
    opened = OpenModel("run", str(tmp_path / "run"), model)
    row = rate_table(opened, of_array(opened, noise(), "noise"))[0]
    file = io.BytesIO(vqkit.Codec(model, context(model)).compress(torch.from_numpy(noise())))
    assert opened.entropies[0].kind == "context"
    assert row.under == "context"
    assert row.file_bytes == len(file.getvalue())
    assert row.entropy_bytes < row.file_bytes


def test_index_entropy() -> None:
    indices = torch.tensor([[0, 0], [0, 1], [1, 2], [1, 3]])
    assert index_entropy(indices, 2) == pytest.approx(1.5)
    assert index_entropy(torch.zeros(8, dtype=torch.int64), 1) == 0


def test_an_error_map_is_dark_where_nothing_is_wrong() -> None:
    one, other = np.zeros((3, 4, 4), np.float32), np.zeros((3, 4, 4), np.float32)
    other[:, 0, 0] = 1.0
    seen = np.asarray(error_map(one, other)).sum(axis=2)
    assert seen[0, 0] > 3 * seen[1, 1]
    brightness = heat(np.linspace(0, 1, 50)).astype(int) @ [299, 587, 114]
    assert (np.diff(brightness) > 0).all()


def test_codewords_of_each_quantizer() -> None:
    """Up to a constant, the codewords are the rows of the codebook; of a stack, those of one stage."""
    model = image_model()
    own = model.codebook.detach().numpy()
    assert np.allclose(codewords(model), own - own.mean(axis=0), atol=1e-5)
    fsq = vqkit.VQVAE(64, quantizer="fsq", code_dim=3, hidden_channels=8).eval()
    assert len(np.unique(codewords(fsq).round(4), axis=0)) == 64
    stack = image_model(num_codebooks=2, stacking="residual")
    first, second = codewords(stack, 0), codewords(stack, 1)
    both = stack.quantizer.lookup(torch.tensor([[[[5, 9]]], [[[2, 9]]]])).detach().numpy()[:, :, 0, 0]
    assert np.allclose(both[0] - both[1], first[5] - first[2], atol=1e-5)
    assert not np.allclose(first, second)
    with pytest.raises(ConfigError, match="the model has 2"):
        codewords(stack, 2)


def test_nearest_codes_and_map() -> None:
    words = np.random.default_rng(1).normal(size=(20, 5)) @ np.diag([9.0, 4.0, 1.0, 0.1, 0.1])
    near = nearest_codes(words, 3, 4)
    distances = [(float(np.linalg.norm(words[code] - words[3])), code) for code in range(20) if code != 3]
    assert [code for code, _ in near] == [code for _, code in sorted(distances)[:4]]
    places, share = flat_map(words)
    variances = np.sort(np.linalg.eigvalsh(np.cov(words.T)))[::-1]
    assert share == pytest.approx(variances[:2].sum() / variances.sum())
    assert places.var(axis=0, ddof=1) == pytest.approx(variances[:2])
    assert flat_map(np.zeros((3, 1)))[0].shape == (3, 2)


def test_a_token_is_put_and_taken_back(stack: OpenModel) -> None:
    upload = of_array(stack, noise(), "noise")
    grid = encode_grid(stack, upload)
    assert grid.grid == (6, 8)
    assert grid.codebooks == 3
    before = decode_grid(stack, grid)
    code = (grid.code((2, 3), 1) + 1) % 64
    changed = grid.put((2, 3), 1, code, 64)
    after = decode_grid(stack, changed)
    moved = np.abs(after - before).max(axis=0) > 0
    assert moved[8:12, 12:16].all()  # the cell itself
    assert not moved[:, 28:].any()  # far from it nothing changes
    assert changed.changed(1) == [(2, 3)]
    assert changed.changed(0) == []
    assert np.array_equal(changed.undo().indices, grid.indices)
    assert np.array_equal(grid.indices, encode_grid(stack, upload).indices)  # the first is as it was
    twice = changed.put((2, 3), 1, (code + 1) % 64, 64).put((0, 0), 0, 5, 64)
    assert np.array_equal(twice.reset().indices, grid.indices)
    assert twice.reset().changes == ()
    assert grid.put((2, 3), 1, grid.code((2, 3), 1), 64) is grid


@pytest.mark.parametrize(
    ("position", "stage", "code"), [((6, 0), 0, 1), ((0, -1), 0, 1), ((0, 0), 3, 1), ((0, 0), 0, 64)]
)
def test_places_and_codes_that_are_none(stack: OpenModel, position: Any, stage: int, code: int) -> None:
    grid = TokenGrid("stack", "", (24, 32), np.zeros((6, 8, 3), np.int64))
    with pytest.raises(ConfigError):
        grid.put(position, stage, code, 64)


def test_patches_are_parts_of_what_is_decoded(pictures: OpenModel) -> None:
    """A window of the grid decodes to the same as the whole one, around its middle: the decoder looks no further."""
    grid = encode_grid(pictures, of_array(pictures, noise(40, 48), "noise"))
    here, other = grid.code((4, 5), 0), (grid.code((4, 5), 0) + 7) % 64
    made = patches(pictures, grid, (4, 5), 0, [here, other])
    whole = decode_grid(pictures, grid)
    assert made[0].shape == (3, 12, 12)
    assert np.allclose(made[0], whole[:, 12:24, 16:28], atol=1e-5)
    assert np.allclose(made[1], decode_grid(pictures, grid.put((4, 5), 0, other, 64))[:, 12:24, 16:28], atol=1e-5)
    assert patches(pictures, grid, (0, 0), 0, [here])[0].shape == (3, 8, 8)  # at the edge less is around it


def test_sounds_have_frames_and_codebooks(voices: OpenModel) -> None:
    grid = encode_grid(voices, read_example(voices, example_names(voices)[0]))
    assert grid.indices.shape == (631, 3)
    assert patches(voices, grid, (100,), 2, [0])[0].shape == (1, 17 * 64)
    assert decode_grid(voices, grid).shape == (1, 40366)


def test_use_is_the_histogram_of_the_indices(stack: OpenModel) -> None:
    signals = [noise(), noise(16, 16)[:, ::-1].copy()]
    use = code_use(stack, signals, "noise")
    every = [stack.model.encode(torch.from_numpy(each)[None])[0].reshape(-1, 3) for each in signals]
    counts = torch.stack([torch.bincount(column, minlength=64) for column in torch.cat(every).T]).numpy()
    assert np.array_equal(use.counts, counts)
    assert use.positions == 48 + 16
    shares = counts[0][counts[0] > 0] / 64
    assert use.perplexity(0) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()))
    assert use.usage(0) == (counts[0] > 0).mean()
    assert set(use.dead(2)) == set(np.flatnonzero(counts[2] == 0))
    for (stage, code), places in use.places.items():
        assert 1 <= len(places) <= 4
        for place in places:
            assert (
                every[place.item].reshape(-1, 3)[
                    np.ravel_multi_index(place.position, (6, 8) if place.item == 0 else (4, 4)), stage
                ]
                == code
            )
    crop = crop_at(stack, use, use.places[0, int(use.counts[0].argmax())][0])
    assert crop.shape[0] == 3
    assert max(crop.shape[1:]) <= 12
    with pytest.raises(DataError, match="no signals"):
        code_use(stack, [], "nothing")


def test_data_that_nobody_knows(pictures: OpenModel) -> None:
    with pytest.raises(DataError, match="drop files"):
        data_use(pictures)


def test_models_side_by_side(pictures: OpenModel, stack: OpenModel) -> None:
    gray = OpenModel("gray", None, vector_model())
    entries = list(side_by_side([pictures, stack, gray], None, "cat", 64))
    assert [entry.found is not None for entry in entries] == [True, True, False]
    assert "file" in entries[2].wrong
    assert entries[0].row is not None
    assert entries[0].found is not None
    assert entries[0].row.psnr == pytest.approx(entries[0].found.psnr)
    with pytest.raises(DataError):
        list(side_by_side([pictures], None, None))


def test_a_held_out_item_is_one_signal_for_all(tmp_path: Any) -> None:
    """Runs of other data have another item of the same name; it is not compared as if it were the same."""
    model = image_model()
    opened = []
    for name, value in (("black", 0), ("dark", 0), ("white", 255)):
        one = OpenModel(name, None, model)
        vars(one)["data"] = vqkit.load_source(np.full((4, 3, 16, 16), value, np.uint8))
        opened.append(one)
    found = list(side_by_side(opened, None, "held-out item 1"))
    assert [entry.found is not None for entry in found] == [True, True, False]
    assert "another signal than that of black" in found[2].wrong
    assert all(entry.found is not None for entry in side_by_side(opened, None, "cat", 64))


def test_codes_of_vectors_are_counted_over_many() -> None:
    """A vector is one position: of 64 of them most codes of a used codebook would look dead."""
    opened = OpenModel("vectors", None, vector_model())
    rows = torch.randn(5000, 6, generator=torch.Generator().manual_seed(0)).numpy()
    vars(opened)["data"] = vqkit.load_source(rows, kind="vector")
    use = data_use(opened)
    indices = opened.model.encode(torch.from_numpy(rows)).reshape(-1)
    assert use.positions == 5000
    assert np.array_equal(use.counts[0], torch.bincount(indices, minlength=16).numpy())
    assert len(use.signals) <= 16 * 12
    for (_, code), places in use.places.items():
        for place in places:
            assert opened.model.encode(torch.from_numpy(use.signals[place.item])[None]).item() == code


def test_a_session_that_was_forgotten_says_so() -> None:
    empty = TokenGrid("", "", (), np.zeros((0, 0), np.int64))
    with pytest.raises(DataError, match="forgotten"):
        empty.code((0, 0), 0)

"""Laws of ids: unique, reversible, stable when items are added, the same in any batches, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from tests.crews import OneAfterAnother
from tests.ids.cases import model, vectors
from vqkit.errors import ConfigError, DataError
from vqkit.ids import SemanticIds, choosing, load_ids, make_ids, save_ids
from vqkit.models import VQVAE, OptimizedProductQuantization, ProductQuantization
from vqkit.quantizers import Quantizer
from vqkit.quantizers.candidates import nearest_choices
from vqkit.spelling import command_line

BALANCED = pytest.mark.parametrize("balanced", [False, True])


@BALANCED
def test_every_id_leads_back_to_its_item_alone(balanced: bool) -> None:
    ids = make_ids(model(), vectors(), balanced=balanced)
    assert len(np.unique(ids.digits, axis=0)) == len(ids) == 600
    assert all(ids.items_of(own) == [name] for name, own in ids.items())
    assert all(ids.items_of("".join(ids.tokens_of(row))) == [str(row)] for row in (0, 599))
    assert sum(len(ids.rows_of((digit,))) for digit in range(8)) == 600


@BALANCED
def test_ids_do_not_depend_on_batches_or_the_run(balanced: bool) -> None:
    expected = make_ids(model(), vectors(), balanced=balanced).digits
    for size in (1000, 37):
        np.testing.assert_array_equal(make_ids(model(), vectors(), balanced=balanced, batch_size=size).digits, expected)


@pytest.mark.parametrize("balanced", [False, True])
def test_ids_are_those_of_one_process(balanced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    one = make_ids(model(), vectors(), balanced=balanced, batch_size=50)
    monkeypatch.setattr(choosing, "Crew", OneAfterAnother)
    for count in (2, 3):
        several = make_ids(
            model(), vectors(), balanced=balanced, batch_size=50, workers=count, progress=lambda *at: told.append(at)
        )
        assert (several.digits == one.digits).all()
        assert several.about == one.about
    assert told[-1] == (600, 600)
    with pytest.raises(ConfigError, match="give 1 or more"):
        make_ids(model(), vectors(), workers=0)


def test_ids_of_two_processes() -> None:
    one = make_ids(model(), vectors(), balanced=True)
    assert (make_ids(model(), vectors(), balanced=True, batch_size=300, workers=2).digits == one.digits).all()


def test_no_process_is_begun_without_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def crew(make: Any, given: Any, **options: Any) -> OneAfterAnother:
        begun.append(len(given))
        return OneAfterAnother(make, given, **options)

    monkeypatch.setattr(choosing, "Crew", crew)
    one = make_ids(model(), vectors())
    for size in (600, 250):
        assert (make_ids(model(), vectors(), batch_size=size, workers=400).digits == one.digits).all()
    assert begun == [3]


def test_plain_ids_are_the_indices_and_a_number_within_them() -> None:
    ids = make_ids(model(), vectors())
    indices = model().encode(torch.from_numpy(vectors())).numpy()
    np.testing.assert_array_equal(ids.digits[:, :3], indices)
    seen: dict[bytes, int] = {}
    for row, own in enumerate(indices):
        assert ids.digits[row, 3] == seen.setdefault(own.tobytes(), 0)
        seen[own.tobytes()] += 1


@pytest.mark.parametrize("capacity", [1, 2])
def test_balanced_ids_collide_less_and_keep_to_the_capacity(capacity: int) -> None:
    plain, balanced = (
        make_ids(model(), vectors()),
        make_ids(model(), vectors(), balanced=True, capacity=capacity, candidates=512),
    )
    assert balanced.levels()[-1].collision_rate < plain.levels()[-1].collision_rate
    wanted = 512 * capacity  # all ids may be had, so either all items fit or all ids are full
    counts = np.unique(balanced.digits[:, :3], axis=0, return_counts=True)[1]
    assert (counts >= min(capacity, 600 // 512)).all()
    assert np.minimum(counts, capacity).sum() == min(600, wanted)
    assert balanced.about["moved"] == (plain.digits[:, :3] != balanced.digits[:, :3]).any(axis=1).sum() > 0


def test_moved_items_get_nearer_ids_first() -> None:
    """Nobody has an id that somebody nearer to it, among those who would rather have it, was denied."""
    data, own = torch.from_numpy(vectors()), model()
    ids = make_ids(own, vectors(), balanced=True, candidates=16)
    latents = own.latents(data)
    far = (own.quantizer.lookup(torch.from_numpy(ids.digits[:, :3].astype(np.int64))) - latents).square().sum(dim=1)
    first = own.encode(data)
    holder: dict[tuple[int, ...], int] = {}
    for row in far.argsort(descending=True).tolist():  # of several the nearest; the others have no room anywhere
        holder[tuple(ids.digits[row, :3].tolist())] = row
    moved = [row for row in range(600) if tuple(first[row].tolist()) != tuple(ids.digits[row, :3])]
    denied = (own.quantizer.lookup(first) - latents).square().sum(dim=1)
    assert all(far[holder[tuple(first[row].tolist())]] <= denied[row] + 1e-5 for row in moved)


@BALANCED
@pytest.mark.parametrize("named", [False, True])
def test_old_ids_stay_when_items_are_added(balanced: bool, named: bool, tmp_path: Path) -> None:
    names = [f"item {row}" for row in range(600)] if named else None
    old = make_ids(model(), vectors()[:400], balanced=balanced, names=names and names[:400])
    save_ids(old, tmp_path / "old")
    new = make_ids(model(), vectors(), balanced=balanced, names=names, extend=tmp_path / "old")
    np.testing.assert_array_equal(new.digits[:400], old.digits)
    assert len(np.unique(new.digits, axis=0)) == 600
    assert new.about["new_items"] == 200
    again = make_ids(model(), vectors(), balanced=balanced, names=names, extend=new)
    np.testing.assert_array_equal(again.digits, new.digits)


def test_named_items_are_known_in_any_order_and_none_is_forgotten() -> None:
    names = [f"item {row}" for row in range(100)]
    old = make_ids(model(), vectors()[:60], names=names[:60])
    some = np.array([99, 3, 70, 59])
    new = make_ids(model(), vectors()[some], names=[names[row] for row in some], extend=old)
    assert new.names == [*names[:60], "item 99", "item 70"]
    assert new.id_of("item 3") == old.id_of("item 3")


def test_collisions_are_listed_without_a_last_digit() -> None:
    ids = make_ids(model(), vectors(), last_digit=False)
    assert ids.digits.shape == (600, 3)
    found = ids.collisions()
    assert sum(len(items) for _, items in found) + sum(len(ids.rows_of(o)) == 1 for _, o in ids.items()) == 600
    assert all(ids.items_of(own) == items and len(items) > 1 for own, items in found)


@pytest.mark.parametrize("kind", [ProductQuantization, OptimizedProductQuantization])
def test_models_of_products_balance_too(kind: Any) -> None:
    found = kind(8, num_codebooks=3, channels=6)
    found.fit(lambda: [torch.from_numpy(vectors())])
    ids = make_ids(found.eval(), vectors(), balanced=True)
    assert ids.levels()[-1].collision_rate < make_ids(found, vectors()).levels()[-1].collision_rate


@pytest.mark.parametrize("options", [{"num_codebooks": 3, "stacking": "residual"}, {"num_codebooks": 2}, {}])
def test_networks_balance_too(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    found: Any = VQVAE.for_source(vqkit.load_source(vectors()), 32, hidden_channels=8, code_dim=4, **options)
    found.train()(torch.from_numpy(vectors()))  # codes get their first values
    ids = make_ids(found.eval(), vectors(), balanced=True)
    assert ids.levels()[-1].collision_rate <= make_ids(found, vectors()).levels()[-1].collision_rate
    assert len(np.unique(ids.digits, axis=0)) == 600


def test_pictures_of_one_position_have_ids() -> None:
    digits = vqkit.load_source("builtin:digits").subset(range(40))
    found = VQVAE.for_source(digits, 16, downsampling=8, hidden_channels=8)
    assert make_ids(found.eval(), digits).digits.shape == (40, 2)


def test_what_is_refused() -> None:
    digits = vqkit.load_source("builtin:digits").subset(range(4))
    with pytest.raises(ConfigError, match="2 x 2 of indices; an id is of one position"):
        make_ids(VQVAE.for_source(digits, 16, hidden_channels=8).eval(), digits)
    bad = vectors(20)
    bad[7, 2] = np.nan
    with pytest.raises(DataError, match="item 7 holds NaN"):
        make_ids(model(), bad)
    with pytest.raises(DataError, match="at least one item"):
        make_ids(model(), vectors()[:0])
    with pytest.raises(DataError, match="5 numbers"):
        make_ids(model(), vectors()[:, :5])
    with pytest.raises(DataError, match="rows 1 and 2 have one name, 'a'"):
        make_ids(model(), vectors(3), names=["b", "a", "a"])
    with pytest.raises(DataError, match="2 names for 3 items"):
        make_ids(model(), vectors(3), names=["b", "a"])
    with pytest.raises(ConfigError, match="leave one of them out"):
        make_ids(model(), vectors(), balanced=True, codebooks=1)
    with pytest.raises(ConfigError, match="give 1 or more"):
        make_ids(model(), vectors(), balanced=True, capacity=0)
    with pytest.raises(ConfigError, match="no next best"):
        nearest_choices(Untold(), torch.zeros(2, 4), 3)


class Untold(Quantizer):
    """A quantizer of somebody else's: two codebooks, and one choice for a vector."""

    codebook_size, code_dim, num_codebooks = 16, 4, 2

    def forward(self, latents: Any, mask: Any = None) -> Any:
        raise AssertionError

    encode = lookup = forward


def test_an_older_map_of_something_else_is_refused() -> None:
    old = make_ids(model(), vectors()[:50])
    with pytest.raises(DataError, match="another model"):
        make_ids(model(1), vectors(), extend=old)
    with pytest.raises(DataError, match="come first, as they were"):
        make_ids(model(), vectors()[1:], extend=old)
    with pytest.raises(DataError, match="come first, as they were"):
        make_ids(model(), vectors()[:20], extend=old)
    with pytest.raises(DataError, match="no names"):
        make_ids(model(), vectors(), names=[str(row) for row in range(600)], extend=old)
    with pytest.raises(ConfigError, match=r"last digit.*give last_digit=True"):
        make_ids(model(), vectors(), last_digit=False, extend=old)
    with pytest.raises(ConfigError, match=r"no last digit.*give --no-last-digit"), command_line():
        make_ids(model(), vectors(), extend=make_ids(model(), vectors()[:50], last_digit=False))
    with pytest.raises(ConfigError, match="3 codebooks"):
        make_ids(model(), vectors(), codebooks=2, extend=old)


def test_items_and_ids_that_are_not_there() -> None:
    ids = SemanticIds(np.array([[3, 0], [3, 1]]), 8, last_digit=True)
    assert ids.items_of((5,)) == [] == ids.items_of("<a_3><b_2>")
    for item in ("x", 2, -1, 1.5):
        with pytest.raises(DataError, match="no names"):
            ids.id_of(item)  # type: ignore[arg-type]
    for tokens in ("<b_3>", "<a_3> <b_1>", "3,1", "<a_-1>"):
        with pytest.raises(DataError, match="no id in tokens"):
            ids.items_of(tokens)
    with pytest.raises(ConfigError, match="these ids have 2"):
        ids.items_of((1, 2, 3))
    with pytest.raises(DataError, match="not among"):
        SemanticIds(np.array([[0, 0]]), 8, last_digit=True, names=["a"]).id_of("b")


def test_a_map_read_again_is_the_same(tmp_path: Path) -> None:
    ids = make_ids(model(), vectors(), names=[f"ä {row}" for row in range(600)])
    save_ids(ids, tmp_path)
    again = load_ids(tmp_path)
    np.testing.assert_array_equal(again.digits, ids.digits)
    assert (again.names, again.sizes, again.codebooks) == (ids.names, ids.sizes, 3)
    assert again.about.items() >= ids.about.items()

"""The next film of a user by semantic ids: recall@10 and NDCG@10 on MovieLens, beside three ways without them.

``python benchmarks/movielens.py FOLDER`` (``ml-latest-small``: movies.csv, ratings.csv; its licence forbids shipping).
Films with five ratings or more; the last film of each user is what is asked for (leave last out), the one before it is
for choosing, and what comes before teaches. A film that a user has rated is not asked for again, so no contender offers
it. Contenders:

- popularity: the films with the most ratings,
- neighbours: films seen together with those of the history (cosine of the columns of users x films, summed),
- semantic ids: vectors of films (co-occurrence within training histories, PMI, reduced by SVD) quantized by vqkit's
  ``rq``, ids made by ``make_ids``, and a ``TransformerPrior`` of vqkit over histories, a position for each film and a
  codebook for each digit; every film is scored by the probability of its id, so nothing is lost to a beam search,
- random ids: the same ids dealt to films at random: same digits, same trie, same network, no meaning.

Recall@10 is the share of users whose film is among the first ten; NDCG@10 counts it 1 / log2(1 + rank).
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import svds
from torch import Tensor

import vqkit
from vqkit.ids import SemanticIds, make_ids
from vqkit.models import ResidualQuantization
from vqkit.storage import atomic

Array = npt.NDArray[Any]
_LEAST = 5
_TOP = 10


@dataclass
class Histories:
    """Films of users in the order of their ratings, as numbers of films; ``titles`` and ``genres`` of each film."""

    users: list[list[int]]
    titles: list[str]
    genres: list[set[str]]

    @property
    def count(self) -> int:
        """Films."""
        return len(self.titles)

    def training(self) -> list[list[int]]:
        """The histories without the last two films."""
        return [films[:-2] for films in self.users]


@dataclass
class Settings:
    """Sizes of ids, network and training."""

    codebook_size: int = 32
    codebooks: int = 3
    dimensions: int = 64
    length: int = 16
    channels: int = 64
    layers: int = 2
    dropout: float = 0.1
    steps: int = 1500
    batch: int = 64
    learning_rate: float = 3e-3


def main() -> None:
    """Compare, print a table, and write it."""
    own = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    own.add_argument("folder", type=Path, nargs="?", help="ml-latest-small")
    own.add_argument("--json", type=Path, default=None)
    own.add_argument("--quick", action="store_true", help="100 users, 20 steps")
    own.add_argument("--seeds", type=int, default=1)
    own.add_argument("--steps", type=int, default=None)
    arguments = own.parse_args()
    if arguments.folder is None or not (arguments.folder / "ratings.csv").is_file():
        print("movielens: no ratings.csv; give the folder of ml-latest-small, which may not be shipped: nothing done")
        return
    settings = Settings(steps=20 if arguments.quick else Settings.steps)
    settings.steps = arguments.steps or settings.steps
    rows = compare(read(arguments.folder, 100 if arguments.quick else None), settings, arguments.seeds)
    if arguments.json is not None:
        atomic.write_json(arguments.json, {"settings": vars(settings), "rows": rows})


def compare(histories: Histories, settings: Settings, seeds: int = 1) -> dict[str, Any]:
    """Measure all contenders; returns their rows by name."""
    rows: dict[str, Any] = {}

    def keep(name: str, scores: Array, **more: Any) -> None:
        rows[name] = {**measures(scores, histories), **more}
        own = rows[name]
        said = "  ".join(f"{key} {value:.4g}" for key, value in own.items() if isinstance(value, float | int))
        print(f"{name:16} {said}", flush=True)

    keep("popularity", np.tile(popularity(histories), (len(histories.users), 1)))
    keep("neighbours", neighbours(histories))
    vectors = film_vectors(histories, settings.dimensions)
    for seed in range(seeds):
        ids = film_ids(vectors, settings, seed)
        dealt = np.random.default_rng(seed).permutation(len(ids))
        random = SemanticIds(ids.digits[dealt], ids.codebook_size, last_digit=True)
        for name, own in (("semantic ids", ids), ("random ids", random)):
            start = time.process_time()
            prior, best = train(own, histories, settings, seed)
            more = {"shared_genres": alike(own, histories), "nats": best, "seconds": time.process_time() - start}
            keep(f"{name} {seed}", next_film_scores(prior, own, histories, settings), **more)
    return rows


def read(folder: Path, most_users: int | None = None) -> Histories:
    """Read films with enough ratings, and users in the order of time; equal times go by the number of the film."""
    with (folder / "ratings.csv").open(newline="", encoding="utf-8") as file:
        ratings = [(int(row["userId"]), int(row["timestamp"]), int(row["movieId"])) for row in csv.DictReader(file)]
    kept = set(sorted({user for user, _, _ in ratings})[:most_users])
    ratings = [each for each in ratings if each[0] in kept]
    counts = np.bincount([film for _, _, film in ratings])
    with (folder / "movies.csv").open(newline="", encoding="utf-8") as file:
        films = [row for row in csv.DictReader(file) if int(row["movieId"]) < len(counts)]
    films = [row for row in films if counts[int(row["movieId"])] >= _LEAST]
    number = {int(row["movieId"]): place for place, row in enumerate(films)}
    users: dict[int, list[int]] = defaultdict(list)
    for user, _, film in sorted(ratings):
        if film in number:
            users[user].append(number[film])
    long = [films for films in users.values() if len(films) >= 4]
    return Histories(long, [row["title"] for row in films], [set(row["genres"].split("|")) for row in films])


def popularity(histories: Histories) -> Array:
    """Ratings of each film in the training histories."""
    return np.bincount(np.concatenate(histories.training()), minlength=histories.count).astype(np.float64)


def interactions(histories: Histories) -> Any:
    """Users x films, 1 where a user rated a film in training."""
    rows = np.repeat(np.arange(len(histories.users)), [len(films) for films in histories.training()])
    columns = np.concatenate(histories.training())
    return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(histories.users), histories.count))


def neighbours(histories: Histories, last: int = 20) -> Array:
    """Item-item collaborative filtering: cosines of the films with the last ones of each user, summed."""
    seen = interactions(histories)
    norms = np.sqrt(np.maximum(np.asarray(seen.sum(axis=0)).ravel(), 1))
    cosine = (diags(1 / norms) @ (seen.T @ seen) @ diags(1 / norms)).toarray()
    np.fill_diagonal(cosine, 0)
    return np.stack([cosine[films[:-1][-last:]].sum(axis=0) for films in histories.users])


def film_vectors(histories: Histories, dimensions: int, window: int = 10) -> npt.NDArray[np.float32]:
    """Positive PMI of films within a window of training histories, reduced to so many dimensions by an SVD."""
    pairs: dict[tuple[int, int], float] = defaultdict(float)
    for films in histories.training():
        for place, film in enumerate(films):
            for other in films[max(0, place - window) : place]:
                pairs[film, other] += 1
                pairs[other, film] += 1
    (rows, columns), counts = np.array(list(pairs)).T, np.array(list(pairs.values()))
    table = csr_matrix((counts, (rows, columns)), shape=(histories.count, histories.count))
    sums = np.asarray(table.sum(axis=1)).ravel() ** 0.75 + 1
    pmi = np.log(counts * sums.sum() / (sums[rows] * sums[columns]))
    table = csr_matrix((np.maximum(pmi, 0), (rows, columns)), shape=table.shape)
    left, values, _ = svds(table, k=min(dimensions, histories.count - 1), random_state=0)
    vectors = left * np.sqrt(values)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return np.asarray(vectors, dtype=np.float32)


def film_ids(vectors: npt.NDArray[np.float32], settings: Settings, seed: int) -> SemanticIds:
    """Ids of films by residual quantization of their vectors."""
    source = vqkit.load_source(vectors)
    model = ResidualQuantization.for_source(
        source, settings.codebook_size, num_codebooks=settings.codebooks, seed=seed, beam=1
    )
    model.fit(lambda: [torch.from_numpy(vectors)])
    ids = make_ids(model.eval(), source, balanced=True)
    levels = ids.levels()
    collide = ", ".join(f"{level.collision_rate:.3f}" for level in levels)
    print(f"ids of {len(ids):,} films, sizes {ids.sizes}, prefixes collide {collide}", flush=True)
    return ids


def alike(ids: SemanticIds, histories: Histories) -> float:
    """Mean share of common genres (intersection over union) of films with an equal first digit."""
    generator, found = np.random.default_rng(0), []
    for row in generator.integers(len(ids), size=2000):
        others = ids.rows_of(ids.id_of(int(row))[:1])
        other = histories.genres[int(generator.choice(others))]
        mine = histories.genres[int(row)]
        found.append(len(mine & other) / len(mine | other))
    return float(np.mean(found))


def codes_of(ids: SemanticIds) -> Tensor:
    """Ids as indices of the prior ``[films + 1, digits]``: the last row stands for no film, before a history begins."""
    digits = torch.from_numpy(ids.digits.astype(np.int64))
    return torch.cat([digits, torch.full((1, digits.shape[1]), max(ids.sizes))])


def windows(films: Sequence[int], length: int, none: int, step: int) -> list[list[int]]:
    """Parts of a history of one length, each ``step`` further, the last at its end; short ones begin with none."""
    padded = [none] * max(0, length - len(films)) + list(films)
    ends = sorted({*range(len(padded), length - 1, -step)})
    return [padded[end - length : end] for end in ends]


def train(ids: SemanticIds, histories: Histories, settings: Settings, seed: int) -> tuple[Any, float]:
    """Train a prior over histories; the state that finds the films before the last ones likeliest is kept."""
    torch.manual_seed(seed)
    codes, none = codes_of(ids), len(ids)
    prior = vqkit.TransformerPrior(
        max(ids.sizes) + 1,
        (settings.length,),
        num_codebooks=codes.shape[1],
        hidden_channels=settings.channels,
        layers=settings.layers,
        dropout=settings.dropout,
    )
    parts = [w for films in histories.training() for w in windows(films, settings.length, none, settings.length // 2)]
    table = torch.tensor(parts)
    held = torch.tensor([windows(films[:-1], settings.length, none, 10**6)[-1] for films in histories.users])
    optimizer = torch.optim.AdamW(prior.parameters(), lr=settings.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=settings.steps)
    generator = torch.Generator().manual_seed(seed)
    best, state = float("inf"), prior.state_dict()
    for step in range(settings.steps):
        prior.train()
        rows = table[torch.randint(len(table), (settings.batch,), generator=generator)]
        logits = prior.logits(codes[rows])
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 2), codes[rows].flatten(), reduction="none")
        real = (rows != none).unsqueeze(2).expand_as(codes[rows]).flatten()
        loss = losses[real].mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(prior.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % max(1, settings.steps // 10) == 0:
            nats = held_nats(prior, codes, held)
            if nats < best:
                best = nats
                state = {name: value.clone() for name, value in prior.state_dict().items()}
            print(f"  step {step + 1}: {loss.item():.3f} nats a digit, held-out film {nats:.3f}", flush=True)
    prior.load_state_dict(state)
    return prior.eval(), best


@torch.no_grad()
def held_nats(prior: Any, codes: Tensor, held: Tensor) -> float:
    """Nats of the ids of the last films of windows."""
    prior.eval()
    logits = prior.logits(codes[held])[:, -1]
    target = codes[held[:, -1]]
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten()) * target.shape[1])


@torch.no_grad()
def next_film_scores(prior: Any, ids: SemanticIds, histories: Histories, settings: Settings) -> Array:
    """Log-probability of the id of every film after each user's history, ``[users, films]``."""
    codes, none, found = codes_of(ids), len(ids), []
    every = codes[:-1]
    for films in histories.users:
        window = windows([*films[:-1], none], settings.length, none, 10**6)[-1]
        features = prior._features(codes[window].unsqueeze(0), None)[:, -1]
        found.append(-prior.head.nats(features.expand(len(every), -1), every).numpy())
    return np.stack(found)


def measures(scores: Array, histories: Histories) -> dict[str, float]:
    """Recall@10 and NDCG@10 of the last film of each user, films of the history left out."""
    ranks = []
    for own, films in zip(scores.astype(np.float64), histories.users, strict=True):
        kept = own.copy()
        kept[films[:-1]] = -np.inf
        wanted = kept[films[-1]]
        ahead = (kept > wanted).sum()
        same = (kept == wanted).sum() - 1
        ranks.append(1 + ahead + same / 2)
    rank = np.array(ranks)
    hit = rank <= _TOP
    return {"recall@10": float(hit.mean()), "ndcg@10": float((hit / np.log2(1 + rank)).mean())}


if __name__ == "__main__":
    main()

"""The trie against a set of prefixes, and decoding that is bound to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vqkit.errors import ConfigError, DataError
from vqkit.ids import SemanticIds, Trie


@pytest.mark.parametrize("seed", range(5))
def test_allowed_are_the_digits_that_come_next(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.integers(0, 5, (random.integers(1, 60), random.integers(1, 5)))
    trie, known = Trie(rows), {tuple(row) for row in rows.tolist()}
    assert len(trie) == len(known)
    for _ in range(100):
        prefix = tuple(random.integers(0, 6, random.integers(0, rows.shape[1] + 1)).tolist())
        expected = sorted(
            {row[len(prefix)] for row in known if row[: len(prefix)] == prefix and len(prefix) < len(row)}
        )
        assert trie.allowed(prefix).tolist() == expected
        assert (prefix in trie) == (prefix in known)


def test_what_a_trie_refuses() -> None:
    for wrong in (np.zeros((0, 3), int), np.zeros(3, int), np.zeros((2, 2)), np.array([[-1, 2]])):
        with pytest.raises(DataError, match="a trie is of"):
            Trie(wrong)
    with pytest.raises(ConfigError, match="a prefix of 3"):
        Trie(np.zeros((1, 2), int)).allowed((0, 0, 0))
    with pytest.raises(ConfigError, match="no <b_7>"):
        Trie(np.array([[0, 7]])).prefix_allowed_tokens_fn({"<a_0>": 0}, prompt=1)
    allowed = Trie(np.array([[0, 1]])).prefix_allowed_tokens_fn({"<a_0>": 5, "<b_1>": 6}, prompt=1)
    with pytest.raises(ConfigError, match="begin no id"):
        allowed(0, [9, 3])


def test_without_an_end_one_id_follows_the_other() -> None:
    allowed = Trie(np.array([[0, 1], [2, 1]])).prefix_allowed_tokens_fn({"<a_0>": 5, "<a_2>": 7, "<b_1>": 6}, prompt=0)
    assert [allowed(0, tokens) for tokens in ([], [5], [5, 6], [5, 6, 7])] == [[5, 7], [6], [5, 7], [6]]


@pytest.mark.parametrize("beams", [1, 4])
def test_transformers_generates_ids_that_exist(beams: int) -> None:
    transformers: Any = pytest.importorskip("transformers")
    torch: Any = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    digits = np.unique(random.integers(0, 16, (20, 3)), axis=0)
    ids = SemanticIds(np.column_stack([digits, np.zeros(len(digits), int)]), 16, last_digit=True)
    words = ids.vocabulary(2)
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=2 + len(words), n_positions=16, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=1
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    prompt = torch.randint(2, 2 + len(words), (3, 5))
    allowed = ids.trie().prefix_allowed_tokens_fn(words, prompt=5, end=1)
    options = {"num_beams": beams, "num_return_sequences": beams, "do_sample": False, "pad_token_id": 1}
    made = model.generate(prompt, max_new_tokens=7, prefix_allowed_tokens_fn=allowed, **options)[:, 5:]
    tokens = {number: word for word, number in words.items()}
    assert len(made) == 3 * beams
    for row in made.tolist():
        assert row[4] == 1
        assert len(ids.items_of("".join(tokens[number] for number in row[:4]))) == 1

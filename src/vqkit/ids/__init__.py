"""Semantic ids: an item as a few digits that like items share, unique, reversible, stable when items are added."""

from vqkit.ids.files import load_ids as load_ids
from vqkit.ids.files import save_ids as save_ids
from vqkit.ids.making import make_ids as make_ids
from vqkit.ids.semantic import SemanticIds as SemanticIds
from vqkit.ids.trie import Trie as Trie

__all__ = ["SemanticIds", "Trie", "load_ids", "make_ids", "save_ids"]

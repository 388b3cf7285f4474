"""Dataset card of a folder of tokens: the ``README.md`` by which ``datasets.load_dataset`` finds the shards alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vqkit.checking import counted
from vqkit.tokens.formats import TokenFormat

CARD = "README.md"


def card_text(fmt: TokenFormat, manifest: Mapping[str, Any]) -> str:
    """Return the card of a token set, YAML front matter and a page; empty where the format needs none.

    Without it ``load_dataset(FOLDER)`` chooses the reader by the most frequent extension, and would take the
    description (``tokens.json``) for data.

    Args:
        fmt: of the shards.
        manifest: the description of the set.

    Example:
        >>> from vqkit.tokens import token_format
        >>> from vqkit.tokens.card import card_text
        >>> about = {"items": 3, "codebook_size": 16, "num_codebooks": 1, "source": "photos"}
        >>> print(card_text(token_format("jsonl"), about).split("---")[1].strip())
        configs:
        - config_name: default
          data_files: "indices-*.jsonl"
        tags:
        - vqkit
    """
    if not fmt.has_card:
        return ""
    books = manifest["num_codebooks"]
    several = f", {books} codebooks" if books > 1 else ""
    lines = [
        "---",
        "configs:",
        "- config_name: default",
        f"  data_files: {json.dumps(f'indices-*{fmt.suffix}')}",
        "tags:",
        "- vqkit",
        "---",
        "",
        f"# Tokens of {json.dumps(str(manifest['source']))}",
        "",
        f"{counted(manifest['items'], 'item')}, {manifest['codebook_size']:,} codes{several}, "
        f"{fmt.name} shards. `{fmt.manifest}` describes them.",
        "",
        "```python",
        "import datasets",
        "",
        'data = datasets.load_dataset("path/of/this/folder", split="train")',
        "```",
        "",
    ]
    return "\n".join(lines)

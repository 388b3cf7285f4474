"""``for_source`` says its options: to people who ask for its signature, and to type checkers."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch

import vqkit
from vqkit.models import matching

CLASSES: dict[type[Any], type[Any]] = {
    vqkit.VQVAE: matching.VQVAEOptions,
    vqkit.VAE: matching.VAEOptions,
    vqkit.Autoencoder: matching.AutoencoderOptions,
    vqkit.PCA: matching.PCAOptions,
}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_signature_is_the_constructors(kind: Any) -> None:
    shown, own = inspect.signature(kind.for_source).parameters, inspect.signature(kind).parameters
    assert next(iter(shown)) == "source"
    more = ("source", "seed", "kbps", "conditional")
    assert {name: item.default for name, item in shown.items() if name not in more} == {
        name: item.default for name, item in own.items()
    }


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_type_checkers_know_the_same_options(kind: Any) -> None:
    hints = get_type_hints(kind.__init__)
    first = next(iter(inspect.signature(kind).parameters))
    expected = {name: hint for name, hint in hints.items() if name not in (first, "return")}
    assert get_type_hints(CLASSES[kind]) == expected
    written = inspect.unwrap(kind.for_source.__func__)
    assert written.__annotations__["options"] == f"Unpack[{CLASSES[kind].__name__}]"
    assert written.__annotations__[first] == "int"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("how", ["array", "tensor", "path", "name", "list", "sound"])
def test_the_data_may_be_whatever_load_source_takes(kind: Any, how: str, tmp_path: Path) -> None:
    pixels = np.zeros((6, 8, 8, 3), np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    given: Any = {
        "array": pixels,
        "tensor": torch.from_numpy(pixels),
        "path": tmp_path / "x.npy",
        "name": "builtin:digits",
        "list": list(pixels),
        "sound": np.zeros((6, 2, 64), np.float32),
    }[how]
    options = {"kind": "sound"} if how == "sound" else {}
    wanted = kind.for_source(vqkit.load_source(given, **options), 4)
    assert kind.for_source(given, 4, **options).config == wanted.config

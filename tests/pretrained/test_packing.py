"""Packing: fewer bytes, the same numbers; rounding in place that exact layers do not feel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqkit import VQVAE, ContextPrior, load_model, load_prior
from vqkit.errors import ModelFolderError
from vqkit.ops.compacting import gridded
from vqkit.pretrained.folder import content_hash
from vqkit.pretrained.packing import PACKED, pack, unpack, widened
from vqkit.storage.reading import TensorHeader, TensorSpec


def small(**options: object) -> VQVAE:
    return VQVAE(16, channels=1, code_dim=4, hidden_channels=8, residual_channels=4, **options).eval()  # type: ignore[arg-type]


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=20), st.integers(-20, 20), st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_is_packed_comes_back_bit_for_bit(values: list[float], exponent: int, whole: bool) -> None:
    numbers = torch.tensor(values, dtype=torch.float32)
    numbers = (numbers.clamp(-200, 200).round() * 2.0**exponent) if whole else numbers
    stored, metadata = pack({"a": numbers})
    assert torch.equal(unpack(stored, metadata)["a"].view(torch.int32), numbers.view(torch.int32))


def test_each_number_is_stored_in_the_form_that_fits() -> None:
    tensors = {
        "eight": torch.tensor([0.5, -127 / 64]),
        "sixteen": torch.tensor([1000 / 64, 1 / 64]),
        "half": torch.tensor([1 / 3, 6e4]).half().float(),
        "whole": torch.tensor([1 / 3, 1e30]),
        "minus": torch.tensor([-0.0, 1.0]),
        "counts": torch.arange(3),
        "one": torch.arange(300) / 7,
        "again": torch.arange(300) / 7,
    }
    stored, metadata = pack(tensors)
    forms = json.loads(metadata[PACKED])
    assert {name: form[0] for name, form in forms.items()} == {
        "eight": "i8", "sixteen": "i16", "half": "f16", "minus": "f16", "again": "like",
    }  # fmt: skip
    assert "again" not in stored
    back = unpack(stored, metadata)
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("forms", ['[]', '{"a": ["f8"]}', '{"a": ["i8", 99]}', '{"b": ["like", "c"]}', '{"b": ["f16"]}',
                                   '{"a": ["i8", 1]}', '{"b": ["like", "a"], "c": ["like", "a"]}'])  # fmt: skip
def test_forms_that_no_file_has_are_refused(forms: str) -> None:
    header = TensorHeader({"a": TensorSpec("F16", (2,), 4)}, {PACKED: forms})
    with pytest.raises(ValueError):
        widened(header)


def test_a_compact_folder_is_smaller_and_holds_the_very_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = small()
    model.save_pretrained(tmp_path / "whole")
    model.compact().save_pretrained(tmp_path / "small")
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "small")]
    assert sizes[1] < 0.7 * sizes[0]
    back = load_model(tmp_path / "small")
    assert content_hash(back) == content_hash(model)
    assert {each.dtype for each in back.parameters()} == {torch.float32}
    picture = torch.rand(2, 1, 16, 16)
    assert torch.equal(back.reconstruct(picture), model.reconstruct(picture))
    back.save_pretrained(tmp_path / "again")
    for name in ("model.safetensors", "config.json", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "small" / name).read_bytes()
    assert json.loads((tmp_path / "whole/config.json").read_text())["vqkit_format"] == 1, "older versions read it"


def test_compacting_twice_changes_nothing_and_training_goes_on() -> None:
    torch.manual_seed(0)
    model = small().compact()
    first = content_hash(model)
    assert content_hash(model.compact()) == first
    model.train()
    model(torch.rand(2, 1, 16, 16)).loss.backward()
    assert all(each.grad is not None for each in model.encoder.parameters())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_a_codebook_is_rounded_to_a_grid(scale: float) -> None:
    """A byte a value in files, an error of half a step at most, and rounding again changes nothing."""
    values = scale * torch.randn(1024, 16, generator=torch.Generator().manual_seed(0))
    rounded = gridded(values)
    assert (rounded - values).abs().max() <= values.abs().max() / 127
    assert pack({"codes": rounded})[0]["codes"].dtype == torch.int8
    assert torch.equal(rounded.half().float(), rounded)
    assert torch.equal(gridded(rounded), rounded)
    assert gridded(torch.zeros(2, 3)).tolist() == [[0.0] * 3] * 2


def test_a_context_prior_computes_the_same_after_compacting(tmp_path: Path) -> None:
    torch.manual_seed(0)
    prior = ContextPrior(16, (4, 4), hidden_channels=8, layers=1)
    with torch.no_grad():
        for each in prior.parameters():
            each.add_(0.3 * torch.randn_like(each))
    prior.eval()
    indices = torch.randint(16, (3, 4, 4))
    before = prior(indices)
    before = getattr(before, "loss", before)
    rounded = prior.compact()
    after = rounded(indices)
    assert torch.equal(torch.as_tensor(before), torch.as_tensor(getattr(after, "loss", after)))
    rounded.save_pretrained(tmp_path)
    assert content_hash(load_prior(tmp_path)) == content_hash(rounded)


def test_a_changed_packed_file_is_refused(tmp_path: Path) -> None:
    small().compact().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelFolderError, match="sha256"):
        load_model(tmp_path)

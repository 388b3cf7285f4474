"""Model and prior folders from strangers: what does not belong together is refused before anything is built."""

from __future__ import annotations

import inspect
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vqkit.building import TooLargeError, bounded
from vqkit.errors import ConfigError, ModelFolderError, VqkitError
from vqkit.models import PCA, VAE, VQVAE, Model, load_model
from vqkit.pixels import PixelPrior
from vqkit.pretrained import folder as folders
from vqkit.priors import ContextPrior, HistogramPrior, TransformerPrior, load_prior
from vqkit.storage.reading import parse_json, read_tensor_header

SMALL: dict[str, Any] = {"hidden_channels": 8, "code_dim": 8, "residual_channels": 4, "channels": 1}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    VQVAE(16, **SMALL).save_pretrained(tmp_path / "m")
    return tmp_path / "m"


def changed(path: Path, **values: Any) -> None:
    file = path / folders.CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def rewrite(path: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Save the tensors anew without the digest, as another program does."""
    tensors = load_file(path / folders.TENSORS)
    change(tensors)
    save_file(tensors, path / folders.TENSORS)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(saved: Path, value: float) -> None:
    rewrite(saved, lambda tensors: tensors["quantizer.codebook"].fill_(value))
    with pytest.raises(ModelFolderError, match=r"quantizer\.codebook has NaN or Inf \(128 of 128"):
        load_model(saved)


def test_a_model_with_nan_is_not_written_over_a_good_one(saved: Path) -> None:
    model = load_model(saved)
    good = (saved / folders.TENSORS).read_bytes()
    model.signal_mean.fill_(float("nan"))
    with pytest.raises(ModelFolderError, match="signal_mean"):
        model.save_pretrained(saved)
    assert (saved / folders.TENSORS).read_bytes() == good


@pytest.mark.parametrize("dtype", [torch.int8, torch.float16, torch.int64])
def test_one_layer_of_another_dtype_is_refused_by_name(saved: Path, dtype: torch.dtype) -> None:
    def cast(tensors: dict[str, Tensor]) -> None:
        tensors["decoder.layers.0.weight"] = tensors["decoder.layers.0.weight"].to(dtype)

    rewrite(saved, cast)
    with pytest.raises(ModelFolderError, match=r"decoder\.layers\.0\.weight"):
        load_model(saved)


def test_a_count_saved_as_floats_is_refused(saved: Path) -> None:
    rewrite(saved, lambda tensors: tensors.update(steps_seen=tensors["steps_seen"].float()))
    with pytest.raises(ModelFolderError, match="steps_seen is F32, the model has it as I64"):
        load_model(saved)


def test_any_changed_byte_of_the_weights_is_noticed(saved: Path) -> None:
    file = saved / folders.TENSORS
    data = file.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    for place in (start, (start + len(data)) // 2, len(data) - 1):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(ModelFolderError, match="not the weights that were saved"):
            load_model(saved)
    file.write_bytes(data)
    assert isinstance(load_model(saved), VQVAE)


def test_the_digest_is_the_content_hash_and_folders_without_it_are_read(saved: Path) -> None:
    before = folders.content_hash(load_model(saved))
    assert read_tensor_header(saved / folders.TENSORS).metadata[folders.DIGEST] == before
    rewrite(saved, lambda tensors: None)
    assert folders.content_hash(load_model(saved)) == before


@pytest.mark.parametrize(
    "change",
    [
        {"codebook_size": 10**12},
        {"codebook_size": 10**30},
        {"channels": 10**9},
        {"code_dim": 10**6},
        {"residual_blocks": 10**7},
        {"residual_blocks": 4000},
        {"num_codebooks": 10**9},
        {"num_codebooks": 4096, "stacking": "residual", "quantizer_options": {"cosine": False}},
        {"widths": [8] * 10**5},
        {"quantizer_options": {"reservoir": 10**12}},
        {"quantizer": "fsq", "codebook_size": 10**18 + 1},
        {"model_type": "vae", "size": [10**9, 10**9]},
        {"model_type": "pca", "components": 10**9},
        {"model_type": {"a": "b" * 10**5}},
        {"vqkit_format": [1] * 10**4},
    ],
)
def test_sizes_that_the_weights_do_not_have_build_nothing(saved: Path, change: dict[str, Any]) -> None:
    changed(saved, **change)
    tracemalloc.start()
    try:
        with pytest.raises(VqkitError) as caught:
            load_model(saved)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 1500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"model_type": "vqvae", "model_type": "pca"}', "'model_type' twice"),
        ('{"model_type": NaN}', "NaN"),
        ('{"model_type": 1e999}', "1e999"),
        ("[" + "0," * (1 << 20) + "0]", "values"),
        ('{"model_type": ' + "9" * 5000 + "}", "digits"),
        ("[]", "model_type"),
        ('"\\ud800"', "model_type"),
    ],
)
def test_json_from_elsewhere(saved: Path, text: str, what: str) -> None:
    (saved / folders.CONFIG).write_text(text)
    with pytest.raises(ModelFolderError, match=what):
        load_model(saved)


def header(entries: dict[str, Any] | str, data: bytes = b"", length: int | None = None) -> bytes:
    text = (entries if isinstance(entries, str) else json.dumps(entries)).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "would end after"),
        (header({}, length=1 << 62), "would end after"),
        (header({"a": ONE | {"shape": [10**12]}}, bytes(4)), "do not agree"),
        (header({"a": ONE | {"shape": [-1]}}, bytes(4)), "do not agree"),
        (header({"a": ONE | {"shape": [1.0]}}, bytes(4)), "do not agree"),
        (header({"a": ONE | {"dtype": "F33"}}, bytes(4)), "does not describe"),
        (header({"a": 5}, bytes(4)), "does not describe"),
        (header({"a": ONE, "b": ONE}, bytes(4)), "overlap"),
        (header({"a": ONE | {"data_offsets": [4, 8]}}, bytes(8)), "gap"),
        (header({"a": ONE}, bytes(5)), "4 bytes, the file holds 5"),
        (header('{"a": 1, "a": 2}'), "twice"),
        (header("[" * 10**5), "nested too deeply"),
        (header({"__metadata__": {"sha256": 1}}), "metadata"),
    ],
)
def test_headers_from_elsewhere(saved: Path, data: bytes, what: str) -> None:
    (saved / folders.TENSORS).write_bytes(data)
    with pytest.raises(ModelFolderError, match=what):
        load_model(saved)


def test_priors_and_pixel_priors_are_read_the_same_way(tmp_path: Path) -> None:
    changes: list[tuple[Any, dict[str, Any]]] = [
        (HistogramPrior(16, [2, 2]), {"codebook_size": 10**12}),
        (HistogramPrior(16, [2, 2]), {"grid": [10**6, 10**6]}),
        (TransformerPrior(16, [2, 2], hidden_channels=8, layers=1), {"grid": [10**5, 10**5]}),
        (TransformerPrior(16, [2, 2], hidden_channels=8, layers=1), {"layers": 4000}),
        (ContextPrior(16, [2, 2], hidden_channels=8, layers=1), {"grid": [1] * 40}),
        (PixelPrior(16, 4, channels=1, hidden_channels=8, token_channels=8), {"num_codebooks": 10**9}),
    ]
    for number, (prior, change) in enumerate(changes):
        place = tmp_path / str(number)
        prior.save_pretrained(place)
        changed(place, **change)
        with pytest.raises(VqkitError):
            type(prior).from_pretrained(place)
        changed(place, **prior.config)
        name = sorted(prior.state_dict())[0]
        rewrite(place, lambda tensors, name=name: tensors.update({name: tensors[name].to(torch.int8)}))  # type: ignore[misc]
        with pytest.raises(ModelFolderError, match=name):
            type(prior).from_pretrained(place)
    with pytest.raises(VqkitError):
        load_prior(tmp_path / "0")


@pytest.mark.parametrize(
    "make",
    [
        lambda: VQVAE(10**12),
        lambda: VQVAE(codebook_size=10**11, quantizer="gradient"),
        lambda: VAE(10**7, size=[4096, 4096]),
        lambda: PCA(10**6, size=[1000, 1000]),
        lambda: TransformerPrior(16, [8000, 8000]),
    ],
)
def test_a_model_beyond_the_memory_is_refused_before_it_takes_any(
    make: Callable[[], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "physical_bytes", lambda: 1 << 30)
    with pytest.raises(ConfigError, match=r"1,073,741,824 bytes.*choose smaller sizes"):
        make()


def test_what_is_allocated_inside_a_bound_is_counted_before() -> None:
    for build in (
        lambda: torch.zeros(1 << 40),
        lambda: torch.ones(4).new_empty((1 << 40,)),
        lambda: torch.eye(1 << 20),
        lambda: torch.arange(1 << 40),
        lambda: torch.ones(1).expand(1 << 40).clone(),
        lambda: torch.ones(1 << 12, 1) * torch.ones(1 << 12),
        lambda: torch.stack([torch.ones(1).expand(1 << 40)] * 2),
    ):
        with bounded(1 << 20) as bound, pytest.raises(TooLargeError) as caught:
            build()
        assert caught.value.bound is bound
    with bounded(1 << 20, 1), pytest.raises(TooLargeError, match="more than 1 tensors"):
        torch.nn.Linear(2, 2)
    assert torch.nn.Linear(2, 2).bias is not None


def test_constructors_keep_their_signature() -> None:
    assert next(iter(inspect.signature(VQVAE).parameters)) == "codebook_size"
    assert list(inspect.signature(HistogramPrior).parameters)[:2] == ["codebook_size", "grid"]


def test_strict_json_reads_what_is_written() -> None:
    assert parse_json('{"a": [1, 2.5, null, true, "x"]}') == {"a": [1, 2.5, None, True, "x"]}
    names = ["time=1,level=2", 'a "quoted, name"', "[{,", "\\"]
    assert parse_json(json.dumps(names), most_values=len(names)) == names  # commas of names part no values
    for cut in ('["a,b', '["a,b\\'):
        with pytest.raises(ValueError, match=r"Unterminated|Invalid"):
            parse_json(cut, most_values=2)

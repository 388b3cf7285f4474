"""VQVAE: the law decode(encode(x)) = forward(x), invariances, errors, folders and the hub."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vqkit import VQVAE, load_model
from vqkit.data import ArraySource
from vqkit.errors import ConfigError, DataError, ModelFolderError, VqkitError
from vqkit.ops import nearest_code
from vqkit.pretrained import folder
from vqkit.pretrained.card import ModelCard

SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2}
SIZES = {0: (), 1: (19,), 2: (13, 6), 3: (3, 5, 6)}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def tiny(**options: Any) -> VQVAE:
    torch.manual_seed(0)
    return VQVAE(options.pop("codebook_size", 16), **{**SMALL, **options})


def prepared(**options: Any) -> VQVAE:
    """A model whose codebook lies where the latents are, so that many codes occur."""
    model = tiny(**options)
    model.prepare([random(8, model.channels, *[max(side, 8) for side in SIZES[model.axes]], seed=5)])
    return model.eval()


def state(model: VQVAE) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal_states(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(tensor, b[name]) for name, tensor in a.items())


# ---- laws


@pytest.mark.parametrize("quantizer", ["ema", "gradient"])
@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize(
    ("axes", "downsampling"), [(0, 1), (1, 1), (1, 2), (1, 8), (2, 1), (2, 2), (2, 4), (2, 8), (3, 1), (3, 2), (3, 4)]
)
def test_decode_of_encode_is_forward(axes: int, downsampling: int, upsampling: str, quantizer: str) -> None:
    model = prepared(axes=axes, channels=2, downsampling=downsampling, upsampling=upsampling, quantizer=quantizer)
    x = random(3, 2, *SIZES[axes])
    with torch.no_grad():
        out = model(x)
    indices = model.encode(x)
    assert out.indices is not None
    assert torch.equal(indices, out.indices)
    assert indices.dtype == torch.int64
    assert indices.shape == (3, *model.grid(SIZES[axes]))
    assert model.grid(SIZES[axes]) == tuple(-(-side // downsampling) for side in SIZES[axes])
    back = model.decode(indices, SIZES[axes])
    assert back.shape == x.shape
    assert back.dtype == torch.float32
    assert torch.equal(back, out.reconstruction)
    assert torch.equal(model.reconstruct(x), back)
    assert model.decode(indices).shape == (3, 2, *[side * downsampling for side in indices.shape[1:]])


@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_the_loss_is_the_sum_of_its_parts_and_mse_is_of_the_signal(axes: int) -> None:
    model = prepared(axes=axes, channels=2, downsampling=1 if axes == 0 else 2)
    x = random(3, 2, *SIZES[axes])
    out = model(x)
    parts = [value for name, value in out.metrics.items() if name.endswith("_loss")]
    assert torch.allclose(out.loss, torch.stack(parts).sum())
    assert out.metrics["mse"] == pytest.approx(float((out.reconstruction - x).square().mean()), rel=1e-6)
    assert out.loss.requires_grad
    assert not out.metrics["mse"].requires_grad


@pytest.mark.parametrize("quantizer", ["ema", "gradient"])
@pytest.mark.parametrize("axes", [0, 2])
def test_a_duplicated_batch_leaves_every_loss_unchanged(axes: int, quantizer: str) -> None:
    model = prepared(axes=axes, channels=3, downsampling=1 if axes == 0 else 2, quantizer=quantizer)
    x = random(4, 3, *SIZES[axes])
    once, twice = model(x), model(torch.cat([x, x]))
    assert torch.allclose(once.loss, twice.loss, rtol=1e-5)
    for name, value in once.metrics.items():
        assert torch.allclose(value, twice.metrics[name], rtol=1e-5), name


def test_the_reconstruction_loss_is_in_units_of_the_variance() -> None:
    x = 0.3 + 0.1 * random(16, 3, 8, 8)
    model = tiny()
    model.prepare([x[:8], x[8:]])
    assert float(model.signal_mean) == pytest.approx(float(x.mean()), rel=1e-5)
    assert float(model.signal_std) == pytest.approx(float(x.std(correction=0)), rel=1e-5)
    model.eval()
    with torch.no_grad():
        out = model(x)
        unclamped = model.decoder(model.quantizer.lookup(model.encode(x))) * model.signal_std + model.signal_mean
    ratio = (unclamped - x).square().mean() / x.var(correction=0)
    assert float(out.metrics["reconstruction_loss"]) == pytest.approx(float(ratio), rel=1e-4)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_bytes_are_floats_over_255(axes: int) -> None:
    model = prepared(axes=axes, channels=1, downsampling=2)
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (3, 1, *SIZES[axes]), dtype=torch.uint8, generator=generator)
    as_floats = x.float() / 255
    assert torch.equal(model.encode(x), model.encode(as_floats))
    assert torch.equal(model(x).loss, model(as_floats).loss)
    assert torch.equal(model(x).metrics["mse"], model(as_floats).metrics["mse"])


@pytest.mark.parametrize("quantizer", ["ema", "gradient"])
def test_evaluation_mode_changes_no_state_and_training_mode_does(quantizer: str) -> None:
    model, x = prepared(quantizer=quantizer), random(4, 3, 8, 8)
    before = state(model)
    model(x).loss.backward()
    model.decode(model.encode(x), (8, 8))
    assert equal_states(before, state(model))
    model.train()
    model.encode(x)
    assert equal_states(before, state(model))
    model(x)
    assert not equal_states(before, state(model))


@pytest.mark.parametrize("quantizer", ["ema", "gradient"])
def test_a_permuted_codebook_permutes_the_indices(quantizer: str) -> None:
    model, x = prepared(quantizer=quantizer), random(4, 3, 16, 16)
    indices, signal = model.encode(x), model.reconstruct(x)
    assert len(indices.unique()) > 3
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.quantizer.codebook.copy_(model.codebook[order])
    permuted = model.encode(x)
    assert torch.equal(order[permuted], indices)
    assert torch.equal(model.reconstruct(x), signal)


def test_every_parameter_gets_a_gradient() -> None:
    model = prepared(quantizer="gradient").train()
    model(random(4, 3, 9, 7)).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_padding_never_reaches_the_loss_and_a_batch_is_its_items() -> None:
    model = prepared(downsampling=4)
    x = random(3, 3, 9, 10)
    assert torch.equal(model.encode(x)[1:2], model.encode(x[1:2]))
    whole = model(x).reconstruction
    padded = torch.nn.functional.pad(x, (0, 2, 0, 3), mode="replicate")
    assert torch.equal(model.encode(padded), model.encode(x))
    assert torch.equal(model(padded).reconstruction[..., :9, :10], whole)


@pytest.mark.parametrize(("axes", "low", "high"), [(1, -1.0, 1.0), (2, 0.0, 1.0), (3, 0.0, 1.0), (0, None, None)])
def test_the_signal_range(axes: int, low: float | None, high: float | None) -> None:
    model = prepared(axes=axes, channels=2, downsampling=1 if axes == 0 else 2)
    backs = []
    for std in (100.0, -100.0):
        indices = model.encode(random(4, 2, *SIZES[axes]))
        model.signal_std.fill_(std)
        backs.append(model.decode(indices))
    back = torch.stack(backs)
    if low is None:
        assert model.signal_range is None
        assert float(back.abs().max()) > 1.5
    else:
        assert (float(back.min()), float(back.max())) == (low, high)


def test_bfloat16_autocast_searches_in_float32() -> None:
    model, x = prepared(codebook_size=64), random(4, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        latents = model.latents(x)
        indices = model.encode(x)
        out = model(x)
        back = model.decode(indices, (16, 16))
    assert latents.dtype == torch.bfloat16
    flat = latents.float().movedim(1, -1).reshape(-1, 4)
    assert torch.equal(nearest_code(flat, model.codebook).view(indices.shape), indices)
    assert torch.equal(out.indices, indices)
    assert torch.equal(back, out.reconstruction)
    assert out.loss.dtype == back.dtype == torch.float32
    plain = nearest_code(flat.bfloat16().float(), model.codebook.bfloat16().float()).view(indices.shape)
    assert not torch.equal(plain, indices)  # a search among bfloat16 codes would have chosen others
    out.loss.backward()
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_prepare_keeps_a_codebook_that_is_there() -> None:
    model = prepared()
    before = model.codebook.clone()
    model.prepare([random(4, 3, 8, 8, seed=9)])
    assert torch.equal(model.codebook, before)
    constant = tiny()
    constant.prepare([torch.full((4, 3, 8, 8), 0.5)])
    assert torch.isfinite(constant.eval()(torch.full((1, 3, 8, 8), 0.5)).loss)


# ---- errors


@pytest.mark.parametrize(
    "shape", [(2, 1, 8, 8), (2, 3, 8), (3, 8, 8), (2, 3, 2, 8, 8), (0, 3, 8, 8), (2, 3, 0, 8), (2, 8, 8, 3)]
)
def test_signals_of_another_kind_are_named(shape: tuple[int, ...]) -> None:
    model = tiny().eval()
    for call in (model.encode, model, model.reconstruct):
        with pytest.raises(DataError, match="channels=3") as caught:
            call(torch.zeros(shape))
        assert str(shape) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codebook_size": 0}, "codebook_size=0.*at least 2"),
        ({"codebook_size": 1}, "codebook_size=1.*at least 2"),
        ({"codebook_size": "many"}, "codebook_size='many': give a whole number"),
        ({"codebook_size": True}, "codebook_size=True: give a whole number"),
        ({"code_dim": 0}, "code_dim=0"),
        ({"code_dim": 4.0}, "code_dim=4.0: give a whole number"),
        ({"hidden_channels": None}, "hidden_channels=None: give a whole number"),
        ({"downsampling": 3}, "power of two"),
        ({"downsampling": 0}, "power of two"),
        ({"axes": 4}, "axes=4"),
        ({"axes": 0, "downsampling": 2}, "downsampling=1"),
        ({"channels": 0}, "channels=0"),
        ({"hidden_channels": 0}, "hidden_channels=0"),
        ({"residual_blocks": -1}, "residual_blocks=-1"),
        ({"widths": [8, 8, 8]}, "give 1 numbers"),
        ({"widths": "abc"}, "widths='abc': give null or a list, each a whole number"),
        ({"widths": [0.5]}, "widths="),
        ({"upsampling": "bicubic"}, "transposed"),
        ({"upsampling": 5}, "upsampling=5: give a word"),
        ({"quantizer": "magic"}, "ema, gradient"),
        ({"quantizer_options": [1]}, "quantizer_options="),
        ({"quantizer_options": {"zap": 1}}, "decay"),
        ({"quantizer_options": {"decay": 2}}, "decay=2"),
    ],
)
def test_arguments_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(**options)


def test_indices_of_another_model_are_refused() -> None:
    model = prepared()
    indices = model.encode(random(2, 3, 8, 8))
    with pytest.raises(ValueError, match=r"\[0, 15\]"):
        model.decode(indices + 16)
    with pytest.raises(ValueError, match=r"\[0, 15\]"):
        model.decode(indices - 99)
    with pytest.raises(ValueError, match="integers"):
        model.decode(indices.float())
    with pytest.raises(ValueError, match="2 grid axes"):
        model.decode(indices[0])
    with pytest.raises(ValueError, match="grid of"):
        model.decode(indices, (9, 8))


def test_for_source_takes_channels_and_axes() -> None:
    grey = ArraySource(np.zeros((2, 1, 8, 8), np.uint8))
    model = VQVAE.for_source(grey, 32, **SMALL)
    assert (model.channels, model.axes, model.codebook_size) == (1, 2, 32)
    assert VQVAE.for_source(grey, 32, **SMALL, channels=3).channels == 3


# ---- folders


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = prepared(quantizer_options={"decay": 0.9}, widths=(8,))
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def edit(path: Path, **changes: Any) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize("quantizer", ["ema", "gradient"])
@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_a_saved_model_is_the_same_model(tmp_path: Path, axes: int, quantizer: str) -> None:
    model = prepared(axes=axes, channels=2, downsampling=1 if axes == 0 else 2, quantizer=quantizer)
    model.save_pretrained(tmp_path / "deep" / "m")
    x = random(2, 2, *SIZES[axes])
    for loaded in (VQVAE.from_pretrained(tmp_path / "deep" / "m"), load_model(str(tmp_path / "deep" / "m"))):
        assert isinstance(loaded, VQVAE)
        assert not loaded.training
        assert loaded.config == model.config
        assert equal_states(state(loaded), state(model))
        assert torch.equal(loaded.reconstruct(x), model.reconstruct(x))
        assert folder.content_hash(loaded) == folder.content_hash(model)
        assert loaded.quantizer.initialized
    assert sorted(entry.name for entry in (tmp_path / "deep" / "m").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_a_run_folder_stands_for_its_model(saved: Path) -> None:
    (saved.parent / "run").mkdir()
    shutil.move(saved, saved.parent / "run" / "model")
    assert load_model(saved.parent / "run").config["quantizer_options"] == {"decay": 0.9, "cosine": False}


def test_the_hash_changes_with_any_tensor(saved: Path) -> None:
    model = load_model(saved)
    before = folder.content_hash(model)
    assert before == folder.content_hash(load_model(saved))
    model.state_dict()["signal_mean"].add_(1e-3)
    assert folder.content_hash(model) != before


def test_an_unknown_key_lists_the_valid_ones(saved: Path) -> None:
    edit(saved, zap=1)
    with pytest.raises(ConfigError, match=r"config\.json: VQVAE takes no zap; it takes: codebook_size, code_dim"):
        load_model(saved)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model_type": "gan"}, ModelFolderError, "'gan' is not known here.*known: .*vqvae"),
        ({"vqkit_format": 99}, ModelFolderError, "layout version 99.*update vqkit"),
        ({"code_dim": 5}, ModelFolderError, r"quantizer.codebook is \(16, 4\), the config makes it \(16, 5\)"),
        ({"residual_blocks": 3}, ModelFolderError, "lacks decoder"),
        ({"residual_blocks": 1}, ModelFolderError, "has also decoder"),
        ({"quantizer": "gradient", "quantizer_options": {}}, ModelFolderError, "has also quantizer.average_counts"),
        ({"codebook_size": None}, ConfigError, r"config\.json: codebook_size=None"),
    ],
)
def test_a_config_that_does_not_fit(saved: Path, changes: dict[str, Any], error: type, message: str) -> None:
    edit(saved, **changes)
    with pytest.raises(error, match=message):
        load_model(saved)


def test_a_model_of_another_class(saved: Path) -> None:
    edit(saved, model_type="pca")
    with pytest.raises(ModelFolderError, match="'pca', not a 'vqvae'"):
        VQVAE.from_pretrained(saved)


@pytest.mark.parametrize("keep", [0, 7, 200, -1])
def test_truncated_tensors(saved: Path, keep: int) -> None:
    file = saved / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ModelFolderError, match=r"model\.safetensors: truncated or damaged"):
        load_model(saved)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(ModelFolderError, match=f"here is no {name}$"):
        load_model(saved)
    (saved / "run.json").write_text("{}")
    with pytest.raises(ModelFolderError, match=r"vqkit\.resume"):
        load_model(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"a"', '{"codebook_size": 3}', "\x00"])
def test_a_config_that_is_none(saved: Path, text: str) -> None:
    (saved / "config.json").write_text(text)
    with pytest.raises(ModelFolderError, match=r"config\.json"):
        load_model(saved)


def test_nothing_there(tmp_path: Path) -> None:
    for name in (tmp_path / "nothing", "no such", "./a/b", "a/b/c"):
        with pytest.raises(ModelFolderError, match="no such folder"):
            load_model(name)


def test_a_failed_save_leaves_the_old_files(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {entry.name: entry.read_bytes() for entry in saved.iterdir()}

    def full(tensors: object, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder, "save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        tiny(codebook_size=32).save_pretrained(saved)
    assert caught.value.filename == str(saved / "model.safetensors")
    assert {entry.name: entry.read_bytes() for entry in saved.iterdir()} == before
    assert load_model(saved).config["codebook_size"] == 16


# ---- the hub, without a network


class FakeApi:
    """Stands for huggingface_hub.HfApi: keeps what is uploaded in a folder."""

    store: Path
    calls: list[tuple[str, Any]]

    def __init__(self, token: str | None = None) -> None:
        FakeApi.calls.append(("token", token))

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        FakeApi.calls.append(("create", (repo_id, private, exist_ok)))

    def file_exists(self, repo_id: str, filename: str) -> bool:
        return (FakeApi.store / repo_id / filename).exists()

    def hf_hub_download(self, repo_id: str, filename: str, *, local_dir: Path) -> None:
        local_dir.mkdir()
        shutil.copy(FakeApi.store / repo_id / filename, local_dir)

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> SimpleNamespace:
        shutil.copytree(folder_path, FakeApi.store / repo_id, dirs_exist_ok=True)
        return SimpleNamespace(commit_url=f"https://huggingface.co/{repo_id}/commit/1")


def test_push_to_the_hub_and_load_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeApi.store, FakeApi.calls = tmp_path, []
    asked: list[Any] = []

    def snapshot_download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision, sorted(allow_patterns)))
        return str(tmp_path / name)

    monkeypatch.setattr("huggingface_hub.HfApi", FakeApi)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path / "..")
    model = prepared()
    assert model.push_to_hub("me/my-vq.1", private=True, token="t").endswith("me/my-vq.1/commit/1")
    assert FakeApi.calls == [("token", "t"), ("create", ("me/my-vq.1", True, True))]
    loaded = load_model("me/my-vq.1", revision="v2")
    assert equal_states(state(loaded), state(model))  # type: ignore[arg-type]
    assert equal_states(state(VQVAE.from_pretrained("me/my-vq.1")), state(model))
    names = ["model.safetensors", "prior/config.json", "prior/model.safetensors"]
    wanted = ["README.md", "config.json", "diffusion_pytorch_model.safetensors", *names]
    assert asked == [("me/my-vq.1", "v2", wanted), ("me/my-vq.1", None, wanted)]


def test_a_card_that_a_person_wrote_on_the_hub_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeApi.store, FakeApi.calls = tmp_path, []
    monkeypatch.setattr("huggingface_hub.HfApi", FakeApi)
    model = prepared()
    readme = tmp_path / "me" / "vq" / "README.md"
    model.push_to_hub("me/vq")
    assert "license" in readme.read_text()
    model.push_to_hub("me/vq", card=ModelCard(license="mit"))
    assert 'license: "mit"' in readme.read_text(), "one that nobody has changed is written anew"
    readme.write_text("mine")
    model.push_to_hub("me/vq")
    assert readme.read_text() == "mine"


@pytest.mark.parametrize("name", ["model", "a/b/c", "../x", "a b/c", ""])
def test_a_name_that_is_none_is_not_pushed(name: str) -> None:
    with pytest.raises(ConfigError, match="owner/name"):
        tiny().push_to_hub(name)


@pytest.mark.parametrize("error", [OSError("offline\nmore lines"), ValueError("not found"), OSError()])
def test_the_hub_gives_nothing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(ModelFolderError, match="the hub gave nothing") as caught:
        load_model("owner/name")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, VqkitError)


def test_a_hub_repository_without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    with pytest.raises(ModelFolderError):
        load_model("owner/name")

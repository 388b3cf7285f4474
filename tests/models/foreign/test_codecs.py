"""EnCodec and DAC of transformers: the folders that they write give the same tokens and sounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import vqkit
from vqkit.errors import ConfigError, DataError, ModelFolderError, VqkitError
from vqkit.models.foreign import AudioTokenizer

transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def encodec(**options: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.EncodecConfig(
        num_filters=4, hidden_size=16, upsampling_ratios=[5, 4, 2], codebook_size=16, target_bandwidths=[2.4, 9.6],
        num_lstm_layers=1, **options,
    )  # fmt: skip
    model = transformers.EncodecModel(config).eval()
    with torch.no_grad():  # codes among the latents; as made they are zeros
        left = model.encoder(torch.randn(4, 1, 800)).transpose(1, 2).reshape(-1, 16)
        for layer in model.quantizer.layers:
            layer.codebook.embed.copy_(left[torch.randperm(len(left))[:16]])
            left = left - layer.codebook.decode(layer.codebook.encode(left))
    return model


def dac(**options: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.DacConfig(
        encoder_hidden_size=4, decoder_hidden_size=32, downsampling_ratios=[2, 4, 5], n_codebooks=3, codebook_size=16,
        codebook_dim=4, **options,
    )  # fmt: skip
    model = transformers.DacModel(config).eval()
    with torch.no_grad():  # weights that move the signal: as made they are close to 0
        for name, each in model.named_parameters():
            if "alpha" not in name:
                each.copy_(torch.randn_like(each) * (0.3 if each.ndim > 1 else 0.1))
    return model


def same_codes(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Equal but for near ties: at most one frame in a hundred, all of a stage that is a tie and those behind it."""
    assert found.shape == wanted.shape
    return float((found != wanted).any(dim=-1).float().mean()) <= 0.01


@torch.no_grad()
def test_encodec_gives_the_tokens_and_sounds_of_transformers(tmp_path: Path) -> None:
    other = encodec()
    other.save_pretrained(tmp_path)
    model: Any = vqkit.load_model(tmp_path)
    assert (model.kind.rate, model.downsampling, model.num_codebooks) == (24_000, 40, 4)
    sound = torch.rand(2, 1, 1600) * 2 - 1
    wanted = other.encode(sound, bandwidth=9.6).audio_codes[0].transpose(1, 2)
    assert len(wanted.unique()) > 8
    assert same_codes(model.encode(sound), wanted)
    decoded = other.decode(wanted.transpose(1, 2)[None], [None]).audio_values
    assert torch.allclose(model.decode(wanted), decoded.clamp(-1, 1), atol=1e-5)
    fewer = other.encode(sound, bandwidth=2.4).audio_codes[0].transpose(1, 2)
    assert same_codes(model.encode(sound, codebooks=1), fewer)


@torch.no_grad()
def test_dac_gives_the_tokens_and_sounds_of_transformers(tmp_path: Path) -> None:
    other = dac()
    other.save_pretrained(tmp_path)
    model: Any = vqkit.load_model(tmp_path)
    assert (model.kind.rate, model.downsampling, model.num_codebooks) == (16_000, 40, 3)
    sound = torch.rand(2, 1, 1600) * 2 - 1
    wanted = other.encode(sound).audio_codes.transpose(1, 2)
    assert len(wanted.unique()) > 8
    assert same_codes(model.encode(sound), wanted)
    decoded = other.decode(audio_codes=wanted.transpose(1, 2)).audio_values[:, None]
    found = model.decode(wanted)
    assert found.shape == (2, 1, 1600)
    assert torch.allclose(found[..., : decoded.shape[-1]], decoded, atol=1e-5)


@pytest.mark.parametrize("made", [encodec, dac], ids=["encodec", "dac"])
def test_it_is_saved_as_a_model_of_vqkit(made: Any, tmp_path: Path) -> None:
    made().save_pretrained(tmp_path / "theirs")
    model: Any = vqkit.load_model(tmp_path / "theirs")
    model.save_pretrained(tmp_path / "ours")
    again: Any = vqkit.load_model(tmp_path / "ours")
    sound = torch.rand(1, 1, 400) * 2 - 1
    assert torch.equal(again.encode(sound), model.encode(sound))
    assert torch.equal(again.reconstruct(sound), model.reconstruct(sound))


@pytest.mark.parametrize("made", [encodec, dac], ids=["encodec", "dac"])
def test_it_compresses_and_trains_on(made: Any, tmp_path: Path) -> None:
    made().save_pretrained(tmp_path)
    model: Any = vqkit.load_model(tmp_path)
    sound = (torch.rand(1, 1, 410) * 2 - 1).numpy()
    codec = vqkit.Codec(model)
    assert codec.decompress(codec.compress(sound)).shape == (1, 1, 410)
    loss = model.train()(torch.rand(2, 1, 400) * 2 - 1).loss
    loss.backward()
    assert all(bool(torch.isfinite(each.grad).all()) for each in model.parameters() if each.grad is not None)
    assert bool(next(model.encoder.parameters()).grad.any())


@pytest.mark.parametrize(
    ("name", "value"), [("normalize", True), ("chunk_length_s", 1.0), ("norm_type", "time_group_norm")]
)
def test_the_model_for_48_khz_is_refused_by_name(name: str, value: Any, tmp_path: Path) -> None:
    encodec().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))
    with pytest.raises(ModelFolderError, match=f"{name}="):
        vqkit.load_model(tmp_path)


HOSTILE: list[tuple[str, Any]] = [
    ("n_codebooks", 1 << 40),
    ("n_codebooks", "many"),
    ("codebook_size", 1 << 40),
    ("downsampling_ratios", [2] * 100_000),
    ("downsampling_ratios", []),
    ("downsampling_ratios", [[2]]),
    ("encoder_hidden_size", -4),
    ("decoder_hidden_size", 1 << 50),
    ("sampling_rate", 0),
    ("codebook_dim", None),
]


@pytest.mark.parametrize(("name", "value"), HOSTILE)
def test_a_config_that_is_not_of_the_weights_is_refused(name: str, value: Any, tmp_path: Path) -> None:
    dac().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))
    with pytest.raises(VqkitError):
        vqkit.load_model(tmp_path)


@torch.no_grad()
def test_the_adapter_has_the_shapes_of_transformers(tmp_path: Path) -> None:
    other = dac()
    other.save_pretrained(tmp_path)
    model: Any = vqkit.load_model(tmp_path)
    tokenizer = AudioTokenizer(model)
    assert (tokenizer.sampling_rate, tokenizer.hop_length) == (other.config.sampling_rate, other.config.hop_length)
    assert (tokenizer.num_codebooks, tokenizer.codebook_size) == (3, 16)
    sound = torch.rand(2, 1, 1600) * 2 - 1
    codes, wanted = tokenizer.encode(sound).audio_codes, other.encode(sound).audio_codes
    assert codes is not None
    assert same_codes(codes.transpose(1, 2), wanted.transpose(1, 2))
    assert torch.equal(tokenizer.encode(sound[:, 0]).audio_codes, codes)
    first = tokenizer.encode(sound, n_quantizers=2).audio_codes
    assert torch.equal(first, codes[:, :2])
    mask = torch.ones(2, 1590)
    assert tokenizer.decode(first, padding_mask=mask).audio_values.shape == (2, 1, 1590)
    with pytest.raises(DataError, match="codebooks, frames"):
        tokenizer.decode(codes[0])
    with pytest.raises(ConfigError, match="reads sound"):
        AudioTokenizer(vqkit.VQVAE(16, hidden_channels=8))


def test_the_adapter_masks_what_was_padded() -> None:
    torch.manual_seed(0)
    model = vqkit.VQVAE(16, axes=1, channels=1, hidden_channels=8, num_codebooks=2, code_dim=8)
    tokenizer = AudioTokenizer(model)
    sound, mask = torch.rand(2, 1, 40), torch.arange(40) < torch.tensor([[40], [16]])
    alone = tokenizer.encode(sound[1:, :, :16])[0]
    assert torch.equal(tokenizer.encode(sound, padding_mask=mask)[0][1:, :, :4], alone)
    single = AudioTokenizer(vqkit.VQVAE(16, axes=1, channels=1, hidden_channels=8, code_dim=8))
    codes = single.encode(sound).audio_codes
    assert codes is not None
    assert codes.shape == (2, 1, 10)
    assert single.decode(codes).audio_values.shape == (2, 1, 40)

"""``VQModel`` of diffusers: folders there and back give the same tokens and pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import vqkit
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.models.foreign import save_vqmodel

SMALL: dict[str, Any] = {
    "block_out_channels": [8, 16],
    "down_block_types": ["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
    "up_block_types": ["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
    "latent_channels": 6,
    "vq_embed_dim": 4,
    "num_vq_embeddings": 24,
    "norm_num_groups": 4,
    "layers_per_block": 2,
    "sample_size": 16,
}
NETWORK: dict[str, Any] = {"type": "vqgan", "config": {"level_widths": [8, 8, 16], "groups": 4, "residual_blocks": 1}}


def theirs() -> Any:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    torch.manual_seed(0)
    model = diffusers.VQModel(**SMALL).eval()
    with torch.no_grad():  # codes among the latents, or all of them would be one code
        latents = model.encode(2 * torch.rand(8, 3, 16, 16) - 1).latents
        model.quantize.embedding.weight.copy_(latents.permute(0, 2, 3, 1).reshape(-1, 4)[:24])
    return model


def ours(**options: Any) -> Any:
    torch.manual_seed(0)
    return vqkit.VQVAE(
        24, code_dim=4, downsampling=4, quantizer="gradient", quantizer_options={"cosine": False}, **options
    ).eval()


@torch.no_grad()
def check_same(model: Any, other: Any, side: int = 16) -> None:
    """Tokens, and pictures of tokens, are those of the other model."""
    pictures = torch.rand(3, 3, side, side + 8)
    latents = other.encode(2 * pictures - 1).latents
    wanted = other.quantize(latents)[2][2].reshape(3, *latents.shape[2:])
    indices = model.encode(pictures)
    assert torch.equal(indices, wanted)
    assert len(indices.unique()) > 5
    codes = other.quantize.get_codebook_entry(wanted.flatten(), (*wanted.shape, latents.shape[1]))
    found = other.decode(codes, force_not_quantize=True).sample
    assert torch.allclose(model.decode(indices), (found / 2 + 0.5).clamp(0, 1), atol=1e-6)


def test_a_folder_of_diffusers_gives_its_tokens_and_pictures(tmp_path: Path) -> None:
    other = theirs()
    other.save_pretrained(tmp_path)
    model = vqkit.load_model(tmp_path)
    assert model.training_size() == (16, 16)
    check_same(model, other)


def test_it_is_written_as_it_was_read(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    other = theirs()
    other.save_pretrained(tmp_path / "a")
    save_vqmodel(vqkit.load_model(tmp_path / "a"), tmp_path / "b")
    again, info = diffusers.VQModel.from_pretrained(tmp_path / "b", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    for name, tensor in other.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_a_model_of_vqkit_is_read_by_diffusers(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    model = ours(encoder=NETWORK, decoder=NETWORK)
    model.quantizer.set_codebook(model.latents(torch.rand(2, 3, 32, 32)).movedim(1, -1).reshape(-1, 4)[:24])
    save_vqmodel(model, tmp_path)
    check_same(model, diffusers.VQModel.from_pretrained(tmp_path).eval())


def test_the_folder_goes_round_without_diffusers(tmp_path: Path) -> None:
    model = ours(encoder=NETWORK, decoder=NETWORK)
    save_vqmodel(model, tmp_path / "theirs")
    again = vqkit.load_model(tmp_path / "theirs")
    pictures = torch.rand(2, 3, 16, 24)
    indices = model.encode(pictures)
    assert torch.equal(again.encode(pictures), indices)
    assert torch.equal(again.decode(indices), model.decode(indices))
    again.save_pretrained(tmp_path / "ours")
    assert torch.equal(vqkit.load_model(tmp_path / "ours").encode(pictures), indices)


def test_training_keeps_the_range_that_diffusers_reads(tmp_path: Path) -> None:
    model = ours(encoder=NETWORK, decoder=NETWORK)
    model.prepare([torch.rand(4, 3, 16, 16) * 0.2])
    assert (float(model.signal_mean), float(model.signal_std)) == (0.5, 0.5)
    save_vqmodel(model, tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("act_fn", "mish", "act_fn='mish'"),
        ("norm_type", "spatial", "norm_type='spatial'"),
        ("down_block_types", ["DownEncoderBlock2D", "CrossAttnDownBlock2D"], "CrossAttnDownBlock2D"),
        ("out_channels", 4, "out_channels=4"),
    ],
)
def test_what_vqkit_has_no_counterpart_of_is_named(name: str, value: Any, said: str, tmp_path: Path) -> None:
    model = ours(encoder=NETWORK, decoder=NETWORK)
    save_vqmodel(model, tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))
    with pytest.raises(ModelFolderError, match=said):
        vqkit.load_model(tmp_path)


def test_other_models_are_not_written_as_vqmodel(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'vqgan'"):
        save_vqmodel(vqkit.VQVAE(16, hidden_channels=8, residual_channels=4), tmp_path)
    model = ours(encoder=NETWORK, decoder=NETWORK)
    model.signal_mean.fill_(0.4)
    with pytest.raises(ConfigError, match=r"mean 0\.5"):
        save_vqmodel(model, tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelFolderError, match="another model"):
        save_vqmodel(ours(encoder=NETWORK, decoder=NETWORK), tmp_path)

"""Folders of diffusers' ``VQModel``, read and written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from vqkit.errors import ConfigError, ModelFolderError
from vqkit.models.foreign.state import codebook_states, model_state, settings
from vqkit.models.vqvae import VQVAE
from vqkit.networks.published import VQGANDecoder, VQGANEncoder
from vqkit.pretrained.foreign import FOREIGN, WEIGHTS, ForeignFolder
from vqkit.quantizers import VectorQuantizer
from vqkit.storage import atomic

_CLASS = "VQModel"
_WEIGHTS = WEIGHTS[1]
_DOWN = {"DownEncoderBlock2D": False, "AttnDownEncoderBlock2D": True}
_UP = {"UpDecoderBlock2D": False, "AttnUpDecoderBlock2D": True}
_DEFAULTS: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"],
    "up_block_types": ["UpDecoderBlock2D"],
    "block_out_channels": [64],
    "layers_per_block": 1,
    "act_fn": "silu",
    "latent_channels": 3,
    "sample_size": 32,
    "num_vq_embeddings": 256,
    "norm_num_groups": 32,
    "vq_embed_dim": None,
    "norm_type": "group",
    "mid_block_add_attention": True,
}
_TYPES: dict[str, Any] = {
    "vq_embed_dim": int | None,
    "down_block_types": Sequence[str],
    "up_block_types": Sequence[str],
    "block_out_channels": Sequence[int],
}
_OUTSIDE = {"quant_conv": "encoder.quant_conv", "post_quant_conv": "decoder.post_quant_conv"}
_CODEBOOK = "quantize.embedding.weight"
_ONLY_OURS = ("signal_", "steps_seen", "likelihood.", "quantizer.")


@FOREIGN.register("vqmodel", citations=("esser2021taming",))
class VQModelFolder(ForeignFolder):
    """``VQModel`` of diffusers: a VQGAN whose pictures are normalized to [-1, 1]."""

    def matches(self, config: Mapping[str, Any]) -> bool:
        """See ``ForeignFolder.matches``."""
        return config.get("_class_name") == _CLASS

    def translate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """See ``ForeignFolder.translate``."""
        given = settings(config, _DEFAULTS, _TYPES)
        only = {"act_fn": ("silu", "swish"), "norm_type": ("group",), "out_channels": (given["in_channels"],)}
        for name, allowed in only.items():
            if given[name] not in allowed:
                raise ValueError(f"{name}={given[name]!r}; it reads {name}={allowed[0]!r}")
        down, up = list(given["down_block_types"]), list(given["up_block_types"])
        unknown = [name for name in down if name not in _DOWN] + [name for name in up if name not in _UP]
        if unknown:
            raise ValueError(f"the block {unknown[0]}; it reads {', '.join([*_DOWN, *_UP])}")
        if len(down) != len(up):
            raise ValueError(f"{len(down)} blocks down and {len(up)} up")
        dimension = given["vq_embed_dim"] or given["latent_channels"]
        network = {
            "level_widths": list(given["block_out_channels"]),
            "residual_blocks": given["layers_per_block"],
            "middle_attention": given["mid_block_add_attention"],
            "groups": given["norm_num_groups"],
            "latent_channels": given["latent_channels"],
        }
        return {
            "codebook_size": given["num_vq_embeddings"],
            "code_dim": dimension,
            "channels": given["in_channels"],
            "downsampling": 2 ** (len(down) - 1),
            "quantizer": "gradient",
            "quantizer_options": {"cosine": False, "reservoir": 0},
            "encoder": {"type": "vqgan", "config": {**network, "attention": [_DOWN[name] for name in down]}},
            "decoder": {"type": "vqgan", "config": {**network, "attention": [_UP[name] for name in reversed(up)]}},
        }

    def rename(self, name: str) -> str | None:
        """See ``ForeignFolder.rename``."""
        first, _, rest = name.partition(".")
        if first in _OUTSIDE:
            return f"{_OUTSIDE[first]}.{rest}"
        return "quantizer.codebook" if name == _CODEBOOK else name

    def added(self, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """See ``ForeignFolder.added``."""
        given = settings(config, _DEFAULTS, _TYPES)
        side, channels = given["sample_size"], shapes["encoder.conv_in.weight"][1]
        return model_state(channels, VQGANEncoder.signal_moments, [side, side]) | codebook_states(shapes)


def save_vqmodel(model: VQVAE, folder: str | Path) -> None:
    """Write a model as a folder that ``diffusers.VQModel.from_pretrained`` loads; it encodes and decodes the same.

    ``VQModel`` reads pictures in [-1, 1]: ``2 * picture - 1`` of what vqkit reads.

    Args:
        model: a VQ-VAE of images with the networks ``"vqgan"`` and one codebook by Euclidean distance
            (``quantizer="gradient"``, ``quantizer_options={"cosine": False}``).
        folder: a new or empty one, or one that this has written.

    Raises:
        ConfigError: a model of other parts; says which.
        ModelFolderError: the folder holds something else.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> from vqkit.models.foreign import save_vqmodel
        >>> network = {"type": "vqgan", "config": {"level_widths": [8, 8], "groups": 4}}
        >>> model = vqkit.VQVAE(16, code_dim=4, downsampling=2, encoder=network, decoder=network,
        ...                     quantizer="gradient", quantizer_options={"cosine": False})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_vqmodel(model, folder)
        ...     vqkit.load_model(folder).codebook_size
        16
    """
    encoder, decoder, quantizer = model.encoder, model.decoder, model.quantizer
    plain = isinstance(quantizer, VectorQuantizer) and not quantizer.cosine and not quantizer.rate_weight
    if not isinstance(encoder, VQGANEncoder) or not isinstance(decoder, VQGANDecoder) or not plain:
        raise ConfigError(
            f"a VQModel of diffusers has encoder and decoder 'vqgan' and quantizer='gradient' with cosine=false; this "
            f"model has a {type(encoder).__name__}, a {type(decoder).__name__} and a {type(quantizer).__name__}"
        )
    if (
        model.linear_path is not None
        or model.decoder_condition is not None
        or model.likelihood.outputs != model.channels
    ):
        raise ConfigError("a VQModel of diffusers has no linear path, no conditions and a likelihood of one number")
    first, second = encoder.described(), decoder.described()
    if any(first[name] != second[name] for name in first if name != "attention"):
        raise ConfigError(f"a VQModel of diffusers has one width for both networks; the encoder {first}, not {second}")
    if (float(model.signal_mean), float(model.signal_std)) != VQGANEncoder.signal_moments:
        raise ConfigError("a VQModel of diffusers reads signals of mean 0.5 and deviation 0.5; this model has others")
    path = Path(folder)
    _check_free(path)
    config = _config_of(model, first, second)
    tensors = _tensors_of(model)
    text = json.dumps(config, indent=2) + "\n"
    atomic.write_files(
        {
            path / _WEIGHTS: lambda file: save_file(tensors, file, metadata={"format": "pt"}),
            path / "config.json": lambda file: file.write_text(text, encoding="utf-8"),
        }
    )


def _config_of(model: VQVAE, encoder: Mapping[str, Any], decoder: Mapping[str, Any]) -> dict[str, Any]:
    down, up = {each: name for name, each in _DOWN.items()}, {each: name for name, each in _UP.items()}
    return {
        "_class_name": _CLASS,
        "act_fn": "silu",
        "block_out_channels": encoder["level_widths"],
        "down_block_types": [down[each] for each in encoder["attention"]],
        "in_channels": model.channels,
        "latent_channels": encoder["latent_channels"],
        "layers_per_block": encoder["residual_blocks"],
        "mid_block_add_attention": encoder["middle_attention"],
        "norm_num_groups": encoder["groups"],
        "norm_type": "group",
        "num_vq_embeddings": model.codebook_size,
        "out_channels": model.channels,
        "sample_size": int(model.signal_size.max()) or 32,
        "up_block_types": [up[each] for each in reversed(decoder["attention"])],
        "vq_embed_dim": model.quantizer.code_dim,
    }


def _tensors_of(model: VQVAE) -> dict[str, Tensor]:
    back = {ours: theirs for theirs, ours in _OUTSIDE.items()}
    found: dict[str, Any] = {_CODEBOOK: model.quantizer.codebook}
    for name, tensor in model.state_dict().items():
        if not name.startswith(_ONLY_OURS):
            prefix, _, last = name.rpartition(".")
            found[f"{back[prefix]}.{last}" if prefix in back else name] = tensor
    return {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in found.items()}


def _check_free(path: Path) -> None:
    there = path / "config.json"
    if path.exists() and not path.is_dir():
        raise ModelFolderError(f"{path} is a file; a model is saved in a folder: name another")
    if there.exists() or (path / _WEIGHTS).exists():
        try:
            known = json.loads(there.read_text(encoding="utf-8")).get("_class_name") == _CLASS
        except (OSError, ValueError, AttributeError):
            known = False
        if not known:
            raise ModelFolderError(f"{path} holds another model, and saving would overwrite it; name another folder")

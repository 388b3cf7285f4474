"""Folders of EnCodec and the Descript Audio Codec as transformers writes them, read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from vqkit.models.foreign.state import check_codebooks, codebook_states, model_state, settings
from vqkit.pretrained.foreign import FOREIGN, ForeignFolder

_ENCODEC: dict[str, Any] = {
    "target_bandwidths": [1.5, 3.0, 6.0, 12.0, 24.0],
    "sampling_rate": 24_000,
    "audio_channels": 1,
    "normalize": False,
    "chunk_length_s": None,
    "hidden_size": 128,
    "num_filters": 32,
    "num_residual_layers": 1,
    "upsampling_ratios": [8, 5, 4, 2],
    "norm_type": "weight_norm",
    "kernel_size": 7,
    "last_kernel_size": 7,
    "residual_kernel_size": 3,
    "dilation_growth_rate": 2,
    "use_causal_conv": True,
    "pad_mode": "reflect",
    "compress": 2,
    "num_lstm_layers": 2,
    "trim_right_ratio": 1.0,
    "codebook_size": 1024,
    "codebook_dim": None,
    "use_conv_shortcut": True,
}
_DAC: dict[str, Any] = {
    "encoder_hidden_size": 64,
    "downsampling_ratios": [2, 4, 8, 8],
    "decoder_hidden_size": 1536,
    "n_codebooks": 9,
    "codebook_size": 1024,
    "codebook_dim": 8,
    "commitment_loss_weight": 0.25,
    "sampling_rate": 16_000,
}
_ENCODEC_TYPES: dict[str, Any] = {
    "target_bandwidths": Sequence[float | int],
    "chunk_length_s": float | int | None,
    "upsampling_ratios": Sequence[int],
    "trim_right_ratio": float | int,
    "codebook_dim": int | None,
}
_DAC_TYPES: dict[str, Any] = {"downsampling_ratios": Sequence[int], "commitment_loss_weight": float | int}
_MOMENTS = (0.0, 1.0)
_OLD_NORM = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}


@FOREIGN.register("encodec", citations=("defossez2023high",))
class EnCodecFolder(ForeignFolder):
    """``EncodecModel`` of transformers that reads a whole sound at once, as the one for 24 kHz does."""

    def matches(self, config: Mapping[str, Any]) -> bool:
        """See ``ForeignFolder.matches``."""
        return config.get("model_type") == "encodec"

    def translate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """See ``ForeignFolder.translate``."""
        given = settings(config, _ENCODEC, _ENCODEC_TYPES)
        only = {"normalize": False, "chunk_length_s": None, "norm_type": "weight_norm", "trim_right_ratio": 1.0}
        for name, allowed in only.items():
            if given[name] != allowed:
                raise ValueError(f"{name}={given[name]!r}; it reads {name}={allowed!r} (the model for 24 kHz)")
        if (given["codebook_dim"] or given["hidden_size"]) != given["hidden_size"]:
            raise ValueError(f"codebook_dim={given['codebook_dim']} beside hidden_size={given['hidden_size']}")
        network = {
            "strides": list(reversed(given["upsampling_ratios"])),
            "filters": given["num_filters"],
            "residual_blocks": given["num_residual_layers"],
            "dilation_growth": given["dilation_growth_rate"],
            "kernel": given["kernel_size"],
            "last_kernel": given["last_kernel_size"],
            "residual_kernel": given["residual_kernel_size"],
            "compress": given["compress"],
            "lstm_layers": given["num_lstm_layers"],
            "causal": given["use_causal_conv"],
            "padding": given["pad_mode"],
            "shortcut": given["use_conv_shortcut"],
        }
        return {
            **_sound(given["audio_channels"], given["sampling_rate"], network["strides"]),
            "codebook_size": given["codebook_size"],
            "code_dim": given["hidden_size"],
            "num_codebooks": _codebooks(given),
            "stacking": "residual",
            "quantizer": "gradient",
            "quantizer_options": {"cosine": False, "reservoir": 0},
            "encoder": {"type": "encodec", "config": network},
            "decoder": {"type": "encodec", "config": network},
        }

    def rename(self, name: str) -> str | None:
        """See ``ForeignFolder.rename``."""
        found = re.fullmatch(r"quantizer\.layers\.(\d+)\.codebook\.(\w+)", name)
        if found is not None:
            return f"quantizer.stages.{found[1]}.codebook" if found[2] == "embed" else None
        prefix, _, last = name.rpartition(".")
        return f"{prefix}.{_OLD_NORM.get(last, last)}"

    def added(self, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """See ``ForeignFolder.added``."""
        channels = settings(config, _ENCODEC, _ENCODEC_TYPES)["audio_channels"]
        return model_state(min(channels, 2), _MOMENTS, [0]) | codebook_states(shapes)


@FOREIGN.register("dac", citations=("kumar2023high",))
class DACFolder(ForeignFolder):
    """``DacModel`` of transformers, the Descript Audio Codec."""

    def matches(self, config: Mapping[str, Any]) -> bool:
        """See ``ForeignFolder.matches``."""
        return config.get("model_type") == "dac"

    def translate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """See ``ForeignFolder.translate``."""
        given = settings(config, _DAC, _DAC_TYPES)
        strides, width = list(given["downsampling_ratios"]), _dac_width(given)
        stage = {
            "type": "factorized",
            "config": {
                "codebook_size": given["codebook_size"],
                "code_dim": width,
                "projection_dim": given["codebook_dim"],
                "beta": float(given["commitment_loss_weight"]),
            },
        }
        return {
            **_sound(1, given["sampling_rate"], strides),
            "quantizer": {"type": "residual", "config": {"stages": [stage] * check_codebooks(given["n_codebooks"])}},
            "encoder": {"type": "dac", "config": {"strides": strides, "filters": given["encoder_hidden_size"]}},
            "decoder": {"type": "dac", "config": {"strides": strides, "filters": given["decoder_hidden_size"]}},
        }

    def rename(self, name: str) -> str | None:
        """See ``ForeignFolder.rename``."""
        found = re.fullmatch(r"quantizer\.quantizers\.(\d+)\.(codebook|in_proj|out_proj)\.(weight|bias)", name)
        if found is None:
            return name
        stage = f"quantizer.stages.{found[1]}"
        return f"{stage}.codebook" if found[2] == "codebook" else f"{stage}.project_{found[2][:-5]}.{found[3]}"

    def squeezes(self, name: str) -> bool:
        """See ``ForeignFolder.squeezes``: maps that are convolutions of one sample."""
        return name.endswith(("in_proj.weight", "out_proj.weight"))

    def added(self, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """See ``ForeignFolder.added``."""
        del config, shapes
        return model_state(1, _MOMENTS, [0])


def _sound(channels: int, rate: int, strides: list[int]) -> dict[str, Any]:
    return {"axes": 1, "channels": channels, "kind": f"sound@{rate}", "downsampling": math.prod(strides)}


def _codebooks(given: Mapping[str, Any]) -> int:
    """As many as the highest bandwidth needs."""
    frames = math.ceil(given["sampling_rate"] / math.prod(given["upsampling_ratios"]))
    bits = math.ceil(math.log2(given["codebook_size"]))
    return check_codebooks(int(1000 * given["target_bandwidths"][-1] // (frames * bits)))


def _dac_width(given: Mapping[str, Any]) -> int:
    found: int = given["encoder_hidden_size"] * 2 ** len(given["downsampling_ratios"])
    return found

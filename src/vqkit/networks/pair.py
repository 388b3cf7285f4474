"""Pair of an encoder and a decoder network that fit each other and the model, by name or as instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from vqkit.errors import ConfigError
from vqkit.networks.base import Network, NetworkShape, shape_of
from vqkit.networks.registry import CONV, DECODERS, ENCODERS, build_network, network_config
from vqkit.recording import part_config

DEFAULT_DOWNSAMPLING, DEFAULT_CHANNELS = 4, 3
NetworkSpec = str | Mapping[str, Any] | nn.Module
"""A registered name, ``{"type": name, "config": arguments}``, or an instance."""
_SHARED = ("axes", "downsampling", "hidden_channels", "residual_blocks", "residual_channels", "widths")


@dataclass(frozen=True)
class Pair:
    """An encoder and a decoder of one grid.

    Attributes:
        encoder: signals to latents.
        decoder: latents to the parameters of p(x | z).
        downsampling: one number where all axes have the same.
        halo: positions on each side that either looks at; None: all.
        emitted: channels of the encoder's output.
        read: channels of the decoder's input.
    """

    encoder: nn.Module
    decoder: nn.Module
    downsampling: int | tuple[int, ...]
    halo: int | None
    emitted: int
    read: int


def adopt_encoder(config: dict[str, Any], dimension: tuple[str, int] | None = None) -> None:
    """Set channels and downsampling (and code_dim) of a config to those of an encoder given as an instance.

    Args:
        config: of the model.
        dimension: name and default of the setting that is the number of channels the encoder emits.

    Raises:
        ConfigError: a setting that was given, and is another.
    """
    encoder = config["encoder"]
    if not isinstance(encoder, nn.Module):
        return
    shape = shape_of(encoder, "encoder", config["axes"])
    _adopt(config, "channels", DEFAULT_CHANNELS, shape.in_channels, encoder)
    _adopt(config, "downsampling", DEFAULT_DOWNSAMPLING, _short(shape.downsampling), encoder)
    if dimension is not None:
        _adopt(config, *dimension, shape.out_channels, encoder)


def build_pair(
    config: dict[str, Any], latents: tuple[int, int], outputs: int, head_channels: int, *, vector: bool
) -> Pair:
    """Build, or take, the encoder and the decoder of a model, and write into its config what rebuilds them.

    Args:
        config: of the model; ``encoder`` and ``decoder`` are taken out where both are the default ones, so that configs
            are those of earlier versions.
        latents: numbers per position that the encoder emits, and that the decoder reads.
        outputs: numbers per value of the signal that the decoder emits.
        head_channels: see ``Decoder``.
        vector: whether linear layers to and from one vector stand between them.

    Raises:
        ConfigError: networks that do not fit each other, the signals or the latents.
    """
    axes, given_encoder, given_decoder = config["axes"], config.pop("encoder", CONV), config.pop("decoder", CONV)
    known = {name: config[name] for name in _SHARED}
    bridge = config["hidden_channels"] if vector else None
    read, emitted = config["channels"], bridge or latents[0]
    encoder = build_network(
        given_encoder, ENCODERS, {**known, "channels": read, "code_dim": emitted} | _channels(read, emitted)
    )
    about = shape_of(encoder, "encoder", axes)
    downsampling = _short(about.downsampling)
    known |= _mirrored(encoder, given_decoder)
    known |= {"downsampling": downsampling, "upsampling": config["upsampling"], "head_channels": head_channels}
    known["signal_channels"] = read
    between = bridge or latents[1]
    decoder = build_network(
        given_decoder, DECODERS, {**known, "channels": outputs, "code_dim": between} | _channels(between, outputs)
    )
    back = shape_of(decoder, "decoder", axes)
    _check(config, about, back, None if vector else latents, outputs)
    _adopt(config, "downsampling", DEFAULT_DOWNSAMPLING, downsampling, encoder)
    if (given_encoder, given_decoder) != (CONV, CONV):
        config["encoder"] = CONV if given_encoder == CONV else network_config(encoder, ENCODERS)
        config["decoder"] = CONV if given_decoder == CONV else network_config(decoder, DECODERS)
    halo = None if about.halo is None or back.halo is None else max(about.halo, back.halo)
    return Pair(encoder, decoder, downsampling, halo, about.out_channels, back.in_channels)


def _mirrored(encoder: nn.Module, decoder: NetworkSpec) -> dict[str, Any]:
    """Arguments of a decoder given by name that it has from the encoder, see ``Network.mirrored``."""
    name = decoder.get("type") if isinstance(decoder, Mapping) else decoder
    if not isinstance(encoder, Network) or not isinstance(name, str) or name not in DECODERS:
        return {}
    shared = set(encoder.mirrored) & set(getattr(DECODERS[name], "mirrored", ()))
    own = part_config(encoder, ENCODERS)["config"] if shared and ENCODERS.name_of(type(encoder)) else {}
    return {key: value for key, value in own.items() if key in shared}


def _check(
    config: Mapping[str, Any],
    encoder: NetworkShape,
    decoder: NetworkShape,
    latents: tuple[int, int] | None,
    outputs: int,
) -> None:
    likelihood = config["likelihood"]
    wanted = [
        ("encoder", "reads", encoder.in_channels, config["channels"], "as many as the signal's: channels"),
        ("decoder", "emits", decoder.out_channels, outputs, f"the parameters of the {likelihood} likelihood"),
    ]
    if latents is not None:
        wanted += [
            ("encoder", "emits", encoder.out_channels, latents[0], "as the model's latents have"),
            ("decoder", "reads", decoder.in_channels, latents[1], "as the model's latents have"),
        ]
    for role, verb, found, needed, reason in wanted:
        if found != needed:
            raise ConfigError(f"the {role} {verb} {found} channels; it has to be {needed}, {reason}")
    if encoder.downsampling != decoder.downsampling:
        raise ConfigError(
            f"the encoder has downsampling {_short(encoder.downsampling)}, the decoder {_short(decoder.downsampling)}; "
            "both work on one grid: give networks of the same"
        )


def _channels(inputs: int, outputs: int) -> dict[str, int]:
    return {"in_channels": inputs, "out_channels": outputs}


def _short(factors: tuple[int, ...]) -> int | tuple[int, ...]:
    """One number where all axes have the same, 1 for vectors."""
    return factors if len(set(factors)) > 1 else (*factors, 1)[0]


def _adopt(config: dict[str, Any], name: str, default: int, own: Any, encoder: nn.Module) -> None:
    value = tuple(config[name]) if isinstance(config[name], list) else config[name]
    if value not in (default, own):
        raise ConfigError(
            f"{name}={config[name]}, and the encoder, a {type(encoder).__name__}, has {own}: leave it out, or make the "
            "encoder so"
        )
    config[name] = list(own) if isinstance(own, tuple) else own

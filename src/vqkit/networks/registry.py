"""Encoders and decoders by the names that configs and command lines use, and from instances."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from vqkit.checking import check_types, refuse_class
from vqkit.errors import ConfigError
from vqkit.networks.base import Network
from vqkit.networks.decoder import Decoder
from vqkit.networks.encoder import Encoder
from vqkit.networks.folding import FoldedDecoder, FoldedEncoder
from vqkit.networks.published import (
    DACDecoder,
    DACEncoder,
    EnCodecDecoder,
    EnCodecEncoder,
    VQGANDecoder,
    VQGANEncoder,
)
from vqkit.networks.sound.convnext import ConvNeXtDecoder, ConvNeXtEncoder
from vqkit.networks.sound.seanet import SEANetDecoder, SEANetEncoder
from vqkit.networks.sound.wavenet.decoder import WaveNetDecoder
from vqkit.recording import build_part, part_config
from vqkit.registry import Registry, origin_of

ENCODERS: Registry[type[Network]] = Registry("encoder", "vqkit.encoders", Network)
"""Classes of encoder networks by name; ``"conv"`` is the paper's, ``"seanet"`` is for sound."""
DECODERS: Registry[type[Network]] = Registry("decoder", "vqkit.decoders", Network)
"""Classes of decoder networks by name; ``"conv"`` is the paper's, ``"seanet"`` and ``"wavenet"`` are for sound."""
CONV = "conv"
_PAPER = ("vandenoord2017neural",)
_SEANET = ("tagliasacchi2020seanet", "zeghidour2022soundstream")
_CONVNEXT = ("liu2022convnet", "siuzdak2024vocos")
ENCODERS.register(CONV, citations=_PAPER)(Encoder)
DECODERS.register(CONV, citations=_PAPER)(Decoder)
ENCODERS.register("seanet", citations=_SEANET)(SEANetEncoder)
DECODERS.register("seanet", citations=_SEANET)(SEANetDecoder)
ENCODERS.register("convnext", citations=_CONVNEXT)(ConvNeXtEncoder)
DECODERS.register("convnext", citations=_CONVNEXT)(ConvNeXtDecoder)
ENCODERS.register("folded", listed=False, citations=("razavi2019generating",))(FoldedEncoder)
DECODERS.register("folded", listed=False, citations=("razavi2019generating",))(FoldedDecoder)
DECODERS.register("wavenet", citations=("vandenoord2016wavenet",))(WaveNetDecoder)
for _name, _encoder, _decoder, _cited in (  # known to saved models; sized by the folders that they are read from
    ("vqgan", VQGANEncoder, VQGANDecoder, ("esser2021taming",)),
    ("encodec", EnCodecEncoder, EnCodecDecoder, ("defossez2023high",)),
    ("dac", DACEncoder, DACDecoder, ("kumar2023high",)),
):
    ENCODERS.register(_name, listed=False, citations=_cited)(_encoder)
    DECODERS.register(_name, listed=False, citations=_cited)(_decoder)


def build_network(
    given: str | Mapping[str, Any] | nn.Module, registry: Registry[type[Network]], known: Mapping[str, Any]
) -> nn.Module:
    """Return the network that a config names, or the instance that was given.

    Args:
        given: a name, ``{"type": name, "config": arguments}``, or an instance.
        registry: ``ENCODERS`` or ``DECODERS``.
        known: values for arguments of these names, where the class takes them and the config does not say them:
            axes, in_channels, out_channels, downsampling, hidden_channels ...

    Raises:
        ConfigError: an unknown name, arguments that the class does not take or lacks, or no network at all.

    Example:
        >>> from vqkit.networks import ENCODERS, build_network
        >>> known = {"axes": 2, "channels": 3, "code_dim": 8, "downsampling": 4, "hidden_channels": 16,
        ...          "residual_blocks": 1, "residual_channels": 8}
        >>> type(build_network("conv", ENCODERS, known)).__name__
        'Encoder'
    """
    refuse_class(given, registry.kind)
    if isinstance(given, nn.Module):
        return given
    if isinstance(given, str):
        registry.get_part(given)
        given = {"type": given}
    if not isinstance(given, Mapping) or not isinstance(given.get("config", {}), Mapping):
        raise ConfigError(
            f"{registry.kind} is a {type(given).__name__}; give a name ({', '.join(registry)}), an object with type "
            "and config, or an instance of torch.nn.Module"
        )
    name, arguments = given.get("type"), dict(given.get("config", {}))
    if isinstance(name, str) and name in registry:
        parameters = inspect.signature(registry.get_part(name).__init__).parameters
        arguments = {**{key: known[key] for key in parameters if key in known}, **arguments}
        optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        missing = [
            key
            for key, item in list(parameters.items())[1:]
            if item.default is item.empty and item.kind not in optional and key not in arguments
        ]
        if missing:
            raise ConfigError(
                f'{registry.kind} {name!r} needs {", ".join(missing)}; give {registry.kind}={{"type": "{name}", '
                f'"config": {{"{missing[0]}": ...}}}}'
            )
        check_types(registry.get_part(name).__init__, arguments)
    built: nn.Module = build_part({**given, "config": arguments}, registry)
    return built


def network_config(network: nn.Module, registry: Registry[type[Network]]) -> dict[str, Any]:
    """Return what rebuilds a network: its registered name and its arguments.

    Of a class that is not registered only its place is said, from which nothing is built: see ``check_saves``.

    Example:
        >>> from vqkit.networks import ENCODERS, Encoder, network_config
        >>> encoder = Encoder(axes=1, channels=1, code_dim=8, downsampling=2, hidden_channels=16,
        ...                   residual_blocks=1, residual_channels=8)
        >>> network_config(encoder, ENCODERS)["type"]
        'conv'
    """
    kind = type(network)
    if registry.name_of(kind) is not None:
        return part_config(network, registry)
    return {"type": f"{kind.__module__}:{kind.__qualname__}", "package": origin_of(kind), "config": {}}


def check_saves(config: Mapping[str, Any]) -> None:
    """Raise unless a model of this config can be made again from it.

    Raises:
        ConfigError: its encoder or decoder is of a class that is not registered; with the repair.

    Example:
        >>> import vqkit
        >>> from vqkit.networks import check_saves
        >>> check_saves(vqkit.VQVAE(16, hidden_channels=8).config)
    """
    for registry, word in ((ENCODERS, "ENCODERS"), (DECODERS, "DECODERS")):
        part = config.get(registry.kind)
        if isinstance(part, Mapping) and part["type"] not in registry:
            raise ConfigError(
                f"the {registry.kind} is a {part['type'].replace(':', '.')}, which is not registered, so that a saved "
                f"model could not be made again; derive it from vqkit.networks.Network and decorate it with "
                f'@vqkit.networks.{word}.register("name"), or keep model.state_dict()'
            )

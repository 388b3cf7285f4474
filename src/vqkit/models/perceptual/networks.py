"""Feature networks of the perceptual objective: a model's encoder, a file, a name of timm. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError, VqkitError
from vqkit.models.registry import load_model
from vqkit.networks.padding import pad_to_multiple

RANDOM, TIMM = "random", "timm:"
_INSTEAD = f"give {RANDOM!r}, a run or its model, a TorchScript or torch.export file, or '{TIMM}NAME' with weights=FILE"


@final
class EncoderFeatures(nn.Module):
    """The encoder of a trained model: of each resolution the last layer with the most channels.

    Args:
        model: a model with an encoder; it stays as it is.
        name: for messages.

    Raises:
        ConfigError: it has no encoder.
    """

    def __init__(self, model: Any, name: str) -> None:
        super().__init__()
        if not isinstance(getattr(model, "encoder", None), nn.Module):
            raise ConfigError(f"features={name!r}: a {type(model).__name__} has no encoder; {_INSTEAD}")
        self.axes, self.channels, self.downsampling = model.axes, model.channels, model.downsampling
        self.encoder: nn.Module = model.encoder
        self.register_buffer("mean", model.signal_mean.detach().clone())
        self.register_buffer("std", model.signal_std.detach().clone())
        self._seen: list[Tensor] = []
        for module in self.encoder.modules():
            module.register_forward_hook(self._see)

    def forward(self, signals: Tensor) -> list[Tensor]:
        """Maps ``[batch, C, *size]``, from the finest on, of signals in their own units."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        numbers = pad_to_multiple((signals - mean.to(signals)) / std.to(signals), self.downsampling)
        self._seen = []
        try:
            emitted = self.encoder(numbers)
            seen = [*self._seen, emitted] if isinstance(emitted, Tensor) else self._seen
        finally:
            self._seen = []
        found: dict[tuple[int, ...], Tensor] = {}
        for maps in seen:
            size = tuple(maps.shape[2:])
            fits = maps.ndim == numbers.ndim and len(maps) == len(numbers) and maps.is_floating_point()
            fits = fits and all(
                length and whole % length == 0 for whole, length in zip(numbers.shape[2:], size, strict=True)
            )
            if fits and (size not in found or maps.shape[1] >= found[size].shape[1]):
                found[size] = maps
        return list(found.values())

    def _see(self, module: nn.Module, given: Any, made: Any) -> None:
        del module, given
        if isinstance(made, Tensor):
            self._seen.append(made)


@final
class FileFeatures(nn.Module):
    """A network that somebody else has made, and what it gives checked: layers ``[batch, C, *size]`` or ``[batch, D]``.

    Args:
        network: signals in their own units (images in [0, 1]) to a tensor, or to a list, a tuple or a dict of them.
        name: for messages.
        moments: means and deviations of channels that it expects; grey images are then repeated to so many.
    """

    def __init__(self, network: Any, name: str, moments: tuple[Any, Any] | None = None) -> None:
        super().__init__()
        self.name = name
        self.network = network
        self.moments = None if moments is None else tuple(torch.tensor(each, dtype=torch.float32) for each in moments)

    def forward(self, signals: Tensor) -> list[Tensor]:
        """Layers of signals ``[batch, channels, *size]``.

        Raises:
            ConfigError: the network fails on them, or gives something else.
        """
        if self.moments is not None:
            mean, std = (each.to(signals).view(-1, *[1] * (signals.ndim - 2)) for each in self.moments)
            signals = (signals.expand(-1, len(mean), *signals.shape[2:]) - mean) / std
        try:
            made = self.network(signals)
        except (RuntimeError, TypeError, ValueError, AssertionError, NotImplementedError) as error:
            words = next((line for line in str(error).splitlines()[::-1] if line.strip()), type(error).__name__)
            raise ConfigError(
                f"features={self.name!r} failed on {str(signals.dtype).removeprefix('torch.')} signals "
                f"{list(signals.shape)}: {words.strip()[:300]}"
            ) from error
        layers = list(made.values()) if isinstance(made, Mapping) else made
        layers = [layers] if isinstance(layers, Tensor) else layers
        if not isinstance(layers, list | tuple) or not layers or not all(_is_layer(each, signals) for each in layers):
            what = (
                [list(each.shape) if isinstance(each, Tensor) else type(each).__name__ for each in layers or ()]
                if (isinstance(layers, list | tuple))
                else type(layers).__name__
            )
            raise ConfigError(
                f"features={self.name!r} gives {what} for signals {list(signals.shape)}; it has to give real tensors "
                f"[{len(signals)}, C, *size] or [{len(signals)}, D], one or a list of them"
            )
        return list(layers)


def open_features(name: str, weights: str, axes: int, channels: int) -> tuple[nn.Module, bytes]:
    """Return a feature network other than the random one, frozen, and a digest of what it computes with.

    Args:
        name: a run or a model, a file, or ``timm:NAME``.
        weights: of a network of timm: a file in safetensors.
        axes: of the signals.
        channels: of the signals.

    Raises:
        ConfigError: there is no such network here, or it is for other signals.
    """
    if name.startswith(TIMM):
        network, digest = _from_timm(name, weights, axes, channels)
    elif Path(name).is_file():
        network, digest = FileFeatures(_read(Path(name)), name), hashlib.sha256(Path(name).read_bytes()).digest()
    else:
        network, digest = _from_model(name, axes, channels)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network, digest


def digest_of(network: nn.Module) -> bytes:
    """Return the SHA-256 of all numbers of a network."""
    total = hashlib.sha256()
    for key, tensor in [*network.named_parameters(), *network.named_buffers()]:
        total.update(key.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.digest()


def _from_model(name: str, axes: int, channels: int) -> tuple[nn.Module, bytes]:
    try:
        model = load_model(name)
    except VqkitError as error:
        raise ConfigError(f"features={name!r}: no such file, and no model ({error}); {_INSTEAD}") from error
    network = EncoderFeatures(model, name).eval()
    if (network.axes, network.channels) != (axes, channels):
        raise ConfigError(
            f"features={name!r} is of signals with {network.channels} channels on {network.axes} axes, and these have "
            f"{channels} on {axes}; give a model of such signals"
        )
    return network, digest_of(network)


def _read(path: Path) -> Any:
    """A graph of torch.export, or one of TorchScript: both are programs of torch's operators, not pickled objects."""
    refused = f"features={str(path)!r}: no network of TorchScript or torch.export (torch.export.save, torch.jit.save)"
    try:
        with zipfile.ZipFile(path) as archive:
            scripted = any("/code/" in entry for entry in archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise ConfigError(f"{refused}: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript, whose files are there
            if scripted:
                return torch.jit.load(str(path), map_location="cpu").eval()
            return torch.export.load(path).module()
    except Exception as error:  # torch raises what it likes for a file that is damaged
        words = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{refused}: {words[:300]}") from error


def _from_timm(name: str, weights: str, axes: int, channels: int) -> tuple[nn.Module, bytes]:
    given, kind = f"features={name!r}", name.removeprefix(TIMM)
    if axes != 2 or channels not in (1, 3):
        raise ConfigError(f"{given}: for grey or RGB images, and these have {channels} channels on {axes} axes")
    if not Path(weights).is_file() or not weights.endswith(".safetensors"):
        raise ConfigError(
            f"{given}: its weights are not downloaded: give weights=FILE, a .safetensors file here"
            + (f" ({weights!r} is none)" if weights else "")
        )
    try:
        timm: Any = import_module("timm")
    except ImportError as error:
        raise ConfigError(f"{given}: the package timm cannot be imported ({error}): pip install timm") from error
    from safetensors.torch import load_file

    try:
        network = timm.create_model(kind, pretrained=False, features_only=True)
        tensors = load_file(weights)
        absent, _ = network.load_state_dict(tensors, strict=False)
    except Exception as error:  # of another package
        words = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{given} with weights={weights!r}: {words[:300]}") from error
    if absent:
        raise ConfigError(
            f"{given}: weights={weights!r} lacks {absent[0]!r} ({len(absent)} such); give its own weights"
        )
    about = getattr(network, "pretrained_cfg", None) or {}
    moments = tuple(
        about.get(key, usual) for key, usual in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225)))
    )
    digest = hashlib.sha256(kind.encode() + Path(weights).read_bytes()).digest()
    return FileFeatures(network, name, moments).eval(), digest


def _is_layer(made: object, signals: Tensor) -> bool:
    return (
        isinstance(made, Tensor)
        and made.ndim >= 2
        and len(made) == len(signals)
        and made.is_floating_point()
        and made.numel() > 0
    )

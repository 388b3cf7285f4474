"""Feature networks: images to vectors that generation measures compare. None of them downloads anything.

Every network here maps images ``[batch, channels, height, width]``, uint8 or floats in [0, 1], to features
``[batch, D]`` float32. A distance between two sets of features is a number about that network as much as about the
images: compare only figures of one network (and, for a classifier, of one training).
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from importlib import import_module
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqkit.deprecation import moved
from vqkit.errors import ConfigError, DataError
from vqkit.evaluation.classifier import as_floats
from vqkit.ops import evaluating
from vqkit.seeds import check_seed

_WIDTHS = (24, 32, 40)
_LAYOUT_MAPS = 12
_INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
_INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_INSTEAD = 'use "random" (needs nothing), a classifier (train_classifier) or your own network as "module:attribute"'


__getattr__ = moved(
    __name__,
    {name: f"vqkit.evaluation.classifier:{name}" for name in ("Classifier", "ClassifierFeatures", "train_classifier")},
)


@final
class RandomFeatures(nn.Module):
    """A fixed random convolution network: texture at four scales and coarse layout, the same on any machine.

    Three layers of random 3x3 filters (each of zero sum, so grey flat areas give 0, and of norm 2, so that on
    photographs every layer varies about as much as the next), ReLU, and halving by means between them. Pooled over
    positions: mean and standard deviation of the image and of each layer's maps, and 2x2 means of the image and of
    a few maps of the second layer. D = 240 + 6 * channels. Any size from one pixel; features of images of different
    sizes are not comparable. They see texture, colour and layout, not meaning: a classifier trained on the data does.

    Args:
        channels: C of the images.
        seed: of the filters, drawn from a generator of its own: the global seed plays no part.

    Raises:
        ConfigError: fewer than one channel, or a seed out of range.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import RandomFeatures
        >>> RandomFeatures(3)(torch.rand(2, 3, 32, 32)).shape[0]
        2
    """

    def __init__(self, channels: int, *, seed: int = 0) -> None:
        super().__init__()
        if channels < 1:
            raise ConfigError(f"channels={channels}: images have at least 1 channel; give that of the data")
        self.channels = channels
        generator = torch.Generator().manual_seed(check_seed(seed))
        for depth, (inputs, outputs) in enumerate(pairwise((channels, *_WIDTHS))):
            # Uniform, not normal: whole numbers over 2^24 are the same on every processor.
            filters = torch.rand(outputs, inputs, 3, 3, generator=generator).double()
            filters -= filters.mean(dim=(1, 2, 3), keepdim=True)
            filters *= 2 / filters.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
            self.register_buffer(f"filters{depth}", filters.float())

    def forward(self, images: Tensor) -> Tensor:
        """Features ``[batch, D]`` float32 of images ``[batch, channels, height, width]``."""
        x = as_floats(images, self.channels)
        maps = [x]
        for depth in range(len(_WIDTHS)):
            inner = F.avg_pool2d(x, 2, ceil_mode=True) if depth else x
            x = F.relu(F.conv2d(F.pad(inner, (1, 1, 1, 1), "replicate"), self.get_buffer(f"filters{depth}")))
            maps.append(x)
        flat = [each.flatten(2) for each in maps]
        layout = [F.adaptive_avg_pool2d(each, 2).flatten(1) for each in (maps[0], maps[2][:, :_LAYOUT_MAPS])]
        spread = [each.std(dim=2, correction=0) for each in flat]
        return torch.cat([*(each.mean(dim=2) for each in flat), *spread, *layout], dim=1)


def feature_network(name: str, channels: int, *, seed: int = 0) -> nn.Module:
    """A feature network by name, in evaluation mode.

    Args:
        name: ``"random"``: ``RandomFeatures``. ``"module.path:attribute"``: your own network or function, imported;
            it gets floats in [0, 1], ``[batch, channels, height, width]``, and returns ``[batch, D]``. Sizes and
            channels are its own business: a network for RGB has to repeat the channel of grey images itself.
            ``"inception"``: the Inception v3 of the usual FID (2,048 features; grey images repeated to RGB), where
            torchmetrics, torch-fidelity and the weights are on this machine already.
        channels: C of the images.
        seed: of ``"random"``.

    Raises:
        ConfigError: an unknown name, something that cannot be imported or called, or what ``"inception"`` lacks.

    Example:
        >>> from vqkit.evaluation import feature_network
        >>> type(feature_network("random", 3)).__name__
        'RandomFeatures'
    """
    if name == "random":
        return RandomFeatures(channels, seed=seed).eval()
    if name == "inception":
        return _inception(channels).eval()
    module, separator, attribute = name.partition(":")
    if not (separator and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ConfigError(f'features={name!r}: give "random", "inception" or "module.path:attribute"')
    try:
        network = getattr(import_module(module), attribute, None)
    except ImportError as error:
        raise ConfigError(
            f"features={name!r}: cannot import {module} ({error}); its folder must be on PYTHONPATH"
        ) from error
    if network is None:
        raise ConfigError(f"features={name!r}: the module {module} has no {attribute}")
    if inspect.isclass(network) or not callable(network):
        kind = "a class, not an object of it" if inspect.isclass(network) else f"a {type(network).__name__}"
        raise ConfigError(f"features={name!r} is {kind}; give a function or a network that is ready to be called")
    return _Checked(name, network, channels).eval()


@torch.no_grad()
def extract(network: Callable[[Tensor], Tensor], batches: Iterable[Tensor]) -> Tensor:
    """Features of a whole set: ``[N, D]`` float64 on the CPU.

    Args:
        network: a feature network; used in evaluation mode, on its own device; its parts are left in their modes.
        batches: images ``[batch, C, height, width]``, as in ``(x for _, x in evaluation_batches(source, 256))``.

    Raises:
        DataError: no images, or images that the network does not take.
        ConfigError: the network returns anything else than ``[batch, D]`` of one D.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import RandomFeatures, extract
        >>> extract(RandomFeatures(1), [torch.rand(4, 1, 8, 8), torch.rand(2, 1, 8, 8)]).shape[0]
        6
    """
    module = network if isinstance(network, nn.Module) else None
    held = None if module is None else next(chain(module.parameters(), module.buffers()), None)
    found: list[Tensor] = []
    with evaluating(*([] if module is None else [module])):
        for images in batches:
            features = network(images if held is None else images.to(held.device))
            _check_features("the feature network", features, images)
            if found and features.shape[1] != found[0].shape[1]:
                raise ConfigError(
                    f"the feature network gave {found[0].shape[1]} features, then {features.shape[1]} for images "
                    f"{list(images.shape)}; it must give the same number for all"
                )
            found.append(features.float().cpu())
    if not found:
        raise DataError("no images to take features of; give at least one batch")
    return torch.cat(found).double()


@final
class _Checked(nn.Module):
    """Somebody else's network: floats in [0, 1] go in, and what comes out is checked."""

    def __init__(self, name: str, network: Callable[[Tensor], Tensor], channels: int) -> None:
        super().__init__()
        self.name = name
        self.network = network
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        x = as_floats(images, self.channels)
        try:
            features = self.network(x)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(f"features={self.name!r} failed on float images {list(x.shape)}: {error}") from error
        _check_features(f"features={self.name!r}", features, x)
        return features.float()


def _inception(channels: int) -> nn.Module:
    if channels not in (1, 3):
        raise ConfigError(f'features="inception" takes grey or RGB images, these have {channels} channels; {_INSTEAD}')
    weights = Path(torch.hub.get_dir()) / "checkpoints" / _INCEPTION_FILE
    missing = []
    try:
        import_module("torch_fidelity")
        build: Any = import_module("torchmetrics.image.fid").NoTrainInceptionV3
    except ImportError as error:
        missing.append(f"the packages torchmetrics and torch-fidelity ({error})")
    if not weights.is_file():
        missing.append(f"the weights {weights}")
    elif hashlib.sha256(weights.read_bytes()).hexdigest() != _INCEPTION_SHA256:  # torch-fidelity unpickles the file
        missing.append(f"the right weights: {weights} is damaged or another file")
    if missing:
        raise ConfigError(f'features="inception" lacks {" and ".join(missing)}; nothing is downloaded here: {_INSTEAD}')
    network = build("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights))
    return _Inception(network, channels)


@final
class _Inception(nn.Module):
    """torchmetrics' network, which takes uint8 RGB."""

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        pixels = (as_floats(images, self.channels) * 255).round().clamp(0, 255).to(torch.uint8)
        features: Tensor = self.network(pixels.expand(-1, 3, -1, -1))
        return features


def _check_features(who: str, features: Any, images: Tensor) -> None:
    if not isinstance(features, Tensor):
        raise ConfigError(f"{who} returned a {type(features).__name__}; it must return a tensor [batch, D]")
    if features.ndim != 2 or len(features) != len(images) or features.shape[1] == 0 or features.is_complex():
        raise ConfigError(
            f"{who} returned shape {list(features.shape)} for images {list(images.shape)}; it must return real "
            f"numbers [{len(images)}, D]: flatten or pool what has more axes"
        )

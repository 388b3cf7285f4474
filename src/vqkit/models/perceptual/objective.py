"""The perceptual objective: reconstructions that look like signals to a network that stays as it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.models.perceptual.distances import feature_distances
from vqkit.models.perceptual.networks import RANDOM, TIMM, digest_of, open_features
from vqkit.models.perceptual.pyramid import RandomPyramid
from vqkit.objectives import OBJECTIVES, Decoded, Objective
from vqkit.objectives.adversarial import visible
from vqkit.ops.precision import at_least_float32
from vqkit.seeds import check_seed
from vqkit.spelling import option

_MOST = 4096
_DIGEST = 32


@OBJECTIVES.register("perceptual", citations=("gatys2015texture", "johnson2016perceptual", "ustyuzhaninov2016texture"))
@final
class PerceptualObjective(Objective):
    """Distances in the features of a fixed network: of what is where, and of what comes together (texture).

    With the maps ``F_l`` of layer l, each channel normalized to the mean and the deviation that the signals' have in
    the batch, and their Gram matrices ``G_l = F_l F_l^T / positions``::

        q_l = |G_l(d(z)) - G_l(x)|^2 / mean |G_l(x)|^2
        loss = mean over layers of  (distance mean (F_l(d(z)) - F_l(x))^2 + gram mean 2 (sqrt(1 + q_l) - 1))

    Johnson, Alahi and Fei-Fei 2016 (arXiv 1603.08155); the Gram matrices of Gatys et al. 2015 (arXiv 1505.07376). Both
    are relative: a reconstruction whose features are the mean everywhere has the first distance 1. The network is
    computed in float32, is not trained, and is no part of checkpoints or of the model: they hold a digest of its
    weights, and a run does not go on with others.

    Args:
        features: which network. ``"random"``: ``RandomPyramid``, filters from a seed, for 1 to 3 axes. A run or its
            model: its encoder, trained on such signals. A file of TorchScript or torch.export: signals in their own
            units (images in [0, 1]) to one layer or a list of them, ``[batch, C, *size]`` or ``[batch, D]``; only
            files of somebody you trust. ``"timm:NAME"``: of that package, with ``weights``.
        weights: of a network of timm: a file in safetensors.
        distance: weight of the distance where features are.
        gram: weight of that of Gram matrices.
        scales: of the random network.
        width: filters of each of its scales.
        seed: of its filters.
        adaptive: make the term's weight relative to the gradient of the other terms, see ``WeightedSum``.

    Raises:
        ConfigError: a value out of range, or a network that is not here or is for other signals.

    Example:
        >>> import vqkit
        >>> model = vqkit.VQVAE(16, hidden_channels=8)
        >>> model.use_objective("likelihood + 0.1*perceptual(gram=2.0)")
        >>> str(model.objective)
        'likelihood + 0.1*perceptual(gram=2.0)'
    """

    supported_axes: ClassVar[tuple[int, ...]] = (1, 2, 3)
    zero_at_target: ClassVar[bool] = True

    def __init__(
        self,
        *,
        features: str = RANDOM,
        weights: str = "",
        distance: float = 1.0,
        gram: float = 1.0,
        scales: int = 4,
        width: int = 16,
        seed: int = 0,
        adaptive: bool = False,
    ) -> None:
        super().__init__()
        for key, word in (("features", features), ("weights", weights)):
            if not isinstance(word, str) or (not word and key == "features"):
                raise ConfigError(
                    f"objective {self.name!r}: {key}={shown(word)}: give {RANDOM!r}, a run, a file or '{TIMM}NAME'"
                    if key == "features"
                    else f"objective {self.name!r}: weights={shown(word)}: give a file in safetensors"
                )
        for key, weight in (("distance", distance), ("gram", gram)):
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise ConfigError(f"objective {self.name!r}: {key}={shown(weight)}: give a finite number, 0 or more")
        if not distance and not gram:
            raise ConfigError(f"objective {self.name!r}: distance and gram are both 0; give one of them a weight")
        for key, count, most in (("scales", scales, 12), ("width", width, _MOST)):
            if type(count) is not int or not 1 <= count <= most:
                raise ConfigError(
                    f"objective {self.name!r}: {key}={shown(count)}: give a whole number from 1 to {most}"
                )
        if weights and not features.startswith(TIMM):
            raise ConfigError(f"objective {self.name!r}: weights are for features='{TIMM}NAME'; leave them out")
        self.features, self.weights, self.distance, self.gram = features, weights, distance, gram
        self.scales, self.width, self.seed, self.adaptive = scales, width, check_seed(seed), bool(adaptive)
        self._network: tuple[nn.Module, ...] = ()  # in a tuple: not trained, and in no checkpoint
        self._digest = b""

    @property
    def network(self) -> nn.Module:
        """What computes the features.

        Raises:
            ConfigError: the objective has not been prepared yet.
        """
        if not self._network:
            raise ConfigError(f"objective {self.name!r}: prepare(axes, channels) first, as use_objective does")
        return self._network[0]

    def prepare(self, axes: int, channels: int) -> None:
        """See ``Objective.prepare``: opens the network."""
        super().prepare(axes, channels)
        if self._network:
            return
        if self.features == RANDOM:
            network: nn.Module = RandomPyramid(axes, channels, scales=self.scales, width=self.width, seed=self.seed)
            self._digest = digest_of(network)
        else:
            try:
                network, self._digest = open_features(self.features, self.weights, axes, channels)
            except ConfigError as error:
                raise ConfigError(f"objective {self.name!r}: {error}") from error
        self._network = (network,)

    def prepare_for(self, model: Any) -> None:
        """See ``Objective.prepare_for``.

        Raises:
            ConfigError: an autoregressive decoder.
        """
        if getattr(model, "autoregressive", False):
            raise ConfigError(
                f"objective {self.name!r}: an autoregressive decoder draws value by value and has no reconstruction to "
                f"be judged in a step; leave {self.name!r} out of {option('objective', ...)}, or take another decoder"
            )
        super().prepare_for(model)

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.losses``: ``perceptual_loss``."""
        mask = decoded.whole_positions
        with torch.autocast(decoded.mean.device.type, enabled=False):
            made = self._layers(visible(at_least_float32(decoded.mean), mask), decoded)
            with torch.no_grad():
                wanted = self._layers(visible(at_least_float32(decoded.target), mask), decoded)
            together = torch.is_grad_enabled() and decoded.parameters.requires_grad
            distance, gram = feature_distances(made, wanted, mask, together=together)
            return {f"{self.name}_loss": self.distance * distance + self.gram * gram}

    def get_extra_state(self) -> Tensor:
        """Return digests of the network and of the settings, for a checkpoint."""
        return torch.tensor(list(self._digest.ljust(_DIGEST, b"\0") + self._words()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Look whether a checkpoint is of the same network.

        Raises:
            ConfigError: under the same settings it was another.
        """
        found = bytes(state.flatten().tolist())
        if found[_DIGEST:] == self._words() and found[:_DIGEST] != self._digest:
            raise ConfigError(
                f"objective {self.name!r}: features={self.features!r} is not the network that the run was started "
                "with; put that back, or name this one by another path to go on with it"
            )

    def _words(self) -> bytes:
        return hashlib.sha256(str(self).encode()).digest()

    def _layers(self, numbers: Tensor, decoded: Decoded) -> list[Tensor]:
        """Layers of reconstructions or signals in units of ``mean``, in the precision of the network."""
        tensors = [*self.network.parameters(), *self.network.buffers()]
        dtype = next((each.dtype for each in tensors if each.is_floating_point()), torch.float32)
        if self.features != RANDOM:
            numbers = decoded.unit.std * numbers + decoded.unit.mean
        found: list[Tensor] = self.network(numbers.to(dtype))
        return [at_least_float32(each) for each in found]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> PerceptualObjective:
        """Move the network along to another device or precision."""
        super()._apply(fn, recurse)
        for network in self._network:
            network._apply(fn, recurse)
        return self

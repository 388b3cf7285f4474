"""Domain confusion: latents from which a classifier cannot tell what the decoder is told anyway."""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.objectives.base import OBJECTIVES, Decoded, Objective
from vqkit.spelling import option

_CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@OBJECTIVES.register("confusion", citations=("tzeng2015simultaneous", "chou2018multi"))
@final
class ConfusionObjective(Objective):
    """Domain confusion: the class of the decoder's condition is to be missing from what the encoder says.

    A classifier c reads the latents, as the decoder does but without the condition, and learns the class of each item
    at every position; the encoder learns to leave it undecided. With N classes::

        classifier:  mean -log c(class | z)
        encoder:     mean KL(uniform || c(. | z)) = mean over positions of  -log N - (1 / N) sum_n log c(n | z)

    0 where c knows nothing. Tzeng et al. 2015 (arXiv 1510.02192, equation 3); for the speaker of a voice conversion,
    with the classifier's own loss reversed, Chou et al. 2018 (arXiv 1804.02812). What the decoder needs of the class it
    has from its condition, so nothing is lost that it could not say. Items without a class do not count.

    Args:
        width: channels inside the classifier: three convolutions that see 15 positions (of a vector: three layers).
        learning_rate: the peak of the classifier's.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> import vqkit
        >>> model = vqkit.VQVAE(16, hidden_channels=8, classes=2)
        >>> model.use_objective("likelihood + 0.1*confusion")
        >>> str(model.objective)
        'likelihood + 0.1*confusion'
    """

    reads_classes = True
    classifier: nn.Module

    def __init__(self, *, width: int = 128, learning_rate: float = 1e-3) -> None:
        super().__init__()
        if type(width) is not int or width < 1:
            raise ConfigError(f"objective {self.name!r}: width={shown(width)}: give a whole number, 1 or more")
        if type(learning_rate) not in {int, float} or not 0 < learning_rate < float("inf"):
            raise ConfigError(f"objective {self.name!r}: learning_rate={shown(learning_rate)}: give one above 0")
        self.width = width
        self.learning_rate = learning_rate

    def prepare_for(self, model: Any) -> None:
        """See ``Objective.prepare_for``: makes the classifier, for the latents and the classes of the model.

        Raises:
            ConfigError: a decoder that is not told classes.
        """
        super().prepare_for(model)
        classes = model.conditions.classes
        if classes is None:
            raise ConfigError(
                f"objective {self.name!r} is for a decoder that is told the class of each item, and this one is not: "
                f"give {option('conditional', True)}, or leave {self.name!r} out"
            )
        if not hasattr(self, "classifier"):
            self.classifier = _classifier(
                0 if model.vector else model.axes, model.decoded_channels, self.width, classes
            )

    def make_optimizer(self) -> torch.optim.Optimizer:
        """See ``Objective.make_optimizer``."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, betas=(0.5, 0.9))

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.losses``: how far the classifier is from knowing nothing, in nats."""
        constants = {name: parameter.detach() for name, parameter in self.classifier.named_parameters()}
        logits, kept, _ = self._read(decoded, constants)
        undecided = -logits.log_softmax(dim=1).mean(dim=1) - math.log(logits.shape[1])
        return {f"{self.name}_loss": _mean(undecided, kept)}

    def own_losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.own_losses``: the cross-entropy of the classifier."""
        logits, kept, classes = self._read(decoded, dict(self.classifier.named_parameters()))
        return {f"{self.name}_classifier": _mean(functional.cross_entropy(logits, classes, reduction="none"), kept)}

    def _read(self, decoded: Decoded, parameters: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Logits ``[batch, N, *grid]``, which of them count, and the classes at each position."""
        latents, mask, classes = decoded.latents, decoded.latents_mask, decoded.classes
        assert latents is not None, "a model says what its decoder read"
        assert classes is not None, "reads_classes asks for them"
        kept = latents.new_ones(len(latents), *latents.shape[2:], dtype=torch.bool) if mask is None else mask
        latents = torch.where(kept.unsqueeze(1), latents, latents.new_zeros(()))
        weight = next(iter(parameters.values()))
        logits = functional_call(self.classifier, parameters, (latents.to(weight.dtype),))
        logits = logits if logits.dtype == torch.float64 else logits.float()
        known = (classes >= 0) & (classes < logits.shape[1])
        spread = [len(classes), *[1] * (latents.ndim - 2)]
        kept = kept & known.view(spread)
        return logits, kept, torch.where(known, classes, 0).view(spread).expand_as(kept)


def _classifier(axes: int, channels: int, width: int, classes: int) -> nn.Module:
    """Three layers: latents to logits at every position."""
    if axes == 0:
        layers: list[nn.Module] = [nn.Linear(channels, width), nn.Linear(width, width), nn.Linear(width, classes)]
    else:
        sizes = [channels, width, width, classes]
        layers = [
            _CONVOLUTIONS[axes](read, made, 3, padding=reach, dilation=reach)
            for read, made, reach in zip(sizes[:-1], sizes[1:], (1, 2, 4), strict=True)
        ]
    return nn.Sequential(layers[0], nn.LeakyReLU(0.2), layers[1], nn.LeakyReLU(0.2), layers[2])


def _mean(values: Tensor, kept: Tensor) -> Tensor:
    """The mean over what counts; 0 where nothing does."""
    return torch.where(kept, values, values.new_zeros(())).sum() / kept.sum().clamp_min(1)

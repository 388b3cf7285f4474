"""The adversarial objective of vqkit: patches of images and video, periods and spectra of sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

from torch import nn

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.objectives.adversarial import AdversarialObjective
from vqkit.objectives.adversaries.patches import PatchDiscriminator
from vqkit.objectives.adversaries.sounds import SoundDiscriminator
from vqkit.objectives.base import OBJECTIVES
from vqkit.spelling import option


@OBJECTIVES.register(
    "adversarial",
    citations=("esser2021taming", "isola2017image", "kong2020hifi", "defossez2023high", "zhao2020diffaugment"),
)
@final
class PatchAdversary(AdversarialObjective):
    """An adversary that asks for reconstructions that look (or sound) like signals, patch by patch.

    Of images and video it is a patch discriminator, of sounds a multi-period and multi-scale STFT one; losses,
    penalties and augmentation are those of ``AdversarialObjective``. It stands beside a likelihood: alone it has no
    reason to keep to the signal. In a run that it may ruin it belongs under a guard: ``vqkit train --sharp``.

    Args:
        width: channels of the discriminator's first layers.
        layers: that halve the resolution, of images and video.
        scales: of images and video, each half as fine.
        periods: of sound, in samples.
        windows: of sound, in samples.
        after: see ``AdversarialObjective``, as the rest.
        warmup: see there.
        learning_rate: see there.
        loss: see there.
        r1: see there.
        r1_every: see there.
        lecam: see there.
        augment: see there.
        adaptive: see there.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> import vqkit
        >>> model = vqkit.VQVAE(16, hidden_channels=8)
        >>> model.use_objective("likelihood + 0.1*adversarial(width=16, after=1000)")
        >>> str(model.objective)
        'likelihood + 0.1*adversarial(width=16, after=1000)'
    """

    supported_axes: ClassVar[tuple[int, ...]] = (1, 2, 3)

    def __init__(
        self,
        *,
        width: int = 32,
        layers: int = 2,
        scales: int = 1,
        periods: Sequence[int] = (2, 3, 5),
        windows: Sequence[int] = (256, 1024),
        after: int = 0,
        warmup: int = 100,
        learning_rate: float = 1e-3,
        loss: str = "hinge",
        r1: float = 0.1,
        r1_every: int = 16,
        lecam: float = 0.0,
        augment: float = 0.5,
        adaptive: bool = False,
    ) -> None:
        super().__init__(
            after=after, adaptive=adaptive, learning_rate=learning_rate, loss=loss, warmup=warmup, r1=r1,
            r1_every=r1_every, lecam=lecam, augment=augment,
        )  # fmt: skip
        for name, value in (("width", width), ("layers", layers), ("scales", scales)):
            if type(value) is not int or not 1 <= value <= 1024:
                raise ConfigError(f"objective {self.name!r}: {name}={shown(value)}: give a whole number from 1 to 1024")
        for name, values, least in (("periods", periods, 1), ("windows", windows, 8)):
            if not isinstance(values, list | tuple) or not all(type(each) is int and each >= least for each in values):
                raise ConfigError(f"objective {self.name!r}: {name}={shown(values)}: give whole numbers from {least}")
        if not periods and not windows:
            raise ConfigError(f"objective {self.name!r}: neither periods nor windows; give some of one of them")
        self.width, self.layers, self.scales = width, layers, scales
        self.periods, self.windows = list(periods), list(windows)

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

    def make_discriminator(self, axes: int, channels: int) -> nn.Module:
        """See ``AdversarialObjective.make_discriminator``."""
        if axes == 1:
            return SoundDiscriminator(channels, width=self.width, periods=self.periods, windows=self.windows)
        return PatchDiscriminator(axes, channels, width=self.width, layers=self.layers, scales=self.scales)

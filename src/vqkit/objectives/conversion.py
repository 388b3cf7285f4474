"""Conversion: what is decoded under another class than its own is to be taken for a signal of that class."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.objectives.adversarial import patch_mean, visible
from vqkit.objectives.base import OBJECTIVES, Decoded, Objective
from vqkit.ops.precision import at_least_float32
from vqkit.ops.spectra import mel_magnitude
from vqkit.spelling import option

_CONVOLUTIONS: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
_UNKNOWN_RATE = 16000
_FLOOR = 1e-4
"""Of mel magnitudes: 80 dB below a sine of full scale."""
_WINDOW_SECONDS = 0.032
_BANDS = 32


@OBJECTIVES.register("conversion", citations=("choi2018stargan", "kameoka2018stargan", "salimans2016improved"))
@final
class ConversionObjective(Objective):
    """Conversion: what is decoded under another class is to be taken for a signal of that class, by a classifier.

    A classifier c of N + 1 classes reads signals (of sounds, their log mel spectrograms) and learns to name those of
    the data, and that others were made; the model learns to be named right where it decodes the codes of one class
    under another, d(z, m)::

        classifier:  mean -log c(n | x) / 2 + mean -log c(made | d(z, m)) / 2      n the class of x
        model:       mean -log c(m | d(z, m))                                      m another class, in turn

    Auxiliary classifiers of conversion: Choi et al. 2018 (arXiv 1711.09020, equations 2 and 3), Kameoka et al. 2018
    (arXiv 1806.02169) for voices; with the made ones as a class of their own, Salimans et al. 2016 (arXiv 1606.03498).
    A decoder that never decodes what it is used for does half of it: some of the source's voice stays. Each step
    decodes twice, so that it takes about half as long again; the classifier learns from what the model's step decoded.
    Items without a class do not count.

    What else the signal says may suffer: a signal of class m that means something else pleases the classifier as well.
    With ``kept``, the converted signal is to be encoded to the latents of its original, the cycle consistency of
    StarGAN (equation 4) without a second decoding::

        model:  kept * mean (e(d(z, m)) - sg e(x))^2 / variance of e(x)

    Args:
        kept: the weight of that; 0: not asked for.
        width: channels inside the classifier.
        after: steps of training before the model's term begins; the classifier learns from the first.
        learning_rate: the peak of the classifier's.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> import vqkit
        >>> model = vqkit.VQVAE(16, hidden_channels=8, classes=2)
        >>> model.use_objective("likelihood + 0.1*conversion")
        >>> str(model.objective)
        'likelihood + 0.1*conversion'
    """

    reads_classes = True
    classifier: nn.Module
    supported_axes: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)

    def __init__(self, *, kept: float = 0.0, width: int = 32, after: int = 0, learning_rate: float = 3e-4) -> None:
        super().__init__()
        if type(kept) not in {int, float} or not 0 <= kept < float("inf"):
            raise ConfigError(f"objective {self.name!r}: kept={shown(kept)}: give a weight, 0 or more")
        for name, value, least in (("width", width, 1), ("after", after, 0)):
            if type(value) is not int or value < least:
                raise ConfigError(
                    f"objective {self.name!r}: {name}={shown(value)}: give a whole number, {least} or more"
                )
        if type(learning_rate) not in {int, float} or not 0 < learning_rate < float("inf"):
            raise ConfigError(f"objective {self.name!r}: learning_rate={shown(learning_rate)}: give one above 0")
        self.kept, self.width, self.after, self.learning_rate = kept, width, after, learning_rate
        self.steps = 0

    def prepare_for(self, model: Any) -> None:
        """See ``Objective.prepare_for``: makes the classifier, for the signals and the classes of the model.

        Raises:
            ConfigError: a decoder that is not told classes, or of one class only, or that is autoregressive.
        """
        super().prepare_for(model)
        classes = model.conditions.classes
        if classes is None or classes < 2:
            raise ConfigError(
                f"objective {self.name!r} is for a decoder that is told one of several classes of each item, and this "
                f"one is not: give {option('conditional', True)}, or leave {self.name!r} out"
            )
        if getattr(model, "autoregressive", False):
            raise ConfigError(
                f"objective {self.name!r} decodes in each step, and an autoregressive decoder draws value by value; "
                f"leave {self.name!r} out, or take another decoder"
            )
        if not hasattr(self, "classifier"):
            self.classifier = _classifier(0 if model.vector else model.axes, model.channels, self.width, classes + 1)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """See ``Objective.make_optimizer``."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, betas=(0.5, 0.9))

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.losses``: how surely the classifier finds another class than the one that was asked for."""
        constants = {name: parameter.detach() for name, parameter in self.classifier.named_parameters()}
        if self.steps < self.after:
            with torch.no_grad():
                self._converted(decoded)  # for the classifier
            nothing = decoded.parameters.flatten()[:0].sum()
            return {f"{self.name}_loss": nothing} | ({f"{self.name}_kept_loss": nothing} if self.kept else {})
        known, others, made = self._converted(decoded)
        logits = functional_call(self.classifier, constants, (_read(made, decoded),))
        losses = {f"{self.name}_loss": _cross_entropy(logits, others, known, decoded.whole_positions)}
        if self.kept:
            losses[f"{self.name}_kept_loss"] = self.kept * _change(made, known, decoded)
        return losses

    def own_losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.own_losses``: the cross-entropy of the classifier."""
        with torch.no_grad():
            known, _, made = self._converted(decoded)
            signals = [_read(decoded.target, decoded), _read(made, decoded)]
        real, fake = (self.classifier(signal) for signal in signals)
        assert decoded.classes is not None
        last = torch.full_like(decoded.classes, real.shape[1] - 1)
        named = _cross_entropy(real, torch.where(known, decoded.classes, 0), known, decoded.whole_positions)
        return {f"{self.name}_classifier": 0.5 * (named + _cross_entropy(fake, last, known, decoded.whole_positions))}

    def end_step(self) -> None:
        """See ``Objective.end_step``: counts, so that every other class has its turn."""
        self.steps += 1

    def get_extra_state(self) -> Tensor:
        """Return the steps made, for a checkpoint."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the steps made from a checkpoint."""
        self.steps = int(state)

    def _converted(self, decoded: Decoded) -> tuple[Tensor, Tensor, Tensor]:
        """Which items have a class, another class of each, and what is decoded under it."""
        classes, count = decoded.classes, self._classes
        assert classes is not None, "reads_classes asks for them"
        assert decoded.latents is not None, "a model says what its decoder read"
        assert decoded.decode_as is not None, "a model whose decoder has classes says how it decodes"
        known = (classes >= 0) & (classes < count)
        others = (torch.where(known, classes, 0) + 1 + self.steps % (count - 1)) % count
        return known, others, decoded.decode_as(decoded.latents, others)

    @property
    def _classes(self) -> int:
        last = [layer for layer in self.classifier.modules() if hasattr(layer, "bias")][-1]
        return len(last.bias) - 1  # type: ignore[arg-type]


def _read(signal: Tensor, decoded: Decoded) -> Tensor:
    """What the classifier reads of signals in units of the data's deviation: of sounds, a log mel spectrogram."""
    signal = visible(signal, decoded.whole_positions)
    if decoded.axes != 1:
        return signal
    rate = decoded.rate or _UNKNOWN_RATE
    window = max(32, 2 * round(rate * _WINDOW_SECONDS / 2))
    bands = mel_magnitude(signal, rate, window, window // 4, _BANDS)
    return bands.clamp_min(_FLOOR).log()


def _change(made: Tensor, known: Tensor, decoded: Decoded) -> Tensor:
    """How far the latents of converted signals are from those of the signals, in units of their variance."""
    assert decoded.encode is not None, "a model whose decoder has classes says how it encodes"
    with torch.no_grad():
        wanted = decoded.encode(decoded.target)
    found = decoded.encode(made)
    counted = known if decoded.latents_mask is None else decoded.latents_mask & known.view(-1, *[1] * (found.ndim - 2))
    wanted, found = (at_least_float32(each.movedim(1, -1)[counted].flatten(0, -2)) for each in (wanted, found))
    if not len(found):
        return found.sum()
    return (found - wanted).square().mean() / wanted.var(dim=0, correction=0).mean().clamp_min(1e-6)


def _cross_entropy(logits: Tensor, classes: Tensor, known: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over patches that hold something of an item with a class; 0 where none does."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    wanted = classes.view(-1, *[1] * (logits.ndim - 2)).expand(len(logits), *logits.shape[2:])
    losses = functional.cross_entropy(logits, wanted, reduction="none")
    if not bool(known.any()):
        return losses.sum() * 0.0
    kept = None if mask is None else mask[known]
    return patch_mean(losses[known].unsqueeze(1), kept)


def _classifier(axes: int, channels: int, width: int, classes: int) -> nn.Module:
    """Signals to logits at every patch: ``[batch, classes]``, or ``[batch, classes, *patches]``."""
    if axes == 0:
        inner = 4 * width
        return nn.Sequential(
            nn.Linear(channels, inner), nn.LeakyReLU(0.2), nn.Linear(inner, inner), nn.LeakyReLU(0.2),
            nn.Linear(inner, classes),
        )  # fmt: skip
    made = _CONVOLUTIONS[3 if axes == 3 else 2]
    sizes = [channels, width, 2 * width, 4 * width]
    layers: list[nn.Module] = []
    for read, wide in pairwise(sizes):
        layers += [made(read, wide, 4, stride=2, padding=2), nn.LeakyReLU(0.2)]
    if axes == 1:
        layers += [_OverBands(4 * width), nn.Conv1d(4 * width, classes, 3, padding=1)]
    else:
        layers.append(made(4 * width, classes, 3, padding=1))
    return nn.Sequential(*layers)


@final
class _OverBands(nn.Module):
    """All bands of a spectrogram's features at each of its frames, as one vector."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        rows = _BANDS
        for _ in range(3):
            rows = (rows + 2 * 2 - 4) // 2 + 1
        self.layer = nn.Conv2d(channels, channels, (rows, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, channels, rows, frames]`` to ``[batch, channels, frames]``."""
        return functional.leaky_relu(self.layer(x).squeeze(2), 0.2)

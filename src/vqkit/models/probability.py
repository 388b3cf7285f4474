"""Model as a distribution p(x | z) over signals: its parameters, its mean, and the probability of signals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.likelihoods import Likelihood, Unit
from vqkit.ops import float64
from vqkit.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCK = 1 << 20  # numbers of a likelihood at a time: it needs several times as much memory
_drawing_temperature: ContextVar[float] = ContextVar("drawing_temperature", default=1.0)


class Probabilistic:
    """What models share about p(x | z).

    Attributes:
        likelihood: whose parameters the decoder emits.
        signal_mean: of the training signals.
        signal_std: of the training signals.
        levels: how many values a signal takes; None: real numbers.
    """

    likelihood: Likelihood
    signal_mean: Tensor
    signal_std: Tensor
    if TYPE_CHECKING:

        @property
        def levels(self) -> int | None: ...  # noqa: D102
        def read_signals(self, given: Any) -> Tensor: ...  # noqa: D102
        def without_gaps(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]: ...  # noqa: D102
        def to_float(self, x: Tensor) -> Tensor: ...  # noqa: D102
        def to_signal(self, numbers: Tensor) -> Tensor: ...  # noqa: D102
        def decode_parameters(self, codes: Any, size: Sequence[int]) -> Tensor: ...  # noqa: D102
        def _unit(self) -> Unit: ...

    @property
    def autoregressive(self) -> bool:
        """Whether the decoder also reads the signal, value by value (``vqkit.networks.AutoregressiveNetwork``)."""
        return False

    @property
    def counts_bits(self) -> bool:
        """Whether its likelihood gives probabilities, of the signal's levels or of its own, and no densities."""
        return self.levels is not None or self.likelihood.own_levels is not None or self._step is not None

    @property
    def _step(self) -> float | None:
        """How far apart the values of integers are; None: real numbers, or levels."""
        kind = getattr(self, "kind", None)
        return None if kind is None else kind.step

    def _unit_of(self, mean: Tensor, std: Tensor) -> Unit:
        bounds = None if self._step is None else self.kind.bounds  # type: ignore[attr-defined]
        return Unit(mean, std, self.levels, step=self._step, bounds=bounds)

    def parameters_of(self, x: Any, codes: Any) -> Tensor:
        """The parameters of p(x | z) for these very signals, whose earlier values an autoregressive decoder reads."""
        return self.decode_parameters(codes, self.read_signals(x).shape[2:])

    def expected_signal(self, raw: Tensor) -> Tensor:
        """The mean of p(x | z) as a signal, of what ``decode_parameters`` gives."""
        return self.to_signal(self.likelihood.expected(raw, self._unit()))

    def _drawing(self, generator: torch.Generator | None) -> dict[str, Any]:
        """What ``decode`` is told of random numbers: nothing, where it draws none."""
        return {} if generator is None or not self.autoregressive else {"generator": generator}

    @contextmanager
    def drawing_at(self, temperature: float | None = None) -> Iterator[None]:
        """Within the block, and its thread, autoregressive decoders draw at this temperature unless a call says one.

        So that of what decodes, a conversion, a ``Codec`` or ``generate``, the sounds are less varied.

        Args:
            temperature: see ``decode``; None: as it is outside.

        Raises:
            ConfigError: a temperature out of range, or a decoder that draws nothing.

        Example:
            >>> import torch, vqkit
            >>> wavenet = {"type": "wavenet", "config": {"layers": 2}}
            >>> model = vqkit.VQVAE(4, axes=1, channels=1, hidden_channels=8, downsampling=4, decoder=wavenet).eval()
            >>> indices = torch.zeros(1, 4, dtype=torch.int64)
            >>> with model.drawing_at(0):
            ...     sound = model.decode(indices)
            >>> torch.equal(sound, model.decode(indices, temperature=0))
            True
        """
        if temperature is None:
            yield
            return
        self._check_drawing(temperature)
        token = _drawing_temperature.set(float(temperature))
        try:
            yield
        finally:
            _drawing_temperature.reset(token)

    def _check_drawing(self, temperature: float) -> None:
        if not self.autoregressive:
            raise ConfigError(
                f"temperature {temperature} of the decoder: it draws nothing, but gives the mean; leave it out, or "
                f"train one that is autoregressive, such as {setting('decoder', 'wavenet')} for sound"
            )
        if not 0 <= temperature < float("inf"):
            raise ConfigError(f"temperature {temperature} of the decoder: give 0 or more, and finite")

    @torch.no_grad()
    def log_likelihood(self, x: Any, codes: Tensor) -> Tensor:
        """log p(x | z), ``[batch]`` float64 in nats; of levels, where there are some (``counts_bits``), else a density.

        Raises:
            DataError: signals that the model does not read.
            ValueError: codes of another model, or of signals of another size.
        """
        x = self.read_signals(x)
        return self.log_likelihood_of(x, self.parameters_of(x, codes))

    @torch.no_grad()
    def log_likelihood_of(self, x: Tensor, raw: Tensor) -> Tensor:
        """The same from what ``decode_parameters`` gave, some positions at a time."""
        x, known = self.without_gaps(x)
        values = self.to_float(x)
        mean, std = float64(self.signal_mean), float64(self.signal_std)
        if raw.ndim > 2:
            raw, values = raw.flatten(2), values.flatten(2)
            known = None if known is None else known.flatten(2)
            mean, std = (each.flatten(1) if each.ndim > 2 else each for each in (mean, std))
        unit = self._unit_of(mean, std)
        if raw.ndim == 2:  # vectors have no positions
            return self.likelihood.log_prob(float64(raw), float64(values), unit)
        total = torch.zeros(len(x), dtype=torch.float64)
        several = max(1, _BLOCK // (raw.shape[0] * raw.shape[1]))
        for start in range(0, raw.shape[2], several):
            here = slice(start, start + several)
            part = None if known is None else known[:, :, here]
            logs = self.likelihood.log_prob_known(float64(raw[:, :, here]), float64(values[:, :, here]), unit, part)
            total += logs.sum(1).cpu()
        return total


def drawing_temperature() -> float:
    """The temperature at which autoregressive decoders draw here, see ``drawing_at``."""
    return _drawing_temperature.get()

"""Learning-rate schedules: by what the peak is multiplied, from the first step of a run to its last."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Real
from typing import Any, final

from vqkit.calls import parse_call, write_call
from vqkit.checking import refuse_class, shown
from vqkit.data.naming import GIVEN_PREFIX
from vqkit.errors import ConfigError, TrainingStopped
from vqkit.recording import Recorded, build_part, changed_arguments
from vqkit.registry import Registry

Factor = Callable[[float, int], float]
"""A schedule: called with the part of the run that is done, in [0, 1], and the steps done."""
DEFAULT = "cosine"
FINAL_FRACTION = 0.01
"""The cosine ends at this fraction of the peak."""
_CALLED = "it is called as schedule(progress, step), with the part of the run that is done (0 to 1) and the steps done"


class Schedule(Recorded, ABC):
    """A learning-rate schedule; the learning rate is the peak, times the warm-up, times this.

    A schedule of your own is a subclass, registered (``SCHEDULES.register("mine")``) to be found by name, on the
    command line and by ``resume``; or any function of the same two arguments, which ``resume`` has to be given again.
    Of a run of minutes, ``progress`` follows the clock.

    Example:
        >>> from vqkit.training import SCHEDULES, Schedule
        >>> class Staircase(Schedule):
        ...     def __call__(self, progress, step):
        ...         return 0.1 ** int(3 * progress)
        >>> [Staircase()(progress, 0) for progress in (0.0, 0.5)], list(SCHEDULES)[0]
        ([1.0, 0.1], 'cosine')
    """

    @abstractmethod
    def __call__(self, progress: float, step: int) -> float:
        """Return the factor, finite and 0 or more.

        Args:
            progress: the part of the run that is done, in [0, 1]: by steps, or by the clock.
            step: steps done so far.
        """

    def __str__(self) -> str:
        return write_call(SCHEDULES.name_of(type(self)) or type(self).__name__, changed_arguments(self))


SCHEDULES: Registry[type[Schedule]] = Registry("schedule", "vqkit.schedules", Schedule)
"""Registry of the learning-rate schedules by name."""


@SCHEDULES.register("cosine", citations=("loshchilov2017sgdr",))
@final
class Cosine(Schedule):
    """Half a cosine from the peak to ``final`` of it (Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5).

    Args:
        final: fraction of the peak at the end, in [0, 1].
    """

    def __init__(self, final: float = FINAL_FRACTION) -> None:
        self.final = _fraction("final", final)

    def __call__(self, progress: float, step: int) -> float:
        """See ``Schedule.__call__``."""
        del step
        cosine = 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
        return self.final + (1 - self.final) * cosine


@SCHEDULES.register("constant", citations=())
@final
class Constant(Schedule):
    """The peak, from the warm-up to the end."""

    def __call__(self, progress: float, step: int) -> float:
        """See ``Schedule.__call__``."""
        del progress, step
        return 1.0


@SCHEDULES.register("linear", citations=())
@final
class Linear(Schedule):
    """A straight line from the peak to ``final`` of it.

    Args:
        final: fraction of the peak at the end, in [0, 1].
    """

    def __init__(self, final: float = 0.0) -> None:
        self.final = _fraction("final", final)

    def __call__(self, progress: float, step: int) -> float:
        """See ``Schedule.__call__``."""
        del step
        return 1 - (1 - self.final) * min(max(progress, 0.0), 1.0)


@SCHEDULES.register("inverse_sqrt", citations=("vaswani2017attention",))
@final
class InverseSquareRoot(Schedule):
    """The peak for ``after`` steps, then as 1 / sqrt(step), without end (Vaswani et al. 2017, arXiv 1706.03762, 5.3).

    Args:
        after: steps, 1 or more.
    """

    def __init__(self, after: int = 1000) -> None:
        if after < 1:
            raise ConfigError(f"after={after}: give 1 step or more")
        self.after = after

    def __call__(self, progress: float, step: int) -> float:
        """See ``Schedule.__call__``."""
        del progress
        return math.sqrt(self.after / max(step, self.after))


@SCHEDULES.register("warmup_stable_decay", citations=("hagele2024scaling",))
@final
class WarmupStableDecay(Schedule):
    """The peak, and over the last part of the run down to ``final`` of it by 1 - sqrt (Hägele et al. 2024, 2405.18392).

    Args:
        decay: the last part, in (0, 1].
        final: fraction of the peak at the end, in [0, 1].
    """

    def __init__(self, decay: float = 0.2, final: float = 0.0) -> None:
        if not 0 < decay <= 1:
            raise ConfigError(f"decay={decay}: a part of the run lies in (0, 1]")
        self.decay = decay
        self.final = _fraction("final", final)

    def __call__(self, progress: float, step: int) -> float:
        """See ``Schedule.__call__``."""
        del step
        over = min(max((progress - 1 + self.decay) / self.decay, 0.0), 1.0)
        return 1 - (1 - self.final) * math.sqrt(over)


def learning_rate_factor(step: int, progress: float, warmup_steps: int, schedule: Factor | None = None) -> float:
    """Linear warm-up (by steps, at most a tenth of the run) times a schedule: a fraction of the peak.

    Args:
        step: steps done so far.
        progress: fraction of the run that is done, in [0, 1]: by steps, or by the clock.
        warmup_steps: steps until the peak.
        schedule: None: the cosine.
    """
    warmup = min(1.0, max((step + 1) / (warmup_steps + 1), 10 * progress))
    return warmup * (schedule or Cosine())(progress, step)


class LearningRate:
    """The learning rate of a run.

    Args:
        peak: after the warm-up.
        warmup_steps: until the peak, in a run of ``steps`` at most a tenth of them.
        steps: of the run; None: it is one of minutes.
        schedule: as ``build_schedule`` takes it.

    Attributes:
        value: at the latest step.
    """

    def __init__(self, peak: float, warmup_steps: int, steps: int | None, schedule: str | Factor) -> None:
        self.value = peak
        self._peak = peak
        self._warmup = warmup_steps if steps is None else min(warmup_steps, steps // 10)
        self._schedule = build_schedule(schedule)
        self._at: tuple[int, float] | None = None
        self._factor = 1.0

    def move(self, step: int, progress: float) -> float:
        """Go to a step, and return the factor of the peak there; the schedule is asked once."""
        if self._at != (step, progress):
            self._factor = learning_rate_factor(step, progress, self._warmup, self._schedule)
            self._at, self.value = (step, progress), self._peak * self._factor
        return self._factor


def parse_schedule(given: Any) -> str | Factor:
    """Return a setting as it is kept: a name in its one spelling, or a function. Whether it is known is not asked.

    Args:
        given: a name, perhaps with options (``"linear(final=0.1)"``), a ``Schedule``, or any function of its arguments.

    Raises:
        ConfigError: none of these.
    """
    refuse_class(given, "schedule")
    if isinstance(given, Schedule) and SCHEDULES.name_of(type(given)) is not None:
        return str(given)
    if isinstance(given, str):
        return given if given.startswith(GIVEN_PREFIX) else write_call(*_parsed(given))
    if not callable(given):
        raise ConfigError(
            f"schedule={shown(given)}: give a name ({', '.join(SCHEDULES)}), or a function schedule(progress, step)"
        )
    return given


def recorded_schedule(schedule: str | Factor) -> str:
    """Return a schedule as run settings record it: its name, or that it was a function, and which."""
    if isinstance(schedule, str):
        return schedule
    return f"{GIVEN_PREFIX}{getattr(schedule, '__qualname__', type(schedule).__name__)}"


def build_schedule(given: str | Factor) -> Factor:
    """Build the schedule of a setting, and try it at both ends of a run.

    Raises:
        ConfigError: an unknown name (the known ones are listed), options that its class does not take, a function that
            a run has recorded and that was not given again, or one that gives no factor.

    Example:
        >>> from vqkit.training.optim.schedules import build_schedule
        >>> build_schedule("linear(final=0.2)")(0.5, 100)
        0.6
    """
    schedule = _built(given) if isinstance(given, str) else _checked(given)
    for progress in (0.0, 1.0):
        try:
            schedule(progress, 0)
        except TrainingStopped as error:
            raise ConfigError(str(error)) from error
    return schedule


def _built(text: str) -> Factor:
    if text.startswith(GIVEN_PREFIX):
        name = text.removeprefix(GIVEN_PREFIX)
        raise ConfigError(
            f"schedule: the run had a function of its own ({shown(name)[1:-1]}), which a folder cannot hold; give it "
            "again in Python: vqkit.resume(..., schedule=...)"
        )
    name, options = _parsed(text)
    SCHEDULES.get_part(name)  # an unknown name is told with the nearest one
    built: Schedule = build_part({"type": name, "config": options}, SCHEDULES)
    return built if type(built).__module__ == __name__ else _checked(built)


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    try:
        return parse_call(text)
    except ValueError as error:
        raise ConfigError(
            f"schedule={shown(text)} is not the name of a schedule ({error}); write it as 'linear' or "
            f"'linear(final=0.1)'; known: {', '.join(SCHEDULES)}"
        ) from error


def _checked(function: Factor) -> Factor:
    """A schedule that is not vqkit's; what it gives is looked at before it reaches the optimizer."""
    name = recorded_schedule(function).removeprefix(GIVEN_PREFIX)
    try:
        inspect.signature(function).bind(0.0, 0)
    except TypeError as error:
        raise ConfigError(f"schedule {name!r} takes other arguments ({error}): {_CALLED}") from error
    except ValueError:  # of a built-in function, nothing is known
        pass

    def checked(progress: float, step: int) -> float:
        try:
            value: Any = function(progress, step)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise TrainingStopped(
                f"schedule {name!r} failed at progress {progress:.4g}, step {step:,} ({reason})"
            ) from error
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < math.inf:
            raise TrainingStopped(
                f"schedule {name!r} gave {shown(value)} at step {step:,}; a factor of the learning rate is a finite "
                "number, 0 or more"
            )
        return float(value)

    return checked


def _fraction(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name}={value}: a fraction of the peak lies in [0, 1]")
    return value

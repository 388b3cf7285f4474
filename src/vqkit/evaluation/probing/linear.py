"""Linear probe: multinomial logistic regression of labels on latents, and its accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError, DataError
from vqkit.ops import float64
from vqkit.seeds import check_seed

_ITEMS = 10_000
_VALUES = 10_000_000
_ITERATIONS = 200
_GRADIENT = 1e-5
"""Of the mean loss per item: L-BFGS stops where no entry of the gradient is larger."""

Array = npt.NDArray[Any]


def linear_probe_accuracy(
    train_latents: Tensor,
    train_labels: Tensor | Array,
    test_latents: Tensor,
    test_labels: Tensor | Array,
    *,
    seed: int = 0,
) -> float:
    """Accuracy of a linear classifier of latents: multinomial logistic regression (Alain and Bengio 2016).

    Latents are standardised by the training set (constant ones become 0). Half the squared weights are added to the
    summed cross-entropy, as in scikit-learn's ``LogisticRegression(C=1)``, and minimized by at most 200 steps of
    L-BFGS: the same input gives the same number. It fits at most 10,000 training items and 10 million values; beyond
    that a random part of the items (11,000 items of 4,096 latents: 2,441 of them), drawn with ``seed``. All test items
    count.

    Args:
        train_latents: ``[N, D]`` real vectors, for instance the codewords of each item, flattened.
        train_labels: ``[N]`` whole numbers; items labelled -1 (none) are left out.
        test_latents: ``[M, D]`` of other items.
        test_labels: ``[M]``; a class that training never saw counts as a mistake.
        seed: of the choice of training items, where there are too many.

    Returns:
        The fraction of labelled test items whose label is found, 0..1. Compare with the share of the largest class.

    Raises:
        DataError: shapes that do not fit, latents that are not finite, no labels, or one class to learn from only.
        ConfigError: a seed out of range.

    Reference: arXiv 1610.01644.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import linear_probe_accuracy
        >>> latents = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]])
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> linear_probe_accuracy(latents, labels, latents * 3, labels)
        1.0
    """
    x, y = _labeled("training", train_latents, train_labels)
    test_x, test_y = _labeled("test", test_latents, test_labels)
    if x.shape[1] != test_x.shape[1]:
        raise DataError(f"training latents have {x.shape[1]} numbers, test latents {test_x.shape[1]}; give equal ones")
    found = LinearProbe.fit(x, y, seed=seed).predict(test_x)
    return float((found == test_y).double().mean())


@final
@dataclass(frozen=True)
class LinearProbe:
    """A fitted linear classifier of latents; see ``linear_probe_accuracy``.

    Attributes:
        mean: ``[D]`` float64 of the training latents, which is taken off.
        spread: ``[D]``, their standard deviations, which latents are divided by; infinite for constant ones.
        weights: ``[D + 1, C]``, the intercepts last.
        classes: ``[C]`` int64, the labels that they are of.
        penalty: weight of half the squared weights beside the summed cross-entropy.
        items: that it was fitted to.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import LinearProbe
        >>> latents = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]])
        >>> LinearProbe.fit(latents, torch.tensor([3, 3, 5, 5])).predict(torch.tensor([[0.5], [-9.0]]))
        tensor([5, 3])
    """

    mean: Tensor
    spread: Tensor
    weights: Tensor
    classes: Tensor
    penalty: float
    items: int

    @classmethod
    def fit(
        cls, latents: Tensor, labels: Tensor | Array, *, penalty: float | Sequence[float] = 1.0, seed: int = 0
    ) -> Self:
        """Fit to latents ``[N, D]`` and labels ``[N]`` (-1: none).

        Args:
            latents: real vectors.
            labels: whole numbers.
            penalty: 1 / C of scikit-learn; of several the one under which a fifth of the items, drawn with ``seed``,
                has the least cross-entropy after a fit to the others (of equals the first). Then all are fitted.
            seed: of that draw, and of the choice of items where there are too many.

        Raises:
            DataError: latents that are not finite, no labels, or one class only.
            ConfigError: a seed or a penalty out of range.
        """
        x, y = _labeled("training", latents, labels)
        check_seed(seed)
        penalties = [float(penalty)] if isinstance(penalty, int | float) else [float(each) for each in penalty]
        if not penalties or not all(0 < each < math.inf for each in penalties):
            raise ConfigError(f"penalty={penalty}: give numbers above 0")
        most = max(2, min(_ITEMS, _VALUES // x.shape[1]))
        if len(x) > most:
            chosen = _order(len(x), seed)[:most].sort().values
            x, y = x[chosen], y[chosen]
        classes, y = y.unique(return_inverse=True)
        if len(classes) < 2:
            raise DataError(
                f"all {len(y)} training items have the label {int(classes[0])}; a probe needs at least 2 classes"
            )
        mean, spread = x.mean(dim=0), x.std(dim=0, correction=0)
        spread[spread <= 1e-12 * mean.abs()] = torch.inf
        x = _standardized(x, mean, spread)
        best = penalties[0] if len(penalties) == 1 else _best_penalty(x, y, penalties, seed)
        return cls(mean, spread, _fit(x, y, len(classes), best), classes, best, len(x))

    def predict(self, latents: Tensor) -> Tensor:
        """Return the label of each of ``[N, D]``, int64 ``[N]`` on the CPU."""
        x = _standardized(float64(latents.detach()).cpu(), self.mean, self.spread)
        return self.classes[(x @ self.weights).argmax(dim=1)]


def _standardized(x: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """``[N, D + 1]``: latents of mean 0 and deviation 1, and a 1 beside them."""
    return nn.functional.pad((x - mean) / spread, (0, 1), value=1.0)


def _order(count: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def _best_penalty(x: Tensor, y: Tensor, penalties: Sequence[float], seed: int) -> float:
    """The penalty under which a fifth of the items is told best from a fit to the others."""
    order = _order(len(x), seed)
    judged, fitted = order[: max(1, len(x) // 5)], order[max(1, len(x) // 5) :]
    classes = int(y.max()) + 1
    losses = []
    for each in penalties:
        scores = x[judged] @ _fit(x[fitted], y[fitted], classes, each)
        losses.append(float(nn.functional.cross_entropy(scores, y[judged])))
    return penalties[losses.index(min(losses))]


def _fit(x: Tensor, y: Tensor, classes: int, weight: float) -> Tensor:
    """Fit a multinomial logistic regression of classes ``[N]`` on ``[N, D + 1]``; return its weights ``[D + 1, C]``.

    The last column is 1: its weights, the intercepts, carry no penalty.
    """
    penalty = torch.full((x.shape[1], 1), weight, dtype=x.dtype)
    penalty[-1] = 0
    if classes == 2:  # as with one weight vector w: w^2 / 2 is twice the penalty of +w/2 and -w/2
        penalty *= 2
    weights = torch.zeros(x.shape[1], classes, dtype=x.dtype)
    solver = torch.optim.LBFGS(
        [weights], max_iter=_ITERATIONS, tolerance_grad=_GRADIENT, history_size=10, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        scores = x @ weights
        loss = nn.functional.cross_entropy(scores, y) + (penalty * weights.square()).sum() / (2 * len(x))
        scores = scores.softmax(dim=1)
        scores[torch.arange(len(x)), y] -= 1
        weights.grad = (x.T @ scores + penalty * weights) / len(x)
        return loss

    solver.step(objective)
    return weights


def _labeled(which: str, latents: Tensor, labels: Tensor | Array) -> tuple[Tensor, Tensor]:
    """The items that have a label, float64 ``[N, D]`` and int64 ``[N]`` on the CPU. Raises DataError."""
    if latents.ndim != 2 or latents.shape[1] == 0 or latents.is_complex():
        raise DataError(f"{which} latents have shape {list(latents.shape)}; give real vectors [items, D] (flatten(1))")
    numbers = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if numbers.shape != (len(latents),) or numbers.dtype.kind not in "iu":
        raise DataError(
            f"{which} labels are {numbers.dtype} of shape {list(numbers.shape)} for {len(latents)} latents; give one "
            "whole number for each, -1 for none"
        )
    chosen = torch.from_numpy(np.flatnonzero(numbers >= 0))
    if len(chosen) == 0:
        raise DataError(f"none of the {len(latents)} {which} items has a label; a probe needs labels")
    x = float64(latents.detach()).cpu()[chosen]
    broken = int((~x.isfinite()).any(dim=1).sum())
    if broken:
        raise DataError(f"{broken} of {len(x)} {which} latents are NaN or infinite; look at the encoder")
    return x, torch.from_numpy(numbers.astype(np.int64))[chosen]

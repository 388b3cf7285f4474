"""Muon: momentum whose steps of weight matrices are made orthogonal; Adam for whatever is no matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial that brings singular values near 1 in few iterations (Jordan et al. 2024)."""
_LEAST_NORM = 1e-7


def orthogonalize(matrix: Tensor, iterations: int) -> Tensor:
    """A matrix with the same singular vectors and singular values near 1, by the iteration of Newton and Schulz.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks": ``X <- a X + (b A + c A^2) X`` with
    ``A = X X^T``, from ``X`` of Frobenius norm 1. Five iterations bring the values that are not tiny to 0.7 to 1.2.

    Args:
        matrix: ``[rows, columns]``.
        iterations: how many.

    Example:
        >>> import torch
        >>> from vqkit.training.optim.muon import orthogonalize
        >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
        <torch...>
        >>> values = torch.linalg.svdvals(orthogonalize(torch.randn(8, 16), 5))
        >>> bool((values > 0.6).all() and (values < 1.3).all())
        True
    """
    a, b, c = _COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp_min(_LEAST_NORM)
    for _ in range(iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


@final
class Muon(torch.optim.Optimizer):
    """Muon for the groups that say ``orthogonal``, AdamW for the others.

    With ``M`` the mean of the gradients ``G`` of a matrix and ``s`` the scale, a step is ``-lr s sqrt(max(1, rows /
    columns)) orthogonalize((1 - momentum) G + momentum M)``: all directions of a layer learn alike, where the gradients
    of a few large ones would hide the rest. A convolution is a matrix of its outputs by all that each reads.

    Args:
        groups: as ``collect_groups(..., matrices=True)`` gives them.
        lr: the learning rate.
        scale: of the steps of matrices.
        momentum: decay of the mean of gradients.
        iterations: see ``orthogonalize``.
        betas: of AdamW.
        fused: of AdamW.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        lr: float,
        scale: float,
        momentum: float,
        iterations: int,
        betas: tuple[float, float],
        fused: bool | None,
    ) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0, "orthogonal": False})
        self._scale, self._momentum, self._iterations = scale, momentum, iterations
        others = [group for group in self.param_groups if not group["orthogonal"]]
        self._others = torch.optim.AdamW(others, lr=lr, betas=betas, fused=fused) if others else None
        if self._others is not None:
            self._others.state = self.state  # one state, so that a checkpoint holds all

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make one step; see ``torch.optim.Optimizer.step``."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._others is not None:
            self._others.step()
        for group in self.param_groups:
            if group["orthogonal"]:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._step(parameter, parameter.grad, group["lr"], group["weight_decay"])
        return loss

    def _step(self, parameter: Tensor, gradient: Tensor, lr: float, weight_decay: float) -> None:
        mean = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
        mean.lerp_(gradient, 1 - self._momentum)
        step = orthogonalize(gradient.lerp(mean, self._momentum).flatten(1).float(), self._iterations)
        size = lr * self._scale * math.sqrt(max(1.0, step.shape[0] / step.shape[1]))
        if weight_decay:
            parameter.mul_(1 - lr * weight_decay)
        parameter.add_(step.reshape(parameter.shape).to(parameter.dtype), alpha=-size)

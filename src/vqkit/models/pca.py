"""Principal component analysis: the linear encoder-decoder pair (Pearson 1901; Tipping and Bishop 1999)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self, Unpack, final

import torch
from torch import Tensor

from vqkit.chance import normal, uniform
from vqkit.data.conversion import latent_tensor
from vqkit.errors import ConfigError, DataError
from vqkit.likelihoods import Gaussian
from vqkit.models.base import Model
from vqkit.models.latents import vector_size
from vqkit.models.matching import PCAOptions, by_batches, said_kind, signals_of, source_options
from vqkit.models.output import ModelOutput
from vqkit.objectives import mean_of
from vqkit.ops import float64
from vqkit.ops.linear import principal
from vqkit.recording import recorded
from vqkit.seeds import check_seed

_METHODS = ("auto", "exact", "randomised")


@final
class PCA(Model):
    """Principal component analysis: signals to scores on the directions of largest variance, and back.

    ``encode(x) = W (x - mean)``, ``decode(z) = W^T z + mean`` with W's rows orthonormal: of all linear pairs the one
    with the least squared error. ``fit`` finds it in one pass over data of any size (see
    ``ops.principal_components``). Its prior is the Gaussian of the scores.

    Args:
        components: numbers in the latent vector.
        size: of the signals: height and width of images (not for vectors).
        whiten: scale the scores to unit variance.
        method: ``"exact"``, ``"randomised"`` (for wide signals), or ``"auto"``.
        passes: over the data, for the randomised method.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> import torch
        >>> from vqkit import PCA
        >>> model = PCA(2, axes=0, channels=3)
        >>> model.fit(lambda: [torch.tensor([[0.0, 0, 0], [1, 2, 0], [2, 4, 0], [0, 1, 0]])])
        >>> codes = model.encode(torch.tensor([[1.0, 2, 0]]))
        >>> torch.allclose(model.decode(codes), torch.tensor([[1.0, 2, 0]]), atol=1e-5)
        True
    """

    model_type: ClassVar[str] = "pca"
    closed_form: ClassVar[bool] = True
    mean: Tensor
    components: Tensor
    variances: Tensor
    total_variance: Tensor
    count: Tensor

    def __init__(
        self,
        components: int = 64,
        *,
        size: Sequence[int] | None = None,
        whiten: bool = False,
        method: str = "auto",
        passes: int = 2,
        channels: int = 3,
        axes: int = 2,
        channel_means: bool = False,
        kind: str | None = None,
    ) -> None:
        config = said_kind(recorded(PCA.__init__, locals()))
        super().__init__(axes, channels, channel_means=channel_means, kind=kind)
        if axes and (size is None or len(size) != axes or min(size) < 1):
            raise ConfigError(
                f"size={size}: PCA reads signals of one size, so give {axes} lengths of 1 or more (for images [height, "
                "width]; for_source(source) fills it in)"
            )
        if not axes and size:
            raise ConfigError(f"size={size}: a vector (axes=0) has channels only; leave size out")
        self.size: tuple[int, ...] = tuple(size or ())
        dimension = channels * math.prod(self.size)
        if not 1 <= components <= dimension:
            raise ConfigError(
                f"components={components}: give 1 to {dimension}, the values of a signal of {channels} channels and "
                f"size {list(self.size)}"
            )
        if method not in _METHODS or passes < 1:
            raise ConfigError(f"method={method!r}, passes={passes}: choose one of {', '.join(_METHODS)}, 1 or more")
        self.config = config
        self.latent_dim = components
        self.whiten = whiten
        self._method: Any = method
        self._passes = passes
        self.likelihood = Gaussian(channels)
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("components", torch.eye(components, dimension))
        self.register_buffer("variances", torch.zeros(components))
        self.register_buffer("total_variance", torch.zeros(()))
        self.register_buffer("count", torch.tensor(0, dtype=torch.int64))

    @classmethod
    def for_source(
        cls, source: Any, components: int = 64, *, seed: int | None = None, **options: Unpack[PCAOptions]
    ) -> Self:
        """A model with the channels, axes and size of a data source; the other arguments as given.

        A ``seed`` is taken as by the other rungs; there are no initial weights here that it could change.
        """
        if seed is not None:
            check_seed(seed)
        source = signals_of(source, options)
        return cls(components, **vector_size(source, {**source_options(source), **options}))

    @torch.no_grad()
    def fit(self, stream: Callable[[], Iterable[Tensor]]) -> None:
        """Find the components of all signals of a stream.

        Args:
            stream: gives an iterable over the same batches ``[batch, channels, *size]`` each time it is called.

        Raises:
            ConfigError: more components than signals.
            DataError: no signals, one signal, another size, NaN or Inf.
        """

        if self.kind.per_channel and not bool(self.signal_size.any()):
            self._measure_channels([self.read_signals(batch).cpu() for batch in stream()])

        def rows() -> Iterable[Tensor]:
            for batch in stream():
                yield float64(self._rows(batch))

        found = principal.principal_components(rows, self.latent_dim, method=self._method, passes=self._passes)
        self.mean.copy_(found.mean)
        self.components.copy_(found.components)
        self.variances.copy_(found.variances)
        self.total_variance.fill_(found.total_variance)
        self.count.fill_(found.count)

    def truncated(self, components: int) -> PCA:
        """The PCA with only the first so many components: the same as fitting that many.

        Raises:
            ConfigError: more than there are.
        """
        if components > self.latent_dim:
            raise ConfigError(f"components={components}: this PCA has {self.latent_dim}")
        smaller = PCA(**{**self.config, "components": components})
        state = self.state_dict()
        for name in ("components", "variances"):
            state[name] = state[name][:components].clone()
        smaller.load_state_dict(state)
        return smaller.to(self.device).eval()

    @property
    def only_size(self) -> tuple[int, ...] | None:
        """See ``Model.only_size``."""
        return self.size if self.axes else None

    @property
    def explained_variance_ratio(self) -> Tensor:
        """Each component's share of the variance of the training data, ``[components]``."""
        return self._principal().explained_ratio

    @torch.no_grad()
    @by_batches
    def encode(self, x: Any, mask: Any = None) -> Tensor:
        """Scores ``[batch, components]``, by falling variance (all 1 over the training data with ``whiten``).

        Raises:
            DataError: signals of another shape.
        """
        _no_mask(mask)
        return self._scores(self._rows(x))

    def _scores(self, rows: Tensor) -> Tensor:
        scores = (rows - self.mean) @ self.components.T
        return scores / self._deviations() if self.whiten else scores

    def decode_parameters(self, codes: Any, size: Sequence[int] | None = None, mask: Any = None) -> Tensor:
        """See ``Model.decode_parameters``.

        Raises:
            ValueError: scores of another length, or another size.
        """
        _no_mask(mask)
        codes = latent_tensor(codes, "scores")
        if codes.ndim != 2 or codes.shape[1] != self.latent_dim:
            raise ValueError(f"scores have shape {tuple(codes.shape)}; expected [batch, {self.latent_dim}]")
        if size is not None and tuple(size) != self.size:
            raise ValueError(f"size {tuple(size)}: this PCA is of signals of size {self.size}")
        codes = codes.to(self.device, self._dtype)
        codes = codes * self._deviations() if self.whiten else codes
        values = (codes @ self.components + self.mean).view(-1, self.channels, *self.size)
        if self.kind.per_channel:  # whose channels are compared in deviations
            return values
        return (values - self.signal_mean) / self.signal_std

    def forward(self, x: Any, mask: Any = None, condition: Any = None) -> ModelOutput:
        """See ``Model.forward``; there is nothing to train by gradients."""
        _no_mask(mask)
        x = self.read_signals(x)
        with self.conditioned_on(condition):  # refuses one
            raw = self.decode_parameters(self._scores(self._rows(x)))
        reconstruction = self.to_signal(raw)
        x, known = self.without_gaps(x)
        loss = mean_of((raw - self._numbers(x)).square(), known)
        mse = self._watched_error(reconstruction, self.to_float(x), known)
        return ModelOutput(reconstruction, loss, {"reconstruction_loss": loss.detach(), "mse": mse.detach()})

    def sample_codes(self, count: int, size: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        """Scores from their Gaussian, N(0, variances)."""
        del size
        noise = normal((count, self.latent_dim), generator, self.device)
        return noise if self.whiten else noise * self.variances.sqrt()

    def latent_cost(self, x: Any, generator: torch.Generator | None = None) -> None:
        """None: a score is a real number, free of charge here (``marginal_log_likelihood`` integrates it out)."""

    @torch.no_grad()
    def marginal_log_likelihood(self, x: Any, generator: torch.Generator | None = None) -> Tensor:
        """log p(x) of probabilistic PCA, ``[batch]`` float64 nats, scores integrated out (Tipping and Bishop 1999).

        For images and video it is a lower bound on the log probability of the 256 levels: the density at the value
        plus uniform noise of one level's width (Theis, van den Oord and Bethge 2016, arXiv 1511.01844, section 3.1).
        For other signals it is the density.

        Raises:
            DataError: no variance is left beside the components (ask for fewer of them).
        """
        rows = float64(self._rows(x)).cpu()
        offset = 0.0
        if self.levels is not None:
            width = 1 / (self.levels - 1)
            noise = uniform(rows.shape, generator, rows.device, torch.float64)
            rows = rows + (noise - 0.5) * width
            offset = rows.shape[1] * math.log(width)
        if self.kind.per_channel:
            offset -= float(float64(self.signal_std).log().sum()) * math.prod(self.size)
        return principal.log_likelihood(self._principal(), rows) + offset

    def _rows(self, x: Any) -> Tensor:
        x = self.read_signals(x)
        if tuple(x.shape[2:]) != self.size:
            raise DataError(f"got signals of size {tuple(x.shape[2:])}; this PCA is of signals of size {self.size}")
        if self.kind.per_channel:
            return self._numbers(self.without_gaps(x)[0]).flatten(1)
        return self.to_float(x).flatten(1)

    def _deviations(self) -> Tensor:
        """Of each score, none below a millionth of the largest, whatever the unit; 1 where nothing varies."""
        largest = self.variances.max()
        return torch.where(largest > 0, self.variances.clamp_min(1e-12 * largest), 1.0).sqrt()

    def _principal(self) -> principal.PrincipalComponents:
        return principal.PrincipalComponents(
            float64(self.mean).cpu(),
            float64(self.components).cpu(),
            float64(self.variances).cpu(),
            float(self.total_variance),
            int(self.count),
        )


def _no_mask(mask: Any) -> None:
    if mask is not None:
        raise DataError("PCA reads whole signals of one size, so a mask has no meaning for it: crop them, or fill them")

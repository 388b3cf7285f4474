"""What a tokenizer is for: settings of model, training and prior that were measured for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from vqkit.data import Source
from vqkit.errors import ConfigError
from vqkit.spelling import spelled


@final
@dataclass(frozen=True)
class Purpose:
    """Settings that suit one use of a tokenizer; whatever is given beside them goes before.

    Attributes:
        axes: of the signals.
        model: keyword arguments of ``VQVAE.for_source``.
        training: fields of ``TrainConfig``; a ``crop`` only of data that have room for it.
        prior: arguments of ``train_prior``: ``prior_type``, ``crop``, ``crops``, ``rate_weights``, all of them.
        prior_training: fields of its ``TrainConfig``.
        prior_options: keyword arguments of that prior, where no training of it has begun.
    """

    axes: int
    model: Mapping[str, Any]
    training: Mapping[str, Any]
    prior: Mapping[str, Any]
    prior_training: Mapping[str, Any]
    prior_options: Mapping[str, Any]

    def settle(
        self, source: Source, model: Mapping[str, Any], training: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the settings of a model and its training on a source, given ones first.

        Options of the quantizer are left out where another quantizer is given.

        Raises:
            ConfigError: signals of another number of axes.

        Example:
            >>> import vqkit
            >>> from vqkit.training.recipes.purposes import PURPOSES
            >>> digits = vqkit.load_source("digits")
            >>> model, training = PURPOSES["files"].settle(digits, {"codebook_size": 64}, {"minutes": 1})
            >>> model["codebook_size"], model["downsampling"], training
            (64, 8, {'learning_rate': 0.0008, 'flip': True, 'minutes': 1})
        """
        if source.axes != self.axes:
            raise ConfigError(
                f"{spelled(python='purpose', command='--for')}: {source.describe()} are no images, which these "
                "settings were measured on; leave it out"
            )
        own = dict(self.model)
        options = {**own.pop("quantizer_options", {}), **model.get("quantizer_options", {})}
        if model.get("quantizer", "ema") != "ema":
            options = dict(model.get("quantizer_options", {}))
        found = {**own, **model, **({"quantizer_options": options} if options else {})}
        suited = dict(self.training)
        if not _has_room(source, suited.get("crop")):
            del suited["crop"], suited["batch_size"]
        return found, {**suited, **training}

    def settle_prior(
        self,
        source: Source,
        kind: str | None,
        crop: int | None,
        crops: int | None,
        rate_weights: list[float] | None,
        training: Mapping[str, Any],
    ) -> tuple[str, int | None, int | None, list[float], dict[str, Any]]:
        """Return kind, crop, crops, rate weights and training of a prior, given ones first (None: not given).

        Small signals are learned whole.
        """
        own = self.prior
        whole = crop is None and not _has_room(source, own["crop"])
        given = {name: value for name, value in training.items() if value is not None}
        return (
            kind or str(own["prior_type"]),
            None if whole else crop or own["crop"],
            None if whole else crops or own["crops"],
            own["rate_weights"] if rate_weights is None else rate_weights,
            {**self.prior_training, **given},
        )


def _has_room(source: Source, crop: int | None) -> bool:
    return crop is None or source.size is None or min(source.size) >= crop


PURPOSES: dict[str, Purpose] = {
    "files": Purpose(
        axes=2,
        model={
            "codebook_size": 512,
            "downsampling": 8,
            "hidden_channels": 192,
            "widths": [48, 96, 192],
            "residual_blocks": 3,
            "residual_channels": 96,
            "linear_path": True,
            "num_codebooks": 8,
            "stacking": "residual",
            "quantizer_options": {"quantizer_dropout": 0.5, "rate_weight": 0.4, "restart_below": 0.02},
        },
        training={"crop": 96, "batch_size": 8, "learning_rate": 8e-4, "flip": True},
        prior={
            "prior_type": "context",
            "crop": 192,
            "crops": 6000,
            "rate_weights": [0.1, 0.2, 0.4, 0.8, 1.6, 3.2],
        },
        prior_training={"batch_size": 16, "learning_rate": 5e-3},
        prior_options={"later_cell": [2, 2, 1]},
    ),
}
"""By name: ``files``, small files of photographs at any rate (``vqkit compress``), as docs/compressing.md measures."""


def purpose_named(name: str) -> Purpose:
    """Return the purpose of this name.

    Raises:
        ConfigError: there is none.
    """
    found = PURPOSES.get(name)
    if found is None:
        raise ConfigError(f"{spelled(python='purpose', command='--for')} {name}: give one of: {', '.join(PURPOSES)}")
    return found

"""vqkit: turn any pile of signals into discrete tokens and back with VQ-VAEs.

Names are imported when first used, so that ``import vqkit`` and ``vqkit --help`` do not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vqkit._former import install as _install
from vqkit._version import __version__ as __version__

_install()

_NAMES = {
    "Batches": "vqkit.data",
    "Callback": "vqkit.training",
    "Codec": "vqkit.codec",
    "open_archive": "vqkit.codec",
    "Autoencoder": "vqkit.models",
    "ContextPrior": "vqkit.priors",
    "EMAVectorQuantizer": "vqkit.quantizers",
    "Evaluation": "vqkit.evaluation",
    "GatedPixelCNN": "vqkit.priors",
    "HistogramPrior": "vqkit.priors",
    "MaskedPrior": "vqkit.priors",
    "PCA": "vqkit.models",
    "ParameterGroup": "vqkit.pretrained.groups",
    "PixelPrior": "vqkit.pixels",
    "Run": "vqkit.training",
    "StepOutput": "vqkit.pretrained.trainable",
    "TRAINABLES": "vqkit.pretrained.trainable",
    "TrainConfig": "vqkit.training",
    "Trainable": "vqkit.pretrained.trainable",
    "TransformerPrior": "vqkit.priors",
    "VAE": "vqkit.models",
    "VQVAE": "vqkit.models",
    "VectorQuantizer": "vqkit.quantizers",
    "VqkitError": "vqkit.errors",
    "evaluate": "vqkit.evaluation",
    "evaluation_batches": "vqkit.data",
    "export_model": "vqkit.export",
    "convert": "vqkit.generation",
    "codebooks": "vqkit.studies.codebooks.study",
    "cite": "vqkit.results",
    "compare": "vqkit.studies.ladder.study",
    "load_model": "vqkit.models",
    "load_prior": "vqkit.priors",
    "load_run": "vqkit.training",
    "load_source": "vqkit.data",
    "nearest_code": "vqkit.ops",
    "plot_results": "vqkit.results",
    "quantize": "vqkit.models",
    "probe": "vqkit.studies.probe.study",
    "rate_distortion": "vqkit.studies.rate_distortion.study",
    "repeat": "vqkit.training",
    "result_table": "vqkit.results",
    "resume": "vqkit.training",
    "show": "vqkit.data",
    "split": "vqkit.data",
    "study_beta": "vqkit.studies.beta.study",
    "study_latents": "vqkit.studies.latents.study",
    "tokenize": "vqkit.tokens",
    "train": "vqkit.training",
    "train_seeds": "vqkit.results",
}

if TYPE_CHECKING:
    from vqkit import codec as codec
    from vqkit import coding as coding
    from vqkit import data as data
    from vqkit import errors as errors
    from vqkit import evaluation as evaluation
    from vqkit import exact as exact
    from vqkit import export as export
    from vqkit import generation as generation
    from vqkit import ids as ids
    from vqkit import likelihoods as likelihoods
    from vqkit import models as models
    from vqkit import networks as networks
    from vqkit import objectives as objectives
    from vqkit import ops as ops
    from vqkit import pixels as pixels
    from vqkit import pretrained as pretrained
    from vqkit import priors as priors
    from vqkit import quantizers as quantizers
    from vqkit import results as results
    from vqkit import signals as signals
    from vqkit import studies as studies
    from vqkit import tokens as tokens
    from vqkit import training as training
    from vqkit.codec import Codec, open_archive
    from vqkit.data import Batches, evaluation_batches, load_source, show, split
    from vqkit.errors import VqkitError
    from vqkit.evaluation import Evaluation, evaluate
    from vqkit.export import export_model
    from vqkit.generation import convert
    from vqkit.models import PCA, VAE, VQVAE, Autoencoder, load_model, quantize
    from vqkit.ops import nearest_code
    from vqkit.pixels import PixelPrior
    from vqkit.pretrained.groups import ParameterGroup
    from vqkit.pretrained.trainable import TRAINABLES, StepOutput, Trainable
    from vqkit.priors import ContextPrior, GatedPixelCNN, HistogramPrior, MaskedPrior, TransformerPrior, load_prior
    from vqkit.quantizers import EMAVectorQuantizer, VectorQuantizer
    from vqkit.results import cite, plot_results, result_table, train_seeds
    from vqkit.studies.beta.study import study_beta
    from vqkit.studies.codebooks.study import codebooks
    from vqkit.studies.ladder.study import compare
    from vqkit.studies.latents.study import study_latents
    from vqkit.studies.probe.study import probe
    from vqkit.studies.rate_distortion.study import rate_distortion
    from vqkit.tokens import tokenize
    from vqkit.training import Callback, Run, TrainConfig, load_run, repeat, resume, train

__all__ = [
    "Autoencoder",
    "Batches",
    "Callback",
    "Codec",
    "ContextPrior",
    "EMAVectorQuantizer",
    "Evaluation",
    "GatedPixelCNN",
    "HistogramPrior",
    "MaskedPrior",
    "PCA",
    "ParameterGroup",
    "PixelPrior",
    "Run",
    "StepOutput",
    "TRAINABLES",
    "TrainConfig",
    "Trainable",
    "TransformerPrior",
    "VAE",
    "VQVAE",
    "VectorQuantizer",
    "VqkitError",
    "cite",
    "codebooks",
    "compare",
    "convert",
    "evaluate",
    "evaluation_batches",
    "export_model",
    "load_model",
    "load_prior",
    "load_run",
    "load_source",
    "nearest_code",
    "open_archive",
    "plot_results",
    "probe",
    "quantize",
    "rate_distortion",
    "repeat",
    "result_table",
    "resume",
    "show",
    "split",
    "study_beta",
    "study_latents",
    "tokenize",
    "train",
    "train_seeds",
]


_PACKAGES = (
    *("codec", "coding", "data", "errors", "evaluation", "exact", "generation", "likelihoods", "models", "networks"),
    *("export", "ids", "objectives", "ops", "pixels", "pretrained", "priors", "quantizers", "signals", "studies"),
    *("results", "tokens", "training"),
)
"""Packages that ``import vqkit`` gives as attributes; each is imported when it is first used."""


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"vqkit.{name}")
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'vqkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES, *(name for name in globals() if name.startswith("__"))])

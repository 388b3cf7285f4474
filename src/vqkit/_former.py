"""Modules of earlier versions: their old paths keep working for one version, with a DeprecationWarning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULES = {
    "atomic": "storage.atomic",
    "codec.compressing": "codec.compressor",
    "codec.decoding": "tokens.detokenization",
    "codec.decompressing": "codec.decompressor",
    "codec.encoding": "tokens.tokenization",
    "codec.entropy_models": "codec.entropy.models",
    "codec.going_on": "codec.resuming.file",
    "codec.index_source": "tokens.source",
    "codec.inspecting": "codec.inspect",
    "codec.journal": "tokens.journal",
    "codec.known_priors": "codec.entropy.known_priors",
    "codec.manifest": "tokens.manifest",
    "codec.memory": "codec.resuming.work",
    "codec.shards": "tokens.shards tokens.by_name",
    "codec.smallest": "codec.entropy.smallest",
    "codec.targeting": "codec codec.rate_control",
    "codec.tiling": "models.tiling",
    "codec.token_key": "tokens.key",
    "codec.tokens": "tokens.tokens",
    "data.array_labels": "data.arrays.labels",
    "data.centred": "data",
    "data.crops": "data.views.crops data.images.decoding",
    "data.draws": "data.rng",
    "data.encoded": "data.images.lazy",
    "data.folder": "data.images.folder",
    "data.gathering": "data.images.decoding",
    "data.given": "data.conversion",
    "data.hub": "data.tables.hub data.naming",
    "data.image_ends": "data.images.ends",
    "data.image_files": "data.images.files",
    "data.image_losses": "data.images.losses",
    "data.image_tiff": "data.images.tiff",
    "data.items": "data.arrays.items",
    "data.joined": "data",
    "data.limits": "resources",
    "data.mapped": "data.arrays.mapped",
    "data.memory": "data.arrays.memory",
    "data.named": "data.inputs",
    "data.npy": "data.arrays.npy",
    "data.parquet": "data.tables.parquet",
    "data.random_crops": "data.views.random_crops",
    "data.ranges": "signals.base priors.conditions",
    "data.table_arrays": "data.tables.arrays",
    "data.table_cache": "data.tables.cache",
    "data.table_labels": "data.arrays.labels data.tables.labels",
    "data.verdict_cache": "data.images.verdict_cache",
    "evaluation.judgement": "evaluation.evaluation",
    "evaluation.memorisation": "evaluation.memorization",
    "evaluation.probe": "evaluation.probing.linear",
    "evaluation.quantisation": "evaluation evaluation.latent_bits",
    "exact.neighbours": "exact.neighbors",
    "lock": "storage.lock",
    "marks": "storage.marks",
    "models.density": "models.latents",
    "models.folder": "pretrained.folder models.registry",
    "models.hub": "pretrained.hub",
    "models.identity": "pretrained.identity",
    "ops.code_sums_triton": "ops.assignment.code_sums_triton",
    "ops.covariance": "ops.linear.covariance",
    "ops.kmeans": "ops.assignment.kmeans",
    "ops.moments": "ops.linear.moments",
    "ops.nearest": "ops.assignment.nearest",
    "ops.nearest_blocks": "ops.assignment.nearest_blocks",
    "ops.nearest_triton": "ops.assignment.nearest_triton",
    "ops.principal": "ops.linear.principal",
    "ops.soft_assignment": "ops.assignment.soft",
    "ops.statistics": "ops.assignment.statistics",
    "outputs": "storage.outputs",
    "priors.blocks": "priors.transformer.blocks",
    "priors.context_network": "priors.context.network",
    "priors.gated": "priors.pixelcnn.layers",
    "priors.groups": "priors.coding_order",
    "priors.key_value": "priors.transformer.kv_cache",
    "priors.masking": "priors.masked.schedule",
    "priors.packing": "priors.transformer.packed_linear",
    "priors.pixel_learning": "pixels.learning",
    "priors.pixel_neighbours": "pixels.neighbors",
    "priors.pixel_network": "pixels.network",
    "priors.pixel_walk": "pixels.steps",
    "priors.pixelcnn_walk": "priors.pixelcnn.incremental",
    "priors.pixels": "pixels.prior",
    "priors.request": "priors.sampling",
    "priors.revealing": "priors.masked.sampling",
    "priors.rotary": "priors.transformer.rotary",
    "priors.saved": "priors.base",
    "quantizers.ema": "quantizers.codebook.ema",
    "quantizers.gradient_codebook": "quantizers.codebook.gradient",
    "quantizers.gumbel": "quantizers.codebook.gumbel",
    "quantizers.index_backprop": "quantizers.codebook.index_backprop",
    "quantizers.learning": "quantizers.codebook.learning",
    "quantizers.product": "quantizers.composite.product",
    "quantizers.projected": "quantizers.composite.projected",
    "quantizers.residual": "quantizers.composite.residual",
    "quantizers.restart": "quantizers.codebook.restart",
    "quantizers.simvq": "quantizers.codebook.simvq",
    "quantizers.vector": "quantizers.codebook.vector",
    "reading": "storage.reading",
    "studies.charts": "studies.report.charts studies.report.maps",
    "studies.codebooks_report": "studies.codebooks.report",
    "studies.codebooks_settings": "studies.codebooks.settings",
    "studies.compare": "studies.ladder.study",
    "studies.compare_report": "studies.ladder.report",
    "studies.contenders": "studies.codebooks.quantizers",
    "studies.demo": "studies.ladder.demo",
    "studies.image_codecs": "studies.rate_distortion.image_codecs",
    "studies.measures": "studies.ladder.measures",
    "studies.page": "studies.report.page",
    "studies.rate_bench": "studies.rate_distortion.bench",
    "studies.rate_distortion_report": "studies.rate_distortion.report",
    "studies.rate_distortion_settings": "studies.rate_distortion.settings",
    "studies.rate_distortion_sheet": "studies.rate_distortion.sheet",
    "studies.rate_measures": "studies.rate_distortion.measures",
    "studies.rung_pictures": "studies.report.pictures",
    "studies.rungs": "studies.ladder.rungs",
    "studies.settings": "studies.ladder.settings",
    "studies.story": "studies.ladder.story",
    "training.accumulation": "training.optim.accumulation",
    "training.average": "training.optim.average",
    "training.batch_size": "training.inputs.batch_size",
    "training.checkpoint": "training.checkpoints.checkpoint",
    "training.claims": "training.record.claims",
    "training.closed": "training.closed_form",
    "training.describing": "training.record.headline",
    "training.doctor": "training.diagnostics.codebook",
    "training.ending": "training.recalibration",
    "training.entry": "training.api",
    "training.frozen": "training.optim.frozen",
    "training.going_on": "training.record.resuming",
    "training.holdout": "training.inputs.holdout",
    "training.judge": "training.evaluators.models training.evaluators.base",
    "training.judge_pixels": "training.evaluators.pixels",
    "training.judge_prior": "training.evaluators.priors",
    "training.judge_set": "training.evaluators.models",
    "training.labels": "priors.labels priors.conditions",
    "training.lossless_run": "training.recipes.lossless",
    "training.made_of": "training.record.provenance",
    "training.monitor": "training.diagnostics.collapse",
    "training.nonfinite": "training.diagnostics.nonfinite",
    "training.optimisation": "training.optim.optimizer",
    "training.parallel": "training.distributed",
    "training.prior_run": "training.recipes.prior",
    "training.progress": "training.record.progress",
    "training.rebuilding": "training.record.rebuilding",
    "training.run": "training.record.run",
    "training.runlog": "training.record.log",
    "training.schedule": "training.optim.schedules",
    "training.session": "training.trainer",
    "training.state": "training.checkpoints.state",
    "training.watch": "training.evaluators.watch",
    "words": "checking",
}
"""The new places of the names of each module that has moved, below ``vqkit``; the first that has a name is the one."""

RENAMED = {
    "Contender": "QuantizerSpec",
    "GREY_MODES": "GRAY_MODES",
    "Judge": "Evaluator",
    "Judgement": "RunningEvaluation",
    "Named": "InputSignals",
    "Order": "CodingOrder",
    "PixelCNNWalk": "PixelCNNState",
    "PixelJudge": "PixelPriorEvaluator",
    "PixelWalk": "PixelState",
    "Plan": "UnmaskingSchedule",
    "PriorJudge": "PriorEvaluator",
    "SampleRequest": "SamplingParams",
    "SavedPrior": "Prior",
    "SetJudge": "ModelEvaluator",
    "Workshop": "RungContext",
    "neighbours": "neighbors",
}
"""Names of these modules that are others at their new place."""


class FormerModule(ModuleType):
    """Module of an old path; it is called as the function of its name, where it hides one of its package."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the function that has the module's name."""
        return getattr(self, self.__name__.rpartition(".")[2])(*arguments, **options)


class FormerModules(MetaPathFinder, Loader):
    """Importer of modules by their old paths; Python asks it only for what no other importer knows.

    What it makes has no names of its own: each is looked up at its new place, so that it is the same object.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the module ``vqkit.NAME`` if it has moved."""
        del path, target
        package, _, name = fullname.partition(".")
        return ModuleSpec(fullname, self) if package == "vqkit" and name in MODULES else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make the module, without names."""
        return FormerModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module that has moved with a way to its names."""
        places = [f"vqkit.{place}" for place in MODULES[module.__name__.removeprefix("vqkit.")].split()]
        warnings.warn(f"{module.__name__} is now {' and '.join(places)}", DeprecationWarning, stacklevel=2)

        def lookup(name: str) -> Any:
            if not name.startswith("__"):
                new = RENAMED.get(name, name)
                for place in map(import_module, places):
                    if hasattr(place, new):
                        return getattr(place, new)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        module.__dict__["__getattr__"] = lookup


def install() -> None:
    """Put the importer of former modules after all others, once."""
    if not any(isinstance(finder, FormerModules) for finder in sys.meta_path):
        sys.meta_path.append(FormerModules())

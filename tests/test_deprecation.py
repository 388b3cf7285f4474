"""Names of earlier versions: what could be imported then can be imported now, with a warning of the new place."""

import json
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest
import torch

from vqkit import PCA, VQVAE, ops
from vqkit._former import MODULES
from vqkit.evaluation import density_coverage, precision_recall
from vqkit.likelihoods.base import Bins
from vqkit.ops.assignment.kmeans import kmeans
from vqkit.pixels import PixelPrior
from vqkit.priors import SamplingParams
from vqkit.quantizers import ChannelsLast, EMAVectorQuantizer, Quantizer, masked_mean
from vqkit.tokens import load_tokens

NAMES = json.loads((Path(__file__).parent / "golden" / "names-2026-11-24.json").read_text())
"""What each module outside the command line defined, or exported, on 2026-11-24, less 26 small helpers."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", sorted(NAMES))
def test_names_of_earlier_versions_can_be_imported(name):
    module = import_module(f"vqkit.{name}" if name else "vqkit")
    assert [each for each in NAMES[name] if not hasattr(module, each)] == []


def test_every_former_module_was_one():
    assert set(MODULES) <= set(NAMES) | {"data.centred", "data.joined", "codec.targeting", "codec.tiling"}


def test_a_former_path_warns_of_the_new_one_and_gives_the_same_object():
    sys.modules.pop("vqkit.codec.tokens", None)
    with pytest.warns(DeprecationWarning, match=r"vqkit\.codec\.tokens is now vqkit\.tokens\.tokens") as caught:
        former = import_module("vqkit.codec.tokens")
    assert caught[0].filename != "<frozen importlib._bootstrap>"
    assert former.load_tokens is load_tokens
    with pytest.warns(DeprecationWarning, match=r"vqkit\.data\.images\.reading\.decode_image"):
        from vqkit.data.images import decode_image
    assert callable(decode_image)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_former_module_hides_no_function_of_its_package():
    points = torch.eye(4)
    before = kmeans(points, 2, generator=torch.Generator().manual_seed(0))
    import_module("vqkit.ops.kmeans")
    after = ops.kmeans(points, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(before[0], after[0])


def test_names_that_never_were_are_still_errors():
    with pytest.raises(ModuleNotFoundError):
        import_module("vqkit.codec.never")
    with pytest.raises(ModuleNotFoundError):
        import_module("atomic")
    with warnings.catch_warnings(action="ignore"), pytest.raises(ImportError, match="never"):
        exec("from vqkit.codec.tokens import never")
    with pytest.raises(ImportError, match="never"):
        exec("from vqkit.data.images import never")


def test_nothing_of_vqkit_itself_takes_a_former_path(loaded):
    assert "vqkit.training" in loaded["all"]
    assert not {f"vqkit.{name}" for name in MODULES} & set(loaded["all"])


# ---- names of attributes


OLD = [
    (EMAVectorQuantizer(8, 2), "codes", "lookup"),
    (EMAVectorQuantizer(8, 2), "initialise", "initialize"),
    (EMAVectorQuantizer(8, 2), "initialised", "initialized"),
    (EMAVectorQuantizer(8, 2), "settles", "recalibrates"),
    (ChannelsLast(EMAVectorQuantizer(8, 2)), "codes", "lookup"),
    (Bins(torch.zeros(1), torch.ones(1), torch.zeros(1), torch.zeros(1)), "centre", "center"),
    (PCA(2, size=(4, 4)), "predict", "decode_parameters"),
    (PCA(2, size=(4, 4)), "settle", "recalibrate_codebook"),
    (VQVAE(8, hidden_channels=8), "settling_positions", "recalibration_positions"),
]


@pytest.mark.parametrize(("part", "old", "new"), OLD, ids=lambda value: value if isinstance(value, str) else "")
def test_old_names_of_attributes_give_the_new_ones_with_a_warning_at_the_caller(part, old, new):
    with pytest.warns(DeprecationWarning, match=rf"^{type(part).__name__}\.{old} is now {new}$") as caught:
        value = getattr(part, old)
    assert value == getattr(part, new)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_new_names_warn_of_nothing():
    for part, _, new in OLD:
        getattr(part, new)


def test_a_class_that_overrides_an_old_name_overrides_the_new_one():
    with pytest.warns(DeprecationWarning, match="Old") as caught:

        class Old(EMAVectorQuantizer):
            def codes(self, indices):
                return 2 * super().codes(indices)

            @property
            def initialised(self):
                return super().initialised and "mine"

            def initialise(self, vectors):
                super().initialise(2 * vectors)

    assert [(str(warning.message), warning.filename) for warning in caught] == [
        (f"Old.{old} is now {new}", __file__)
        for old, new in (("codes", "lookup"), ("initialise", "initialize"), ("initialised", "initialized"))
    ]
    latents, indices = torch.randn(8, 2), torch.arange(8)
    own, plain = Old(8, 2).eval(), EMAVectorQuantizer(8, 2).eval()
    with pytest.warns(DeprecationWarning, match=r"Old\.initialise"):
        own.initialize(latents)
    plain.initialize(2 * latents)
    with pytest.warns(DeprecationWarning, match=r"Old\.codes"):
        assert torch.equal(own.lookup(indices), 2 * plain.lookup(indices))
    with pytest.warns(DeprecationWarning, match=r"Old\.initialised"):
        assert own.initialized == "mine"

    with warnings.catch_warnings(action="error"):

        class Newer(Old):
            def lookup(self, indices):
                return -self.table()[indices]

    assert torch.equal(Newer(8, 2).lookup(indices), -Newer(8, 2).table())
    with pytest.warns(DeprecationWarning, match=r"Newer\.codes"):
        assert torch.equal(Newer(8, 2).codes(indices), -Newer(8, 2).table())


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("exact", "neighbours", "neighbors"),
        ("exact", "quantised_activation", "quantized_activation"),
        ("exact.rounding", "quantised_parameter", "quantized_parameter"),
    ],
)
def test_old_names_of_functions_give_the_new_ones(module, old, new, monkeypatch):
    module = import_module(f"vqkit.{module}")
    monkeypatch.delitem(vars(module), old, raising=False)  # a former module of this name, where a test has imported it
    with pytest.warns(DeprecationWarning, match=rf"{old} is now .*{new}"):
        assert getattr(module, old) is getattr(module, new)


def test_a_keyword_is_taken_under_its_old_name():
    real, generated = torch.randn(20, 2), torch.randn(20, 2)
    for measure in (precision_recall, density_coverage):
        with pytest.warns(DeprecationWarning, match=rf"{measure.__name__}\(neighbours=\) is now neighbors=") as caught:
            assert measure(real, generated, neighbours=2) == measure(real, generated, neighbors=2)
        assert caught[0].filename == __file__
        with pytest.raises(TypeError, match="neighbours"):
            measure(real, generated, neighbours=2, neighbors=2)


def test_an_old_name_comes_from_a_mixin_too_and_an_abstract_one_is_then_defined():
    class Mixin:
        def predict(self, codes, size=None):
            return -super().predict(codes, size)

    with pytest.warns(DeprecationWarning, match=r"Mirrored\.predict is now decode_parameters"):

        class Mirrored(Mixin, PCA):
            pass

    model, plain = Mirrored(2, size=(4, 4)), PCA(2, size=(4, 4))
    latents = torch.randn(3, 2)
    with pytest.warns(DeprecationWarning, match="predict"):
        assert torch.equal(model.decode_parameters(latents), -plain.decode_parameters(latents))

    with pytest.warns(DeprecationWarning, match=r"Mine\.codes is now lookup"):

        class Mine(Quantizer):
            forward = encode = None

            def codes(self, indices):
                return indices

    assert Mine().lookup(3) == 3


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("pixels", "PixelWalk", "PixelState"),
        ("priors.sampling", "held", "checked_known"),
        ("priors.masked.sampling", "fill", "iterative_decode"),
        ("priors.masked.schedule", "revealed", "unmasked_count"),
        ("quantizers.base", "spread", "per_channel"),
        ("quantizers.codebook.learning", "steady", "clone_for_backward"),
        ("quantizers.codebook.restart", "begin", "initialize_from"),
        ("evaluation.features", "train_classifier", "train_classifier"),
    ],
)
def test_functions_under_their_old_names_are_the_new_ones(module, old, new):
    place = import_module(f"vqkit.{module}")
    with pytest.warns(DeprecationWarning, match=rf"{old} is now .*{new}"):
        assert getattr(place, old).__name__ == new


def test_a_pixel_prior_and_its_state_have_their_old_names():
    prior = PixelPrior(16, 4, channels=1, hidden_channels=16, token_channels=16).eval()
    with pytest.warns(DeprecationWarning, match=r"PixelPrior\.walk is now incremental_state"):
        state = prior.walk(torch.zeros(1, 2, 2, dtype=torch.int64), (8, 8))
    with pytest.warns(DeprecationWarning, match=r"PixelState\.enter is now begin_group"):
        assert state.enter(0)
    state.mixture(0)
    with pytest.warns(DeprecationWarning, match=r"PixelState\.leave is now commit"):
        state.leave(0, torch.full((1, 4), 7))
    assert state.levels(0).tolist() == [[7, 7, 7, 7]]


def test_arguments_and_attributes_of_quantizers_and_priors_have_their_old_names():
    values = torch.tensor([[[1.0, 3.0]]])
    with pytest.warns(DeprecationWarning, match=r"masked_mean\(across=\) is now reduce_over_ranks="):
        assert masked_mean(values, None, across=False).item() == 2.0
    with pytest.warns(DeprecationWarning, match=r"EMAVectorQuantizer\.enter is now validate"):
        assert EMAVectorQuantizer(4, 1).enter(values).dtype == torch.float32
    with pytest.warns(DeprecationWarning, match=r"EMAVectorQuantizer\.fresh is now restarted"):
        assert EMAVectorQuantizer(4, 1).fresh is None
    with pytest.warns(DeprecationWarning, match=r"SamplingParams\.free is now unconditional"):
        assert SamplingParams(2).free is None

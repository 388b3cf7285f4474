"""Parts of the commands for ``.vqk`` files: the entropy model of a run, and the words for sizes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vqkit.spelling import quoted

if TYPE_CHECKING:
    from vqkit.codec import RateReport
    from vqkit.codec.protocols import PixelModel
    from vqkit.coding import FileHeader
    from vqkit.data import Source
    from vqkit.models import IndexModel, Model, Rate
    from vqkit.priors import Prior

NONE = "none"
_NEAR = 0.1


def exact_prior(model: IndexModel, name: str, prior: str | None) -> Prior | None:
    """The prior that files are coded with: the one named, the run's best, or none.

    Args:
        model: the tokenizer.
        name: its folder.
        prior: what was named; ``none``: none.
    """
    from vqkit.codec import known_priors

    if prior == NONE:
        return None
    if prior is None:
        say_stale(name, model)
        prior = next((str(each) for each in known_priors(name, model).values()), None)
    if prior is None:
        typer.echo(
            f"  note: {name} has no context prior, so every index costs its whole bits; train one with: vqkit prior "
            f"{quoted(name)} --kind context",
            err=True,
        )
        return None
    return _loaded(model, prior)


def with_files(rates: Sequence[Rate], model: Model, name: str, source: Source, prior: str | None) -> tuple[Rate, ...]:
    """Rates of a model of sounds with what a file of a set has, under the run's priors and the one named.

    Args:
        rates: of the model; none of one without a codebook.
        model: opened.
        name: of it.
        source: the set, in the model's channels.
        prior: that was named, if it codes files.
    """
    from dataclasses import replace

    from vqkit.codec import Signal, entropy_model, file_sizes, known_priors
    from vqkit.data.long_items import part_of_item
    from vqkit.errors import ConfigError
    from vqkit.models import IndexModel
    from vqkit.priors import load_prior

    if not isinstance(model, IndexModel) or model.kind.rate is None or source.dtype != "float32":
        return tuple(rates)
    entropies = []
    for place in (*known_priors(name, model).values(), *((prior,) if prior is not None else ())):
        with suppress(ConfigError):  # one that codes no files
            entropies.append(entropy_model(load_prior(place).to(model.device), model.codebook_size))
    sizes = file_sizes(
        model,
        lambda: (Signal(part_of_item(source, number)) for number in range(len(source))),
        [rate.codebooks for rate in rates],
        list({each.kind: each for each in entropies}.values()),
    )
    seconds = float(source.item_sizes().sum()) / model.kind.rate
    return tuple(replace(rate, file=8 * sizes[rate.codebooks] / seconds / 1000) for rate in rates)


def say_stale(name: str, model: IndexModel) -> None:
    """A note where a run's priors were learned before its model was trained further, and so are not used."""
    from vqkit.codec import known_priors

    left = {kind for kind in known_priors(name) if kind not in known_priors(name, model)}
    if left:
        typer.echo(
            f"  note: the {' and the '.join(sorted(left))} prior of {name} learned the indices of another state of "
            f"this model, and is not used; train one anew with: vqkit prior {quoted(name)} --kind context",
            err=True,
        )


def file_prior(model: IndexModel, name: str, prior: str | None, header: FileHeader) -> Prior | None:
    """The prior that a file was written with: the one named, or of the run's own of that kind the very one.

    Raises:
        ConfigError: one was named for a file that needs none.
        WrongModelError: the run has none of that kind.
    """
    from vqkit.codec import entropy_model
    from vqkit.codec.entropy.known_priors import priors_of_kind
    from vqkit.errors import ConfigError, WrongModelError

    kind = header.entropy_model
    if prior == NONE:
        return None
    if kind == "uniform":
        if prior is not None:
            raise ConfigError(f"--prior {prior}: no prior was needed for this file; leave it out")
        return None
    if prior is not None:
        return _loaded(model, prior)
    found = None
    for place in priors_of_kind(name, kind):
        each = _loaded(model, str(place))
        if entropy_model(each, model.codebook_size).digest == header.entropy_digest:
            return each
        found = found or each
    if found is None:
        raise WrongModelError(
            f"the file's indices are coded under a {kind} model, and there is none in {name}: name the one it was made "
            "with (--prior)"
        )
    return found


def _loaded(model: IndexModel, prior: str) -> Prior:
    from vqkit.generation import check_pair
    from vqkit.priors import load_prior

    loaded = load_prior(prior).to(model.device)
    check_pair(model, loaded)
    return loaded


def pixel_model(model: IndexModel, name: str, given: str | None = None, *, reading: bool = False) -> PixelModel:
    """The pixel prior of a run, or the one named.

    Raises:
        ConfigError: the model reads no images.
        ModelFolderError: there is none to write with.
        WrongModelError: there is none, and a file needs it for ``reading``.
    """
    from vqkit.codec.entropy.known_priors import of_another_state
    from vqkit.codec.lossless import PixelCoder
    from vqkit.errors import ConfigError, ModelFolderError, WrongModelError
    from vqkit.pixels import PixelPrior

    if not model.kind.converts:
        raise ConfigError(f"--lossless: for images only, and {name} reads {model.kind.noun[1]}; leave it out")
    own = Path(name) / "lossless"
    missing = given is None and not (own / "model" / "config.json").is_file()
    if missing and reading:
        raise WrongModelError(
            f"the file is lossless, and there is no pixel prior in {name}: name the one it was made with (--pixels)"
        )
    if missing:
        raise ModelFolderError(
            f"{name}: no pixel prior has been trained for this model, and lossless files need one; train one with: "
            f"vqkit lossless {quoted(name)}"
        )
    if not reading and of_another_state(own if given is None else given, model):
        typer.echo(
            f"  note: the pixel prior {own if given is None else given} was learned beside another state of this "
            "model; the file will be exact, but larger than need be",
            err=True,
        )
    return PixelCoder(PixelPrior.from_pretrained(own if given is None else given).to(model.device))


def report_lines(report: RateReport, position: str = "pixel") -> list[str]:
    """Sizes side by side, for people; ``position`` is what the signals' kind calls one."""
    bits = {"nominal": float(report.nominal_bits), **report.model_bits}
    rows = [(f"indices, {name}", value) for name, value in bits.items()]
    rows.append(("coded indices", 8.0 * report.index_bytes))
    if report.residual_bytes:
        rows.append(("coded pixels" if position == "pixel" else "coded values", 8.0 * report.residual_bytes))
    rows.append(("headers, names, checksums", 8.0 * report.header_bytes))
    rows.append(("the file", 8.0 * report.file_bytes))
    pixels, values = max(1, report.pixels), max(1, report.values)
    width = max(len(name) for name, _ in rows)
    return [
        f"{name:<{width}}  {value / 8:>14,.0f} bytes  {value / pixels:8.4f} bits per {position}  "
        f"{value / values:8.4f} per value"
        for name, value in rows
    ]


def rate_lines(report: RateReport, wanted: float, position: str = "pixel") -> list[str]:
    """The rate that was wanted beside the one that came of it, and a note where they are more than a tenth apart."""
    got = 8.0 * report.index_bytes / max(1, report.pixels)
    lines = [
        f"wanted {wanted:.4f} bits per {position}: coded indices have {got:.4f}, the whole file has "
        f"{report.bits_per_pixel:.4f}"
    ]
    if got < (1 - _NEAR) * wanted:
        lines.append(
            "  note: the model has no rate nearer below the wanted one; a model with more or larger codebooks, or with "
            "less downsampling, has more bits to give"
        )
    elif got > (1 + _NEAR) * wanted:
        lines.append(
            "  note: the model has no lower rate; one with more downsampling or smaller codebooks has, and under a "
            "context prior the same indices cost fewer bits"
        )
    elif report.bits_per_pixel > (1 + _NEAR) * wanted:
        lines.append(
            "  note: the indices meet the rate, and headers, names and checksums come on top of it; they weigh less "
            "where more images of one size are in a file"
        )
    return lines

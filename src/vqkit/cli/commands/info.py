"""``vqkit info``: a description of a run, a model, a token set or a data source, as lines of text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.checking import counted


def info(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="A run, a model, a token set, or DATA.")],
) -> None:
    """Say what a run, a model, a token set or a data source is."""
    from vqkit.errors import shown

    for line in describe(what):
        typer.echo(shown(line))


def describe(what: str) -> list[str]:
    """Describe a run, a model, a token set, or else a data source."""
    from vqkit.pretrained import hub
    from vqkit.pretrained.reference import reference_folder
    from vqkit.storage.remote import is_url

    if Path(what).exists() or is_url(what):
        return _place(what)
    if reference_folder(what) is not None or hub.asks_hub(what):
        return _model(what)
    return _data(what)


def _place(what: str) -> list[str]:
    """Describe what is in a folder or a file, or at an address."""
    from vqkit.pretrained import folder, foreign
    from vqkit.storage.remote import is_url, whole_url
    from vqkit.tokens.manifest import find_manifest
    from vqkit.training.record.run import CONFIG

    path = Path(what)
    if (path / CONFIG).is_file():
        return _run(path)
    if (path / folder.TENSORS).is_file() or ((path / folder.CONFIG).is_file() and foreign.weights_of(path) is not None):
        return _model(path)
    if find_manifest(path) is not None:
        return _tokens(whole_url(what) if is_url(what) else path)
    return _data(what)


def _run(path: Path) -> list[str]:
    from vqkit.training import TrainConfig
    from vqkit.training.checkpoints import checkpoint
    from vqkit.training.checkpoints.best import describe_best
    from vqkit.training.record.headline import describe as headline
    from vqkit.training.record.log import read_log
    from vqkit.training.record.run import CHECKPOINTS, MODEL, read_config
    from vqkit.training.trainable import trainable_class

    settings = read_config(path)
    training = TrainConfig.from_dict({name: settings["training"].get(name) for name in ("steps", "minutes")})
    closed_form = trainable_class(str(settings["model"].get("model_type"))).closed_form
    budget = counted(training.steps, "step") if training.steps else f"{training.minutes:g} minutes"
    how = "solved in closed form" if closed_form else budget
    batches = "" if closed_form else f", batches of {settings['training'].get('batch_size')}"
    lines = [f"run {path}: {how} on {settings['data']}{batches}"]
    log = read_log(path)
    final = [entry for entry in log if entry["kind"] == "final"]
    if final:
        at = "" if closed_form else f" at step {final[-1]['step']:,}"
        lines.append(f"finished{at}: {headline(final[-1])}")
    else:
        found = checkpoint.found(path / CHECKPOINTS)
        at = f"newest checkpoint {found[-1].name}" if found else "no checkpoint yet"
        lines.append(f"not finished, {at}; go on with: vqkit train --resume {path}")
    stopped, best = settings["stopped"], describe_best(path)
    if stopped is not None:
        lines.append(f"stopped before its last step, at step {stopped['step']:,}: {stopped['reason']}")
    lines += [] if best is None else [best]
    lines += [f"warning at step {entry['step']:,}: {entry['message']}" for entry in log if entry["kind"] == "warning"]
    return lines + (_model(path / MODEL) if final else [])


def _model(path: str | Path) -> list[str]:
    import math

    from vqkit.cli.loading import say_shadow
    from vqkit.coding import factor_words
    from vqkit.models import IndexModel, model_rates, rate_lines
    from vqkit.pretrained.folder import content_hash
    from vqkit.training.trainable import load_trained

    say_shadow(str(path))
    model = load_trained(path)
    numbers = sum(each.numel() for each in model.parameters()) or sum(each.numel() for each in model.buffers())
    lines = [f"model {path}: {type(model).__name__}, {numbers:,} parameters, sha256 {content_hash(model)[:16]}"]
    if isinstance(model, IndexModel):
        bits = math.log2(model.codebook_size) * model.num_codebooks
        codes = (
            f"{model.num_codebooks} of {model.codebook_size:,} codes"
            if model.num_codebooks > 1
            else (f"one of {model.codebook_size:,} codes")
        )
        each = f"vector of {counted(model.channels, 'number')}"
        if model.axes:
            each = (
                f"{factor_words(model.downsampling, 'value')} of {counted(model.axes, 'axis', 'axes')}, "
                f"{counted(model.channels, 'channel')}"
            )
        lines.append(f"{codes} ({bits:.2f} bits) for every {each}")
        lines += [f"  {line}" for line in rate_lines(model_rates(model))]
    return lines + [f"  {name} = {value}" for name, value in model.config.items()]


def _tokens(path: str | Path) -> list[str]:
    from vqkit.coding import index_dtype
    from vqkit.tokens import load_tokens

    tokens = load_tokens(path)
    manifest = tokens.manifest
    grid = "of different sizes" if tokens.grid is None else "x".join(map(str, tokens.grid)) or "1"
    numbers = index_dtype(tokens.codebook_size).name
    if tokens.vocabulary is not None:
        held = manifest.get("id_dtype")
        numbers = f"{held} ids" if held else "ids as text"
    return [
        f"tokens {path}: {counted(len(tokens), 'item')} from {manifest.get('source', 'unknown data')}, grid {grid}, "
        f"{tokens.codebook_size:,} codes",
        f"{counted(len(manifest['shards']), f'{tokens.kind} shard')} of {numbers}, "
        f"{counted(tokens.bytes_on_disk(), 'byte')}, "
        f"{'with' if manifest.get('labels') else 'without'} labels",
        *([] if tokens.vocabulary is None else [f"sequences of {tokens.vocabulary.describe()}"]),
        f"made by the model with sha256 {manifest.get('model_sha256', 'unknown')[:16]}",
    ]


def _data(what: str) -> list[str]:
    from vqkit.data import load_source
    from vqkit.errors import shown

    source = load_source(what)
    lines = [f"data {shown(what)}: {source.describe()}"]
    if source.class_names:
        names = map(shown, source.class_names[:20])
        lines.append(f"classes: {', '.join(names)}{' ...' if len(source.class_names) > 20 else ''}")
    return (
        lines + [f"note: {shown(note)}" for note in source.notes] + [f"skipped {line}" for line in source.skip_report()]
    )

"""Numbers as tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vqkit.checking import counted
from vqkit.studies.spread import deviation, with_deviation


def evaluation_table(values: dict[str, Any]) -> Table:
    """The table of an ``Evaluation.as_dict()``: distortion, latents, and the three sizes side by side."""
    items, rate = values["items"], values["rate"]
    table = Table(title=counted(items, "item"), title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    if "channels" in values:  # whose units differ
        table.add_row("NMSE", f"{values['nmse']:.4f}   (mean of the channels)")
    else:
        table.add_row("MSE", f"{values['mse']:.6f}   (NMSE {values['nmse']:.4f})")
    if values["psnr_db"] is not None:
        mean = values["psnr_item_mean_db"]
        table.add_row(
            "PSNR",
            f"{values['psnr_db']:.2f} dB of the set"
            + (f", peak {values['psnr_peak']:g}" if values.get("psnr_peak") else "")
            + (f"   ({mean:.2f} dB mean of items)" if mean else ""),
        )
    if values["ssim"] is not None:
        table.add_row("SSIM", f"{values['ssim']:.4f}")
    for name, told in _sound_rows(values):
        table.add_row(name, told)
    for name, told in [*_vector_rows(values), *_field_rows(values)]:
        table.add_row(name, told)
    size = values["codebook_size"]
    if size is not None:
        table.add_row("usage", f"{values['usage']:.1%} of {size:,} codes occur in {values['positions']:,} positions")
        table.add_row("perplexity", f"{values['perplexity']:.1f} of {size:,}")
    else:
        table.add_row("latents", f"{values['latent_numbers']:,.0f} real numbers an item")
        active = values.get("active_units")
        if active is not None:
            asleep = round(values["latent_numbers"]) - active
            told = f"; {asleep:,} have collapsed onto the prior" if asleep > 0 else ""
            table.add_row("active units", f"{active:,} move with the item{told}")
    bound = values.get("bits_per_dim")
    if bound is not None:
        parts = f"{bound['total']:.3f} = rate {bound['rate']:.3f} + distortion {bound['distortion']:.3f}"
        drawn = "; the errors above are of draws" if "likelihood_bits_per_dim" in values else ""
        name = "bits per sample" if "si_sdr_db" in values else "bits per dim"
        table.add_row(name, f"{parts}   ({bound['how']}{drawn})")
        uniform = bound.get("uniform_rate")
        if uniform is not None and abs(uniform - bound["rate"]) > 1e-9:
            total = uniform + bound["distortion"]
            table.add_row(
                "", f"{total:.3f} = rate {uniform:.3f} + distortion {bound['distortion']:.3f}   (uniform prior)"
            )
    table.add_section()
    original = rate["original_bytes"] * 8 / items
    kbps = _kbps(values.get("duration"))
    table.add_row("original", f"{original:,.0f} bits an item{kbps(rate['original_bytes'] * 8)}")
    for name, bits, explained in _sizes(rate, discrete=size is not None):
        each = bits / items
        smaller = f"   {original / each:.1f}x smaller" if each > 0 else ""
        table.add_row(name, f"{each:,.1f} bits an item{kbps(bits)}{smaller}   ({explained})")
    return table


def _field_rows(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Errors of each channel of fields, in its units."""
    if values.get("gaps"):
        yield "gaps", f"{values['gaps']:.2%} of the values, in no measure"
    for number, each in enumerate(values.get("channels", ())):
        nmse = "infinite" if each["nmse"] is None else f"{each['nmse']:.4g}"
        psnr = "" if each["psnr_db"] is None else f", PSNR {each['psnr_db']:.2f} dB"
        yield (
            escape(each["name"]) if each.get("name") else f"channel {number + 1}",
            f"RMSE {each['rmse']:.4g}, NMSE {nmse}, largest {each['max_error']:.4g}{psnr}   (values {each['mean']:.4g} "
            f"+- {each['std']:.4g})",
        )


def _sound_rows(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Measures of sounds, as far as there are any; see ``SoundQuality``."""
    if "si_sdr_db" not in values:
        return

    def say(name: str, form: str) -> str:
        return "unknown" if values[name] is None else format(values[name], form)

    delay = values["delay"]
    late = f", aligned for a delay of {counted(abs(delay), 'sample')}{' ahead' if delay < 0 else ''}" if delay else ""
    yield "SI-SDR", f"{say('si_sdr_db', '.2f')} dB   (SNR {say('snr_db', '.2f')} dB{late})"
    stft = f"STFT {say('stft_distance', '.3f')}"
    yield "distances", stft if values["mel_distance"] is None else f"mel {say('mel_distance', '.3f')}, {stft}"
    if values["stoi"] is not None:
        yield "STOI", f"{values['stoi']:.4f}"
    for name, title in (("pesq", "PESQ"), ("visqol", "ViSQOL")):
        if values[name] is not None:
            yield title, f"{values[name]:.2f} MOS-LQO"
    if values["duration"] and values["positions"]:
        yield "tokens", f"{values['positions'] / values['duration']:,.1f} a second"


def _vector_rows(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Measures of vectors, as far as there are any; see ``VectorQuality``."""
    if "cosine" not in values:
        return
    each = values["bytes_per_vector"]
    yield (
        "cosine",
        f"{values['cosine']:.4f}" + ("" if each is None else f"   at {each:g} byte{'s' * (each != 1)} a vector"),
    )
    found = values["neighbors"]
    if found is not None:
        for name, key in (("asymmetric", "asymmetric"), ("decoded", "decoded")):
            told = ", ".join(f"@{count} {value:.3f}" for count, value in found[key].items())
            yield (
                f"recall, {name}",
                f"{told}   ({counted(found['queries'], 'query', 'queries')} in {counted(found['database'], 'vector')})",
            )
    for level in values["ids"] or ():
        prefix = "ids" if level["codebooks"] == len(values["ids"]) else f"first {level['codebooks']}"
        yield (
            prefix,
            f"{level['distinct']:,} distinct, {level['collision_rate']:.2%} collide "
            f"(random ids {level['birthday_rate']:.2%}), {level['entropy_bits']:.2f} bits an index",
        )


def ids_table(values: dict[str, Any]) -> Table:
    """Collisions of each prefix of ids before and after they were balanced, beside random ones."""
    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    balanced = values["balanced"] is not None
    heads = ("digits", "distinct", "collide", *(["before balancing"] if balanced else []), "random ids", "bits a digit")
    for head in heads:
        table.add_column(head, justify="right")
    for own, before in zip(values["prefixes"], values["prefixes_before"], strict=True):
        table.add_row(
            f"first {own['codebooks']}",
            f"{own['distinct']:,}",
            f"{own['collision_rate']:.2%}",
            *([f"{before['collision_rate']:.2%}"] if balanced else []),
            f"{own['birthday_rate']:.2%}",
            f"{own['entropy_bits']:.2f}",
        )
    return table


def _kbps(duration: float | None) -> Callable[[float], str]:
    """Bits of sounds that last so many seconds in words: kilobits a second."""
    return lambda bits: f" = {bits / duration / 1000:,.2f} kbps" if duration else ""


def _sizes(rate: dict[str, Any], *, discrete: bool) -> list[tuple[str, float, str]]:
    rows = [("nominal", rate["nominal_bits"], "positions x log2 K" if discrete else "32 bits a number")]
    if rate["entropy_bits"] is not None:
        how = "of the index histogram" if discrete else "rounded and entropy-coded at a cost of 0.1 dB"
        rows.append(("entropy", rate["entropy_bits"], how))
    if rate.get("prior_bits") is not None:
        rows.append(("learned prior", rate["prior_bits"], "of the indices under it"))
    return [*rows, ("stored", rate["stored_bytes"] * 8, "as vqkit encode writes" if discrete else "as float32")]


def comparison_table(document: dict[str, Any]) -> Table:
    """The rungs of ``compare`` beside each other."""
    data = document["data"]
    held_out = f"{data['validation_items']:,} held-out {data.get('noun', 'images')}"
    title = f"{data['name']}: {held_out}, budget {document['budget_bits']:,.0f} bits"
    table = _narrow(
        title, ("", "bits", "PSNR", "at\nbudget", "SSIM", "bits\n/dim", "FD\nagain", "FD\nsamples", "probe")
    )
    for rung in document["rungs"]:
        if rung["status"] != "done":
            table.add_row(rung["title"], "failed")
            continue
        bound = rung["bits_per_dim_learned_prior"] or rung["bits_per_dim"]
        psnr, at_budget, probe = rung["psnr_db"], rung["psnr_at_budget_db"], rung["linear_probe_accuracy"]
        table.add_row(
            rung["title"],
            f"{rung['latent_bits']:,.0f}",
            "-" if psnr is None else f"{psnr:.2f}",
            "-" if at_budget is None else f"{at_budget:.2f}",
            "-" if rung["ssim"] is None else f"{rung['ssim']:.3f}",
            "-" if bound is None else f"{bound['total']:.2f}",
            f"{rung['frechet_reconstructions']:.3g}",
            f"{rung['frechet_samples']:.3g}",
            "-" if probe is None else f"{probe:.1%}",
        )
        spread = {
            "psnr_db": "{:.2f}", "psnr_at_budget_db": "{:.2f}", "ssim": "{:.3f}", "": "",
            "frechet_reconstructions": "{:.2g}", "frechet_samples": "{:.2g}", "linear_probe_accuracy": "{:.1%}",
        }  # fmt: skip
        found = [(form, deviation(rung, name) if name else None) for name, form in spread.items()]
        if any(each is not None for _, each in found):
            told = ("" if each is None else f"± {form.format(each)}" for form, each in found)
            table.add_row("", "", *told, style="dim")
    return table


def _narrow(title: str, columns: Sequence[str], gap: int = 2) -> Table:
    """A table without lines, whose words stay whole in 80 columns; the first column names the rows."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=True)
    return table


def vectors_table(document: dict[str, Any]) -> Table:
    """The models of ``compare`` of vectors beside each other, one size after the other."""
    data = document["data"]
    title = f"{data['name']}: {data['validation_items']:,} held-out vectors, looked for in {data['train_items']:,}"
    columns = ("", "NMSE", "cosine", "recall\n@1", "\n@10", "\n@100", "decoded\n@10", "collide", "vectors\n/s")
    table = _narrow(title, columns, gap=1)
    for rung in document["rungs"]:
        if rung["status"] != "done":
            table.add_row(rung["title"], "failed")
            continue
        table.add_row(
            rung["title"],
            "-" if rung["nmse"] is None else with_deviation(f"{rung['nmse']:.4f}", rung, "nmse", "{:.4f}"),
            with_deviation(f"{rung['cosine']:.4f}", rung, "cosine", "{:.4f}"),
            *(
                with_deviation(f"{rung[key]:.3f}", rung, key, "{:.3f}")
                for key in ("recall_1", "recall_10", "recall_100", "recall_decoded_10")
            ),
            f"{rung['collision_rate']:.1%}",
            f"{rung['vectors_per_second']:,.0f}",
        )
    return table


def codebooks_table(document: dict[str, Any]) -> Table:
    """The entries of ``study codebooks``, one size after the other."""
    data, entries = document["data"], document["entries"]
    level = "PSNR" if all(each["psnr_db"] is not None for each in entries if each["status"] == "done") else "SNR"
    told = f"{data['name']}: entropy and error of {data['validation_items']:,} held-out items, use of the whole data"
    table = Table(title=told, title_justify="left")
    table.add_column("quantizer", min_width=18, overflow="fold")
    for column in ("codes", "bits", "entropy", level, "usage", "perplexity"):
        table.add_column(column, justify="right", no_wrap=True)
    for entry in sorted(entries, key=lambda each: int(each["codebook_size"])):
        if entry["status"] != "done":
            table.add_row(entry["name"], f"{entry['codebook_size']:,}", "failed")
            continue
        table.add_row(
            entry["name"],
            f"{entry['codebook_size']:,}",
            f"{entry['bits_per_position']:.1f}",
            f"{entry['entropy_bits_per_position']:.2f}",
            with_deviation(f"{entry[f'{level.lower()}_db']:.2f}", entry, f"{level.lower()}_db", "{:.2f}"),
            f"{entry['usage_all']:.1%}",
            f"{entry['perplexity_all']:,.0f}",
        )
    return table


def rate_distortion_table(document: dict[str, Any]) -> Table:
    """Rates, qualities and BD-rates of a study of rate and distortion."""
    if "bd_rates" not in document:
        return _sound_rates_table(document)
    low = document["settings"]["low_rate"]
    title = f"{document['data']['name']}: {document['data']['images']:,} images; BD-rates against JPEG"
    table = Table(title=title, title_justify="left")
    headings = [f"{quality}{where}" for quality in ("PSNR", "MS-SSIM") for where in ("", f" to {low:g}")]
    for column in ("", "bits per pixel", *headings):
        table.add_column(column, justify="right" if column else "left", no_wrap=not column)
    percents = {
        (each["curve"], each["quality"]): [each["percent"], each["percent_low"]] for each in document["bd_rates"]
    }
    for curve in document["curves"]:
        rates = [point["bits_per_pixel"] for point in curve["points"]]
        own = [
            each for quality in ("psnr_db", "ms_ssim_db") for each in percents.get((curve["name"], quality), [None] * 2)
        ]
        told = ("-" if each is None else f"{each:+.1f} %" for each in own)
        table.add_row(curve["name"], f"{min(rates):.3f} to {max(rates):.3f}", *told)
    return table


def _sound_rates_table(document: dict[str, Any]) -> Table:
    """The points of every codec of a study on sound, one after the other."""
    measures = {"stoi": ("STOI", ".3f"), "visqol": ("ViSQOL", ".2f"), "mel_distance": ("mel", ".3f"),
                "si_sdr_db": ("SI-SDR", ".2f")}  # fmt: skip
    points = [(curve, each) for curve in document["curves"] for each in curve["points"]]
    there = [name for name in measures if any(name in each for _, each in points)]
    table = Table(title=f"{document['data']['name']}: {document['data']['sounds']:,} sounds", title_justify="left")
    for column in ("", "setting", "kbps", *(measures[name][0] for name in there)):
        table.add_column(column, justify="right" if column else "left", no_wrap=not column)
    for curve, each in points:
        setting = counted(each["codebooks"], "codebook") if curve["kind"] == "model" else f"{each['value']:g}"
        told = (format(each[name], measures[name][1]) if name in each else "-" for name in there)
        table.add_row(curve["name"], setting, f"{each['kbps']:.2f}", *told)
    return table


def probe_table(entry: dict[str, Any], document: dict[str, Any]) -> Table:
    """The probes of one set of labels."""
    from vqkit.studies.probe.report import title

    items = f"{entry['training_items']:,} training and {entry['test_items']:,} held-out items"
    table = Table(
        title=f"{entry['name']}: {counted(entry['classes'], 'class', 'classes')}, {items}", title_justify="left"
    )
    for column in ("probe", "accuracy", "95 % interval", "permuted", "numbers"):
        table.add_column(column, justify="left" if column == "probe" else "right", no_wrap=column != "probe")
    chance = entry["majority"]
    rows = [
        (f"always {chance['label']!r}", chance),
        *((title(each, document["axes"]), each) for each in entry["probes"]),
    ]
    for name, each in rows:
        low, high = each["interval"]
        permuted, numbers = each.get("permuted_accuracy"), each.get("numbers")
        table.add_row(
            name,
            f"{each['accuracy']:.1%}",
            f"{low:.1%} to {high:.1%}",
            "-" if permuted is None else f"{permuted:.1%}",
            "-" if numbers is None else f"{numbers:,}",
        )
    return table


def scores_table(rows: list[dict[str, Any]], by: str, items: int) -> Table:
    """The strangest items by one of their scores."""
    percentile = f"{by}_percentile"
    title = f"the {len(rows):,} of {items:,} items with the {'lowest' if by.startswith('psnr') else 'highest'} {by}"
    table = Table(title=title, title_justify="left")
    first = rows[0] if rows else {}
    usual: list[str] = ["mse", "psnr_db", "bits", "distance_mean", "distance_max"]
    names = [name for name in usual if name in first]
    names = [by, *(name for name in names if name != by)] if by in first else names
    table.add_column("item", justify="right", no_wrap=True)
    if first.get("name") is not None:
        table.add_column("name", overflow="fold")
    for name in names:
        table.add_column(name.replace("distance_", "distance\n"), justify="right", no_wrap=True)
    if percentile in first:
        table.add_column("percentile", justify="right", no_wrap=True)
    for row in rows:
        told = [f"{row['item']}", *([str(row["name"])] if first.get("name") is not None else [])]
        told += [f"{row[name]:.4g}" for name in names]
        table.add_row(*told, *([f"{row[percentile]:.1f}"] if percentile in first else []))
    return table


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, moved by calling the yielded function with (done, total); silent when not a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)

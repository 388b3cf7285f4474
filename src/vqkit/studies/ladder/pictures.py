"""What the rungs of a comparison show together: the same signals from each, and what each makes up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vqkit.data import Source
from vqkit.pictures import before_after_sheet, to_uint8
from vqkit.signals import Signal
from vqkit.signals.wav import write_wav
from vqkit.storage import atomic
from vqkit.studies.images import Images, shown_items, shown_signals
from vqkit.studies.report.class_colors import class_label
from vqkit.studies.report.pictures import save
from vqkit.studies.seen import shown as pictured

SHOWN = 10
"""Items of a row."""
_PLAYED = 2
_KEPT = "shown.safetensors"


def keep_shown(folder: Path, reconstructions: Tensor, samples: Tensor, kind: Signal) -> None:
    """Keep the few images that the joint pictures show, so that a later start need not make them again."""
    tensors = {
        name: (torch.from_numpy(to_uint8(images)) if kind.converts else images.float()).contiguous()
        for name, images in (("reconstructions", reconstructions), ("samples", samples))
    }
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_file(folder / _KEPT, lambda temporary: save_file(tensors, temporary))


def joint_pictures(path: Path, images: Images, found: Sequence[Mapping[str, Any]], budget: float) -> None:
    """The rungs above each other: reconstructions of the same images, and samples; sounds are kept to be played."""
    kind, first = images.held_out.kind, shown_signals(images.held_out, SHOWN)
    originals = pictured(kind, first)
    done = [(each["title"], load_file(path / each["key"] / _KEPT)) for each in found if each["status"] == "done"]
    reconstructions = [(title, pictured(kind, kept["reconstructions"])) for title, kept in done]
    samples = [(title, pictured(kind, kept["samples"])) for title, kept in done]
    size = first[0].numel() * (1 if kind.converts else 2)  # sounds as 16-bit samples
    title = f"originals: {size:,} bytes each; every other row: {budget / 8:,.0f} bytes a {kind.noun[0]}"
    title = title.replace("a image", "an image")
    heads = class_heads(images.held_out, len(first))
    sheet = before_after_sheet([("original", originals), *reconstructions], title=title, heads=heads)
    save(sheet, path / "pictures" / "reconstructions.png")
    save(before_after_sheet([("", originals)], heads=heads), path / "pictures" / "originals.png")
    rows = [(f"the same held-out {kind.noun[1]}, each from {budget:,.0f} bits", []), ("original", originals)]
    rows += [*reconstructions, ("made up: latents drawn from each rung's prior, decoded", []), *samples]
    save(before_after_sheet(rows, columns=SHOWN, heads=heads), path / "pictures" / "four_rungs.png")


def class_heads(source: Source, count: int) -> list[str]:
    """The names of the classes of a source's ``shown_items`` (empty: of an unknown one); none without labels."""
    if source.labels is None:
        return []
    labels = [int(source.labels[place]) for place in shown_items(source, count)]
    return [class_label(label, source.class_names) if label >= 0 else "" for label in labels]


def play_sounds(path: Path, images: Images, found: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Write the first held-out sounds, what each rung makes of them and what it makes up, where a rate is known."""
    kind = images.held_out.kind
    if kind.rate is None or kind.axes != 1:
        return []
    originals = shown_signals(images.held_out, SHOWN)[:_PLAYED]
    takes = [(f"original {number}", each) for number, each in enumerate(originals)]
    for each in found:
        if each["status"] == "done":
            kept = load_file(path / each["key"] / _KEPT)
            for name, title in (("reconstructions", each["title"]), ("samples", f"{each['title']}: new")):
                takes += [(f"{title} {number}", sound) for number, sound in enumerate(kept[name][:_PLAYED])]
    written = []
    (path / "sounds").mkdir(exist_ok=True)
    for place, (name, sound) in enumerate(takes):
        file = f"{place:03d}.wav"
        write_wav(path / "sounds" / file, sound.numpy(), kind.rate, durable=False, made="sample")
        written.append({"name": name, "file": file})
    return written

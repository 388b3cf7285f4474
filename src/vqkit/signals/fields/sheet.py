"""Sheets of fields: original above reconstruction above error, with the bars of their colors and their units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow

from vqkit.pictures import before_after_sheet
from vqkit.signals.base import Array
from vqkit.signals.fields.colors import color_bar, gap_note, known_ends
from vqkit.signals.fields.drawing import Scale, draw_channel, draw_composite

_SHOWN, _PICTURES, _SPACE = 3, 12, 18


def draw_sheet(
    rows: Sequence[tuple[str, Sequence[Array]]],
    rgb: tuple[int, ...] = (),
    names: Sequence[str] = (),
    columns: int | None = None,
) -> Pillow.Image:
    """Return items ``[C, *grid]`` in rows with their colors' bars below; of two rows the difference too.

    All pictures of a channel have one scale, that of the first row (of curves too), and so have all errors. Of several
    channels the first three are shown, beside each other.

    Args:
        rows: a caption and items; gaps of the first row are gaps in all.
        rgb: the channels, from 1, that are red, green and blue (each stretched from the 2nd to the 98th percentile of
            the item), or one channel to show; (): see above. Those that the items lack are as if none was said.
        names: of the channels, perhaps with their units.
        columns: items beside each other at most; None: as many as make 12 pictures, of curves 3.

    Example:
        >>> import numpy as np
        >>> from vqkit.signals.fields.sheet import draw_sheet
        >>> fields = [np.arange(2 * 64 * 64.0).reshape(2, 64, 64)]
        >>> sheet = draw_sheet([("original", fields), ("reconstruction", [fields[0] + 3])])
        >>> sheet.height > 3 * 64
        True
    """
    first = [np.asarray(each, np.float64) for each in rows[0][1]]
    channels, axes = len(first[0]), first[0].ndim - 1
    bands = tuple(each - 1 for each in rgb) if rgb and max(rgb) <= channels else ()
    in_color = len(bands) == 3 and axes > 1
    shown = bands or tuple(range(min(channels, _SHOWN)))
    count = min(len(first), max(1, _PICTURES // (1 if in_color else len(shown))))
    first = first[:count]
    masked = [first]
    for _, items in rows[1:]:
        own = [np.asarray(item, np.float64) for item in items[:count]]
        masked.append([np.where(np.isnan(one), np.nan, item) for one, item in zip(first, own, strict=True)])
    errors = [item - one for one, item in zip(first, masked[1], strict=True)] if len(masked) == 2 else []
    captions = [caption for caption, _ in rows]
    words = [names[each] if each < len(names) else f"channel {each + 1}" for each in range(channels)]
    notes = [f"RMSE {_rmse(each[list(shown)]):.3g}" if in_color else "" for each in errors]
    legends: list[Pillow.Image] = []
    pictured: list[list[Pillow.Image]] = [[] for _ in (*masked, *[errors] * bool(errors))]
    if in_color:
        ends = [[known_ends([item[band]]) for band in bands] for item in first]
        for row, items in zip(pictured, masked, strict=False):
            row += [draw_composite(item[list(bands)], own) for item, own in zip(items, ends, strict=True)]
        sizes = [np.abs(each[list(bands)]).mean(axis=0) for each in errors]
        if errors:
            scale = Scale(0.0, known_ends(sizes, (0, 99))[1], "sizes")
            pictured[-1] += [draw_channel(each, scale) for each in sizes]
            legends.append(color_bar("mean absolute error of the three", scale.low, scale.high, scale.table))
        heads = [", ".join(words[band] if names else str(band + 1) for band in bands)] * count
    else:
        scales = [Scale.of([item[band] for item in first], axes) for band in shown]
        far = [Scale.of_errors([each[band] for each in errors], axes) if errors else None for band in shown]
        for number in range(count):
            for at, band in enumerate(shown):
                for row, items in zip(pictured, masked, strict=False):
                    row.append(draw_channel(items[number][band], scales[at]))
                own_far = far[at]
                if own_far is not None:
                    pictured[-1].append(draw_channel(errors[number][band], own_far))
        heads = [words[band] if len(shown) > 1 or names or rgb else "" for band in shown] * count
        notes = [f"RMSE {_rmse(each[band]):.3g}" for each in errors for band in shown]
        for at, band in enumerate(shown if axes > 1 else ()):
            legends.append(color_bar(words[band], scales[at].low, scales[at].high, scales[at].table))
            own_far = far[at]
            if own_far is not None:
                legends.append(color_bar(f"error of {words[band]}", own_far.low, own_far.high, own_far.table))
    if axes > 1 and any(np.isnan(item[list(shown)]).any() for item in first):
        legends.append(gap_note())
    captions += ["error"] * bool(errors)
    title = "" if in_color or len(shown) == channels or rgb else f"{len(shown)} of {channels} channels"
    each = 1 if in_color else len(shown)
    beside = (3 if axes == 1 else _PICTURES) // each if columns is None else columns
    sheet = before_after_sheet(
        list(zip(captions, pictured, strict=True)),
        columns=max(1, beside) * each,
        heads=heads if any(heads) else (),
        notes=notes if any(notes) else (),
        title=title,
    )
    return _with_legends(sheet, legends)


def _rmse(error: Array) -> float:
    known = error[np.isfinite(error)]
    return float(np.sqrt(np.square(known).mean())) if known.size else 0.0


def _with_legends(sheet: Pillow.Image, legends: list[Pillow.Image]) -> Pillow.Image:
    """A sheet with pictures below it, as many a line as fit."""
    if not legends:
        return sheet
    width = max(sheet.width, *(each.width + _SPACE for each in legends))
    places: list[tuple[int, int]] = []
    left, top = _SPACE // 2, 0
    for each in legends:
        if left > _SPACE // 2 and left + each.width > width:
            left, top = _SPACE // 2, top + each.height + 6
        places.append((left, top))
        left += each.width + _SPACE
    whole = Pillow.new("RGB", (width, sheet.height + top + legends[0].height + 8), "white")
    whole.paste(sheet, (0, 0))
    for each, (x, y) in zip(legends, places, strict=True):
        whole.paste(each, (x, sheet.height + 2 + y))
    whole.info.update(sheet.info)
    return whole

"""The bodies of the FILE and GROUP sections: headers to bytes and back."""

from __future__ import annotations

import struct

from vqkit.coding.fields import Fields, signed_varint, varint
from vqkit.coding.frequencies import MAX_ALPHABET
from vqkit.coding.headers import (
    DIGEST_BYTES,
    ENTROPY_MODELS,
    MAX_CHANNELS,
    MAX_CODEBOOKS,
    MAX_DOWNSAMPLING,
    MAX_LENGTH,
    MAX_MIXED,
    MAX_SIGNALS,
    NUMBER_TYPES,
    FileHeader,
    GroupHeader,
)
from vqkit.coding.names import MAX_NAME_BYTES, read_shortened_names, shortened_names
from vqkit.coding.sections import MAX_BODY
from vqkit.coding.tiles import grid_of
from vqkit.errors import ConfigError

_PIXEL_MODEL = 1 << 4
_ANY_FACTORS = 17
"""In place of log2 of the downsampling: a factor for each axis follows."""
_NAMES, _LOSSLESS, _TILED, _LAYERED, _GOES_ON, _MIXED, _GAPS, _BOUNDED = 1, 2, 4, 8, 16, 32, 64, 128


def file_body(header: FileHeader) -> bytes:
    """The FILE section's body."""
    flags = header.axes | ENTROPY_MODELS.index(header.entropy_model) << 2
    flags |= _PIXEL_MODEL if header.pixel_digest else 0
    return b"".join(
        [
            bytes([flags]),
            _downsampling_bytes(header.factors),
            varint(header.channels),
            varint(header.codebook_size),
            varint(header.num_codebooks),
            header.tokenizer,
            header.entropy_digest,
            header.pixel_digest,
        ]
    )


def read_file_body(body: bytes) -> FileHeader:
    """The header in a FILE section.

    Raises:
        BitstreamError: it is damaged.
    """
    fields = Fields(body, "FILE")
    flags, shift = fields.byte(), fields.byte()
    model, axes = flags >> 2 & 3, flags & 3
    if flags >> 5 or model >= len(ENTROPY_MODELS) or shift > _ANY_FACTORS:
        raise fields.damage(f"begins with {flags:#04x} {shift:#04x}, which version 1 does not know")
    return FileHeader(
        axes=axes,
        downsampling=1 << shift if shift != _ANY_FACTORS else _read_factors(fields, axes),
        channels=fields.varint("channels", 1, MAX_CHANNELS),
        codebook_size=fields.varint("codebook_size", 1, MAX_ALPHABET),
        num_codebooks=fields.varint("num_codebooks", 1, MAX_CODEBOOKS),
        tokenizer=fields.take(DIGEST_BYTES),
        entropy_model=ENTROPY_MODELS[model],
        entropy_digest=fields.take(DIGEST_BYTES if model else 0),
        pixel_digest=_last(fields, fields.take(DIGEST_BYTES if flags & _PIXEL_MODEL else 0)),
    )


def _downsampling_bytes(factors: tuple[int, ...]) -> bytes:
    """log2 of a power of two that all axes share; else 17, and a factor for each axis."""
    if len(set(factors)) == 1 and factors[0] & (factors[0] - 1) == 0:
        return bytes([factors[0].bit_length() - 1])
    return bytes([_ANY_FACTORS]) + b"".join(map(varint, factors))


def _read_factors(fields: Fields, axes: int) -> int | tuple[int, ...]:
    if not axes:
        raise fields.damage("has a downsampling for each axis, but no axes")
    factors = tuple(fields.varint("downsampling", 1, MAX_DOWNSAMPLING) for _ in range(axes))
    if _downsampling_bytes(factors)[0] != _ANY_FACTORS:
        raise fields.damage(f"has downsampling {factors} in a longer form than it needs")
    return factors if len(set(factors)) > 1 else factors[0]


def _last(fields: Fields, value: bytes) -> bytes:
    """``value``, the last field of a body."""
    fields.end()
    return value


def group_body(group: GroupHeader, header: FileHeader) -> bytes:
    """The GROUP section's body."""
    shape = group.tile_shape(header)
    tiled = shape != grid_of(group.size, header.downsampling)
    layered = len(group.layers) > 1
    flags = (_NAMES * bool(group.names)) | (_LOSSLESS * group.lossless) | (_TILED * tiled) | (_LAYERED * layered)
    flags |= (
        (_GOES_ON * group.goes_on)
        | (_MIXED * bool(group.sizes))
        | (_GAPS * bool(group.gaps))
        | (_BOUNDED * bool(group.bounds))
    )
    size = _sizes_bytes(group.sizes) if group.sizes else b"".join(map(varint, group.size))
    parts = [bytes([flags]), varint(group.signals), size, varint(group.codebooks)]
    parts += map(varint, shape if tiled else ())
    parts += map(varint, (len(group.layers), *group.layers) if layered else ())
    for packed in group.gaps:
        parts += [varint(len(packed)), packed]
    if group.bounds:
        parts.append(bytes([NUMBER_TYPES.index(group.number_type)]))
        parts += [struct.pack(">d", bound + 0.0) for bound in group.bounds]
    if group.sizes:
        return b"".join([*parts, shortened_names(group.names)])
    for name in group.names:
        raw = name.encode("utf-8")
        parts += [varint(len(raw)), raw]
    return b"".join(parts)


def read_group_body(body: bytes, header: FileHeader) -> GroupHeader:
    """The header in a GROUP section.

    Raises:
        BitstreamError: it is damaged, or does not belong in a file with this header.
    """
    fields = Fields(body, "GROUP")
    flags = fields.byte()
    if (
        (flags & _GAPS and flags & _LOSSLESS)
        or (flags & _BOUNDED and flags & (_LOSSLESS | _GOES_ON | _MIXED))
        or (flags & _MIXED and flags & (_TILED | _LOSSLESS | _GOES_ON))
    ):
        raise fields.damage(f"has flags {flags:#04x}, which version 1 does not know or not together")
    signals = fields.varint("signals", 1, MAX_MIXED if flags & _MIXED else MAX_SIGNALS)
    sizes = _read_sizes(fields, signals, header.axes) if flags & _MIXED else ()
    size = sizes[0] if sizes else tuple(fields.varint("a length in size", 1, MAX_LENGTH) for _ in range(header.axes))
    codebooks = fields.varint("codebooks", 1, header.num_codebooks)
    grid = grid_of(size, header.downsampling)
    tile: tuple[int, ...] | None = None
    layers: tuple[int, ...] = ()
    if flags & _TILED:
        tile = tuple(fields.varint("a length in tile", 1, length) for length in grid)
        if tile == grid:
            raise fields.damage("has a tile that is the whole grid")
    if flags & _LAYERED:
        layers = tuple(
            fields.varint("codebooks of a layer", 1, codebooks)
            for _ in range(fields.varint("layers", 2, max(2, codebooks)))
        )
    gaps = tuple(
        fields.take(fields.varint("bytes of gaps", 0, MAX_BODY)) for _ in range(signals if flags & _GAPS else 0)
    )
    if flags & _GAPS and not any(gaps):
        raise fields.damage("says that there are gaps, and has none")
    bounds: tuple[float, ...] = ()
    number_type = ""
    if flags & _BOUNDED:
        number = fields.byte()
        if number >= len(NUMBER_TYPES):
            raise fields.damage(f"has a type of numbers {number}, which nobody knows")
        number_type = NUMBER_TYPES[number]
        bounds = struct.unpack(f">{header.channels}d", fields.take(8 * header.channels))
    named = signals if flags & _NAMES else 0
    if sizes:
        names = read_shortened_names(fields, named)
    else:
        names = tuple(fields.text("name", MAX_NAME_BYTES) for _ in range(named))
    fields.end()
    try:
        group = GroupHeader(
            signals=signals,
            size=size,
            codebooks=codebooks,
            layers=layers,
            tile=tile,
            names=names,
            lossless=bool(flags & _LOSSLESS),
            goes_on=bool(flags & _GOES_ON),
            sizes=sizes,
            gaps=gaps,
            bounds=bounds,
            number_type=number_type,
        )
        group.check(header)
    except ConfigError as error:
        raise fields.damage(f"holds what no writer writes: {error}") from error
    return group


def _sizes_bytes(sizes: tuple[tuple[int, ...], ...]) -> bytes:
    """Of each signal on each axis what its length is more than that of the signal before; of the first, than 0."""
    found, before = bytearray(), (0,) * len(sizes[0])
    for size in sizes:
        found += b"".join(signed_varint(length - last) for length, last in zip(size, before, strict=True))
        before = size
    return bytes(found)


def _read_sizes(fields: Fields, signals: int, axes: int) -> tuple[tuple[int, ...], ...]:
    if not axes:
        raise fields.damage("has several sizes, but no axes")
    found: list[tuple[int, ...]] = []
    before: tuple[int, ...] = (0,) * axes
    for _ in range(signals):
        before = tuple(last + fields.signed_varint("a difference of sizes", MAX_LENGTH) for last in before)
        if not all(1 <= length <= MAX_LENGTH for length in before):
            raise fields.damage(f"has size {before}, allowed are 1 to {MAX_LENGTH} on each axis")
        found.append(before)
    return tuple(found)

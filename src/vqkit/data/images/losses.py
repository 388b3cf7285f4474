"""Contents of an image file beyond 8-bit grey or RGB, read from its header: notes and losses."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image

from vqkit.data.images.files import Encoded
from vqkit.data.images.tiff import BITS, PHOTOMETRIC, PLANAR, SAMPLE_FORMAT, SAMPLES, WHITE_IS_ZERO, largest, tag

GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
OVER_WHITE = "transparency laid over white"
_KEPT_MODES = frozenset({"1", "L", "P", "RGB"})  # what 8-bit grey or RGB holds without a loss
_PROFILE = "colour profile"


@dataclass(frozen=True)
class Facts:
    """Properties of an image read from its header.

    Attributes:
        depth: bits of a value in the file.
        bits_per_pixel: of all its channels together.
        notes: what is to be said of it, "file: 16 bits scaled to 8" and the like.
        white: the value that is white after decoding to 8 bits; 255 but for JPEG 2000 of fewer bits.
        white_is_zero: Pillow gives the numbers of the file, in which 0 is white.
        signed: Pillow gives bytes that the file means with a sign.
        planes_of_16_bits: a TIFF whose channels lie apart, which Pillow reads wrongly.
        has_transparency: an alpha channel, a transparent level or a palette with one.
    """

    depth: int
    bits_per_pixel: int
    notes: tuple[str, ...]
    white: int = 255
    white_is_zero: bool = False
    signed: bool = False
    planes_of_16_bits: bool = False
    has_transparency: bool = False

    def opaque(self) -> Facts:
        """The same without the note that transparency was laid over white."""
        return replace(self, notes=tuple(each for each in self.notes if OVER_WHITE not in each))


def facts_of(image: Image.Image, encoded: Encoded) -> Facts:
    """Read the facts of an opened image, before it is decoded."""
    depth, bands = _depth(image, encoded), tag(image, SAMPLES, len(image.getbands()))
    own = len(image.getbands())
    is_tiff, transparent = image.format == "TIFF", image.has_transparency_data
    notes = []
    if depth > 8:
        notes.append(f"file: {depth} bits scaled to 8")
    if transparent:
        notes.append(f"file: {OVER_WHITE}")
    if bands > own:
        extra = bands - own
        notes.append(f"file: {extra} band{'' if extra == 1 else 's'} beyond the first {own} left out")
    if image.mode in ("P", "PA") and image.format != "GIF":  # those of GIF are known to be colours, not classes
        notes.append("file: palette read as RGB colours")
    if image.mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        notes.append(f"file: {image.mode} converted to RGB")
    if image.info.get("icc_profile"):
        notes.append(f"file: {_PROFILE} not applied")
    if (frames := _frames(image)) is not None:
        notes.append(frames)
    rewritten = bool(image.info.get(WHITE_IS_ZERO))
    plain = image.mode == "F" or image.mode.startswith("I")
    return Facts(
        depth=depth,
        bits_per_pixel=depth * bands,
        notes=tuple(notes),
        white=(255 >> (8 - depth)) << (8 - depth) if image.format == "JPEG2000" and depth < 8 else 255,
        white_is_zero=rewritten or (is_tiff and plain and tag(image, PHOTOMETRIC, 1) == 0),
        signed=is_tiff and image.mode == "L" and tag(image, SAMPLE_FORMAT, 1) == 2,
        planes_of_16_bits=is_tiff and depth == 16 and bands > 1 and tag(image, PLANAR, 1) == 2,
        has_transparency=transparent,
    )


def first_loss(image: Image.Image, facts: Facts) -> str | None:
    """Return the most serious loss of reading an opened image as 8-bit gray or RGB, in words; None: lossless."""
    if image.mode not in _KEPT_MODES:
        return f"mode {image.mode}, which is more than 8-bit grey or RGB"
    if facts.has_transparency:
        return "transparency"
    if facts.depth > 8:
        return f"{facts.depth} bits a channel"
    if tag(image, SAMPLES, 1) > len(image.getbands()):
        return "bands beyond the third" if image.mode == "RGB" else "bands beyond the first"
    if _frames(image) is not None:
        return "several frames or pages"
    return f"a {_PROFILE}" if image.info.get("icc_profile") else None


def _frames(image: Image.Image) -> str | None:
    if image.format in ("ICO", "ICNS"):
        return "icon file: largest of its sizes used" if len(image.info.get("sizes", ())) > 1 else None
    if not getattr(image, "is_animated", False) or image.format == "MPO":  # MPO: one photo, plus previews
        return None
    if image.format == "PSD":
        return "layered file: merged picture used"
    return "multi-page file: first page used" if image.format == "TIFF" else "animated file: first frame used"


def _depth(image: Image.Image, encoded: Encoded) -> int:
    """Bits of a value in the file, whatever Pillow makes of them."""
    form = image.format
    if form == "TIFF":
        return largest(image, BITS, 1)
    if form == "JPEG2000":
        return _depth_of_jpeg2000(_start(encoded, 1 << 16))
    if form == "AVIF":
        return _depth_of_avif(_start(encoded, 1 << 16))
    if image.mode == "F":
        return 32
    for _, _, _, arguments in getattr(image, "tile", ()):
        told = arguments if isinstance(arguments, tuple) else (arguments,)
        if form == "PPM" and len(told) > 1 and isinstance(told[1], int) and told[1] > 255:
            return told[1].bit_length()
        raw = next((each for each in told if isinstance(each, str)), "")
        if ";16" in raw and not raw.startswith("BGR"):
            return 16
        if form == "PNG" and raw.partition(";")[2] in ("1", "2", "4"):
            return int(raw.partition(";")[2])
    return 1 if image.mode == "1" else 16 if image.mode.startswith("I") else 8


def _start(encoded: Encoded, count: int) -> bytes:
    if isinstance(encoded, bytes):
        return encoded[:count]
    with encoded.open("rb") as file:
        return file.read(count)


def _depth_of_jpeg2000(data: bytes) -> int:
    """Bits of the deepest component, from the SIZ segment of the codestream."""
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(data) < at + 42:
        return 8
    count = int.from_bytes(data[at + 40 : at + 42], "big")
    depths = [(each & 127) + 1 for each in data[at + 42 : at + 42 + 3 * count : 3]]
    return max(depths, default=8)


def _depth_of_avif(data: bytes) -> int:
    """8, 10 or 12 bits, from the decoder's configuration (av1C: high_bitdepth and twelve_bit)."""
    at = data.find(b"av1C")
    if at < 0 or len(data) < at + 7:
        return 8
    flags = data[at + 6]
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8

"""DICOM series by pydicom: one volume, or its slices, ordered by position, scaled by slope and intercept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np

from vqkit.data.grids.base import GRID_FORMATS, GridFormat, Selection
from vqkit.data.source import Array
from vqkit.errors import DataError
from vqkit.optional import require
from vqkit.storage import atomic

_EXTENSIONS = (".dcm", ".dicom", ".ima")


@GRID_FORMATS.register("dicom", citations=())
@final
class DicomSeries(GridFormat):
    """A folder of one series, ``scan/`` (``scan/:UID`` for one of several), or a file; ``scan/@slices`` for its slices.

    Slices come in the order of their positions along the normal of the image, else of their instance numbers. Values
    are those of the modality (Hounsfield units of a CT): integers where slope and intercept are whole.

    Example:
        >>> from pathlib import Path
        >>> from vqkit.data.grids.dicom import DicomSeries
        >>> DicomSeries.reads(Path("1-001.dcm")), DicomSeries.reads(Path("1-001.png"))
        (True, False)
    """

    extensions: ClassVar[tuple[str, ...]] = _EXTENSIONS

    def __init__(self, path: Path, chosen: Selection) -> None:
        super().__init__(path, chosen)
        self._pydicom = require("pydicom", f"DICOM files ({path})")
        self.refuse_words("slices")
        files = sorted(_dicom_files(path)) if path.is_dir() else [path]
        heads = [(file, self._read(file, pixels=False)) for file in files]
        series: dict[str, list[tuple[Path, Any]]] = {}
        for file, head in heads:
            if "Rows" in head:
                series.setdefault(str(head.get("SeriesInstanceUID", "")), []).append((file, head))
        wanted = chosen.names[0] if chosen.names else next(iter(series), "")
        if wanted not in series or (len(series) > 1 and not chosen.names):
            found = ", ".join(f"{uid} ({len(each)} files)" for uid, each in series.items()) or "no images"
            raise DataError(f"{path} holds {found}: name one series, FOLDER:UID")
        own = series[wanted]
        sizes = {(int(head.Rows), int(head.Columns), int(head.get("NumberOfFrames", 1))) for _, head in own}
        if len(sizes) > 1:
            raise DataError(f"{path}: slices of {len(sizes)} sizes in one series ({wanted}): put them apart")
        if any(int(head.get("SamplesPerPixel", 1)) != 1 for _, head in own):
            raise DataError(f"{path}: pictures in colour; convert them to PNG, which is read as images")
        order = _order([head for _, head in own])
        self._files = [own[at][0] for at in order]
        self._heads = [own[at][1] for at in order]
        frames = next(iter(sizes))[2]
        self._planes = len(self._files) * frames
        self._type = _type(self._heads)
        self.channel_names = (str(self._heads[0].get("Modality", "")) or "values",)
        self.units = (str(self._heads[0].get("RescaleType", "") or ""),)
        slices = "slices" in chosen.words or self._planes == 1
        self.axes = 2 if slices else 3
        names = [file.stem + (f",frame={at}" if frames > 1 else "") for file in self._files for at in range(frames)]
        self.item_names = names if slices and len(set(names)) == len(names) else None

    def _read(self, file: Path, *, pixels: bool) -> Any:
        try:
            return self._pydicom.dcmread(file, stop_before_pixels=not pixels)
        except Exception as error:  # of pydicom and the system
            raise DataError(f"{file} cannot be read as DICOM: {' '.join(str(error).split())[:200]}") from error

    def _plane(self, file: Path) -> Array:
        """The frames of a file ``[n, H, W]``, scaled."""
        whole = self._read(file, pixels=True)
        try:
            values: Array = np.asarray(whole.pixel_array)
        except Exception as error:  # cut short, or packed in a way that needs another package
            raise DataError(f"{file}: no pixels that can be read ({' '.join(str(error).split())[:200]})") from error
        slope, offset = _scale(whole)
        scaled = values.astype(np.float64) * slope + offset
        frames = scaled if scaled.ndim == 3 else scaled[None]
        return frames.astype(self._type)

    def blocks(self) -> Iterator[Array]:
        """See ``GridFormat.blocks``: slices one by one, or the volume."""
        planes = (self._plane(file) for file in self._files)
        if self.axes == 2:
            yield from (each[:, None] for each in planes)
        else:
            yield np.concatenate(list(planes))[None, None]

    def check_out(self, out: Path) -> None:
        """See ``GridFormat.check_out``: a series is a folder, one file a file."""
        if self.path.is_dir() == self.reads(out):
            wanted = "a folder" if self.path.is_dir() else f"a file, with a name that ends in {', '.join(_EXTENSIONS)}"
            raise DataError(f"{out}: what is like {self.path} is {wanted}; give such a name")

    def write(self, values: Array, out: Path) -> None:
        """Write the files of the source with other pixels: derived images, in a series of their own.

        Marked as compressed with losses where a stored value differs (DICOM PS3.3, C.7.6.1.1.5). Pixels are not packed.
        """
        first = self._heads[0]
        grid = (int(first.Rows), int(first.Columns))
        self.check_values(values, (self._planes, 1, *grid) if self.axes == 2 else (1, 1, self._planes, *grid))
        if np.isnan(values).any():
            raise DataError(f"{self.path} has no number for gaps, and the decoded have gaps: write .npy instead")
        planes = values.reshape(len(self._files), -1, *grid)
        if self.path.is_dir():
            with atomic.new_folder(out) as folder:
                for file, own in zip(self._files, planes, strict=True):
                    self._derived(file, own).save_as(folder / file.name)
        else:
            atomic.write_file(out, lambda path: self._derived(self._files[0], planes[0]).save_as(path))

    def _derived(self, file: Path, frames: Array) -> Any:
        """The data set of a file with other pixels ``[n, H, W]``, in the units of the modality."""
        made = self._read(file, pixels=True)
        before = np.asarray(made.pixel_array).reshape(frames.shape)
        slope, offset = _scale(made)
        bits, signed = int(made.get("BitsStored", 16)), int(made.get("PixelRepresentation", 0))
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        stored = np.rint((frames.astype(np.float64) - offset) / slope).clip(low, high).astype(before.dtype)
        uids = self._pydicom.uid
        made.file_meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
        made.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
        made["PixelData"].VR = "OW" if stored.dtype.itemsize > 1 else "OB"
        made["PixelData"].is_undefined_length = False
        made.ImageType = ["DERIVED", *list(made.get("ImageType", ["", "SECONDARY"]))[1:]]
        made.DerivationDescription = "decoded by vqkit"
        for name in ("SOPInstanceUID", "SeriesInstanceUID"):
            setattr(made, name, uids.generate_uid(entropy_srcs=[str(made.get(name, "")), "vqkit"]))
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        if not np.array_equal(stored, before):
            made.LossyImageCompression = "01"
        return made


def holds_dicom(folder: Path) -> bool:
    """Return whether DICOM files lie in a folder, by their names.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from vqkit.data.grids.dicom import holds_dicom
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     holds_dicom(Path(folder))
        False
    """
    return any(True for _ in _dicom_files(folder))


def _dicom_files(folder: Path) -> Iterator[Path]:
    return (each for each in folder.iterdir() if each.name.lower().endswith(_EXTENSIONS) and each.is_file())


def _scale(head: Any) -> tuple[float, float]:
    return float(head.get("RescaleSlope", 1) or 1), float(head.get("RescaleIntercept", 0) or 0)


def _type(heads: list[Any]) -> np.dtype[Any]:
    """int16 or int32 of whole numbers, as they need it; else float32."""
    ends: list[float] = []
    for head in heads:
        slope, offset = _scale(head)
        if not (slope.is_integer() and offset.is_integer()):
            return np.dtype(np.float32)
        bits, signed = int(head.get("BitsStored", 16)), int(head.get("PixelRepresentation", 0))
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        ends += [low * slope + offset, high * slope + offset]
    small = np.iinfo(np.int16)
    return np.dtype(np.int16 if small.min <= min(ends) and max(ends) <= small.max else np.int32)


def _order(heads: list[Any]) -> list[int]:
    places = []
    for head in heads:
        where, turned = head.get("ImagePositionPatient"), head.get("ImageOrientationPatient")
        if where is None or turned is None:
            return sorted(range(len(heads)), key=lambda at: int(heads[at].get("InstanceNumber", 0) or 0))
        axes = np.array(turned, float)
        places.append(float(np.dot(np.cross(axes[:3], axes[3:]), np.array(where, float))))
    return [int(at) for at in np.argsort(places, kind="stable")]

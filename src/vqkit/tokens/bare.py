"""Indices of other programs: a file without a description, read as a token set of the model that is to decode it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.checking import counted, shown
from vqkit.data.arrays.npy import read_npy
from vqkit.errors import ConfigError, DataError
from vqkit.models import IndexModel
from vqkit.optional import require
from vqkit.storage.mirror import Mirror
from vqkit.storage.remote import is_url, whole_url
from vqkit.tokens.shards import Indices
from vqkit.tokens.tokens import BARE, Tokens

EXTENSIONS = (".npy", ".parquet")
_ITEMS = 1 << 14


class BareTokens(Tokens):
    """Tokens without a description: nobody says which model made them, so their shape and range alone are checked.

    Args:
        path: the file.
        items: the indices of each item, ``[*grid]`` or ``[*grid, codebooks]``; or of all in one array.
        sizes: of each item's signal; None: what the decoder gives.
        model: that decodes them.

    Raises:
        DataError: no integers, below 0, above the codebook, or of other axes than the model's.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> import vqkit
        >>> from vqkit.tokens import BareTokens
        >>> model = vqkit.VQVAE(16, hidden_channels=8, residual_channels=4)
        >>> BareTokens(Path("indices.npy"), [np.array([[1, 2], [3, 4]])], None, model)
        <BareTokens: 1 items, 2 x 2, 16 codes, npy, indices.npy>
    """

    def __init__(
        self,
        path: Path,
        items: Sequence[Indices] | npt.NDArray[Any],
        sizes: Sequence[tuple[int, ...]] | None,
        model: IndexModel,
    ) -> None:
        self.path, self.manifest, self.kind = path, {}, path.suffix[1:]
        self.codebook_size, self.num_codebooks = model.codebook_size, model.num_codebooks
        if model.num_codebooks > 1 and model.quantizer.nested and len(items) and items[0].ndim > 1:
            self.num_codebooks = min(items[0].shape[-1], model.num_codebooks)  # the first ones of a residual stack
        self.url: str | None = None
        self.kept, self.replaced, self.vocabulary = 0, "", None
        self._items, self._model, self._given = items, model, sizes
        axes = (0 if model.vector else model.axes) + (self.num_codebooks > 1)
        books = f", with {self.num_codebooks} codebooks as the last" if self.num_codebooks > 1 else ""
        one_array = isinstance(items, np.ndarray)
        for number, item in enumerate(items[:1] if one_array and self._in_range(items) else items):
            if item.dtype.kind not in "iu":
                raise DataError(f"{path}: item {number} is {item.dtype}; indices are integers")
            if item.ndim != axes or item.size == 0 or (books and item.shape[-1] != self.num_codebooks):
                raise DataError(
                    f"{path}: item {number} has shape {list(item.shape)}; the model's have {axes} axes{books}"
                )
            low, high = int(item.min()), int(item.max())
            if low < 0 or high >= self.codebook_size:
                raise DataError(
                    f"{path}: item {number} holds indices {low}..{high}; the model has {self.codebook_size:,} codes, "
                    f"0..{self.codebook_size - 1}"
                )
        shapes = {self._grid(item) for item in (items[:1] if one_array else items)}
        self.grid = shapes.pop() if len(shapes) == 1 else None

    def _in_range(self, items: Any) -> bool:
        """Whether an array holds indices of the codebook alone, looked at without an array for each item."""
        if items.dtype.kind not in "iu" or items.size == 0:
            return False
        blocks = (items[start : start + _ITEMS] for start in range(0, len(items), _ITEMS))
        return all(int(block.min()) >= 0 and int(block.max()) < self.codebook_size for block in blocks)

    def __len__(self) -> int:
        return len(self._items)

    def _item(self, index: int) -> Indices:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        return np.array(self._items[index])

    def size(self, index: int) -> tuple[int, ...]:
        """Return the size of item ``index``'s signal: as the file says, or all that its grid decodes to."""
        if self._given is not None:
            return self._given[index]
        sides = self._model.downsampling
        factors = [sides] * self._model.axes if isinstance(sides, int) else sides
        return tuple(side * factor for side, factor in zip(self._grid(self._items[index]), factors, strict=True))

    def gaps(self, index: int) -> npt.NDArray[np.bool_] | None:
        """Return None: nobody says where the signals have gaps."""

    def check_maker(self, model_sha256: str, *, any_model: bool) -> None:
        """Accept every model: nobody says which one it was."""

    def check(self) -> None:
        """See ``Tokens.check``: looked at when they were read."""

    def bytes_on_disk(self) -> int:
        """Return the size of the file."""
        return self.path.stat().st_size

    def _grid(self, item: Indices) -> tuple[int, ...]:
        return item.shape[:-1] if self.num_codebooks > 1 else item.shape


def read_indices(path: str | Path, model: IndexModel) -> BareTokens:
    """Read indices that another program wrote, for a model that decodes them.

    Args:
        path: of the file, or its address. ``.npy``: integers ``[items, *grid]`` (``[items, *grid, codebooks]`` where
            there are several); or ``.parquet``: a row for each item with a column ``indices``, nested lists, or flat
            ones with their ``grid`` beside them (without it: the grid of the signals that the model was trained on);
            ``size`` is the signal's.
        model: the tokenizer.

    Raises:
        DataError: neither of these, or no indices of this model.
        MissingExtraError: Parquet without pyarrow.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import vqkit
        >>> from vqkit.tokens import read_indices
        >>> model = vqkit.VQVAE(16, hidden_channels=8, residual_channels=4)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/indices.npy", np.zeros((3, 5, 7), np.int64))
        ...     tokens = read_indices(f"{folder}/indices.npy", model)
        ...     len(tokens), tokens.grid, tokens.size(0)
        (3, (5, 7), (20, 28))
    """
    path = Mirror(whole_url(path)).path("") if is_url(path) else Path(path)
    if path.suffix.lower() not in EXTENSIONS:
        raise ConfigError(f"{path}: indices of other programs are read from {' and '.join(EXTENSIONS)} files")
    if not path.exists():
        raise DataError(f"{path} does not exist; give {BARE}")
    if path.suffix.lower() == ".npy":
        array = read_npy(path, limit=0)
        if array.ndim == 0 or not len(array):
            raise DataError(f"{path}: shape {list(array.shape)}; give integers [items, *grid]")
        return BareTokens(path, array, None, model)
    return _from_parquet(path, model)


def _from_parquet(path: Path, model: IndexModel) -> BareTokens:
    require("pyarrow.parquet", f"indices of Parquet files ({path})")
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        names = parquet.read_schema(path).names
        wanted = [name for name in ("indices", "grid", "size") if name in names]
        table = parquet.read_table(path, columns=wanted)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{path}: not readable as Parquet ({' '.join(str(error).split())[:200]})") from error
    if "indices" not in names or not table.num_rows:
        raise DataError(
            f"{path}: {table.num_rows} rows, columns {', '.join(names)}; give one called 'indices', a row for each item"
        )
    grids = table["grid"].to_pylist() if "grid" in names else [None] * table.num_rows
    items = [
        _item(row, grid, model, f"{path}: item {number}")
        for number, (row, grid) in enumerate(zip(table["indices"].to_pylist(), grids, strict=True))
    ]
    sizes = None
    if "size" in names:
        rows = enumerate(table["size"].to_pylist())
        sizes = [_sides(row, model.axes, f"{path}: item {number}: size") for number, row in rows]
    return BareTokens(path, items, sizes, model)


def _item(row: Any, grid: Any, model: IndexModel, what: str) -> Indices:
    """The indices of a row: nested lists as they are, flat ones in a grid."""
    try:
        found = np.asarray(row)
    except ValueError as error:
        raise DataError(f"{what}: lists of different lengths make no grid") from error
    axes = (0 if model.vector else model.axes) + (model.num_codebooks > 1)
    if found.ndim == axes or found.dtype.kind not in "iu":
        return found
    more = (model.num_codebooks,) if model.num_codebooks > 1 else ()
    if grid is None:
        shape = model.grid(model.training_size())
    else:  # with or without the axis of codebooks
        given = axes if isinstance(grid, list) and len(grid) == axes else axes - bool(more)
        shape = _sides(grid, given, f"{what}: grid")
    shape = shape if shape[len(shape) - len(more) :] == more and len(shape) == axes else (*shape, *more)
    if prod(shape) != found.size:
        raise DataError(
            f"{what} has {found.size:,} indices, which make no grid {list(shape)}; give a column 'grid' beside"
        )
    return found.reshape(shape)


def _sides(row: Any, axes: int, what: str) -> tuple[int, ...]:
    """The sides of a size or a grid, as its column gives them."""
    if not isinstance(row, list) or len(row) != axes or not all(isinstance(side, int) and side > 0 for side in row):
        raise DataError(
            f"{what} is {shown(row)}; give a list of {counted(axes, 'whole number')} above 0, or leave it out"
        )
    return tuple(row)

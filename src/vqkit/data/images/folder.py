"""A folder of images, however nested: decoded into memory where it fits, else read file by file.

The class of an image is the first sub-folder on its path. A folder with images at its root has no classes.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from vqkit.data.images.decoding import Gathered, Item, estimate, gather_images, note_lines, usable_labels
from vqkit.data.images.lazy import FileSource
from vqkit.data.images.reading import EXTENSIONS
from vqkit.data.images.verdict_cache import check_files
from vqkit.data.skipped import Skipped, check_enough_readable, skip_lines
from vqkit.data.source import Source
from vqkit.errors import DataError
from vqkit.resources import resolve_memory_limit
from vqkit.storage.marks import is_made, made_sheets


def load_folder(folder: str | Path, *, memory_limit: int | str | None = None, channels: int | None = None) -> Source:
    """Load every image under a folder as uint8 images, in the sorted order of their relative paths.

    Hidden files and folders are ignored, and folders that vqkit wrote (runs, samples, ...) are left out with a note;
    links to folders are followed, each real folder once. An unreadable file or folder is skipped and named. Where the
    decoded pixels fit in ``memory_limit`` bytes (default: a quarter of physical memory) they are kept in memory; the
    files of larger folders are decoded once to find the unreadable ones, and again whenever an item is read. Results of
    the first decoding are cached on disk: a file is not checked again until it changes.

    Args:
        folder: its path.
        memory_limit: bytes, or a size such as "2GB".
        channels: 1 or 3; None: 3 if any image is in color.

    Raises:
        DataError: a missing or empty folder, one without images, or more than half of them unreadable.
    """
    root = Path(folder)
    limit = resolve_memory_limit(memory_limit)
    left_out: list[str] = []
    closed: list[Skipped] = []
    files = find_images(root, left_out, closed)
    class_names, labels, notes = classes_of_folders(files, root, "images")
    notes += left_out_note(left_out)
    items = [Item(file.relative_to(root).as_posix(), file, label) for file, label in zip(files, labels, strict=True)]
    return _load_items(
        items,
        name=str(folder),
        root=root,
        limit=limit,
        channels=channels,
        class_names=class_names,
        notes=notes,
        closed=closed,
    )


def load_image_file(file: str | Path, *, channels: int | None = None) -> Source:
    """Load one image file as a source of one item.

    Raises:
        DataError: it is missing or unreadable.
    """
    path = Path(file)
    items = [Item(path.name, path)]
    gathered = gather_images(items, limit=resolve_memory_limit(None))
    if gathered is None:
        return _on_demand(items, str(file), path.parent, channels, None, [], [])
    if not gathered.shapes:
        raise DataError(f"{file}: {gathered.skipped[0].reason}; give another image, or a folder of images.")
    return gathered.source(name=str(file), class_names=None, channels=channels)


def find_images(root: Path, left_out: list[str] | None = None, closed: list[Skipped] | None = None) -> list[Path]:
    """Return all image files under ``root`` (see ``find_files``)."""
    words = "images", "an image file ends in .png, .jpg, .webp, .tif, .bmp, .gif or the like"
    return find_files(root, EXTENSIONS, words, left_out, closed)


def find_files(
    root: Path,
    extensions: Collection[str],
    words: tuple[str, str],
    left_out: list[str] | None = None,
    closed: list[Skipped] | None = None,
) -> list[Path]:
    """Return all files under ``root`` of these extensions (lower case; files' in any case), sorted by relative path.

    Real folders are walked first; a linked folder is then entered only if it has not been seen, so that loops end and
    no file comes twice. What vqkit wrote below ``root`` (see ``vqkit.storage.marks``) holds results, not data: such
    folders are left out, and their relative paths added to ``left_out``. Folders that cannot be listed are added to
    ``closed``. ``words`` are for the error where there are none: "images", and which files are such.

    Raises:
        DataError: no folder, one that cannot be listed, or no such file in it.
    """
    made = [] if left_out is None else left_out
    closed = [] if closed is None else closed
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; give the path of a folder that holds {words[0]}.")
    files: list[Path] = []
    others = 0
    seen: set[tuple[int, int]] = set()
    folders, links = [root], list[Path]()
    while folders or links:
        if not folders:
            links.sort(reverse=True)
            folders.append(links.pop())
        folder = folders.pop()
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if folder == root:
                raise DataError(f"{root} cannot be listed: {error.strerror}; check its permissions.") from error
            name = f"{folder.relative_to(root).as_posix()}/"
            closed.append(Skipped(name, f"this folder cannot be listed ({error.strerror}): all in it is left out"))
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        if folder != root and is_made(folder, {entry.name for entry in entries}):
            made.append(folder.relative_to(root).as_posix())
            continue
        sheets = made_sheets(folder, {entry.name for entry in entries})
        made += [(folder / name).relative_to(root).as_posix() for name in sheets]
        for entry in entries:
            if entry.name.startswith(".") or entry.name in sheets:
                continue
            path = folder / entry.name
            if _is_folder(entry):
                (links if entry.is_symlink() else folders).append(path)
            elif _is_file(entry, path, extensions):
                files.append(path)
            else:
                others += 1
    if not files:
        found = f"{others:,} files of other kinds" if others else "no files at all"
        found = "; ".join([found, *left_out_note(made)])
        if closed:
            found += f"; {len(closed):,} folders cannot be listed: {'; '.join(skip_lines(closed, 5))}"
        raise DataError(f"{root} holds no {words[0]} ({found}); {words[1]}, in this folder or below it.")
    return sorted(files, key=lambda file: file.relative_to(root).parts)


def left_out_note(left_out: list[str]) -> list[str]:
    """Return one note on the folders and sheets left out because vqkit wrote them, or an empty list."""
    if not left_out:
        return []
    first = sorted(left_out)[0]
    more = f" and {len(left_out) - 1:,} more" if len(left_out) > 1 else ""
    return [f"left out what vqkit wrote: {first}{more} (to read it all the same, name it as DATA)"]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return True if an entry is a folder or a link to one; a broken or circular link is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str], path: Path, extensions: Collection[str]) -> bool:
    """Return True if an entry has one of these extensions; broken links too, so that they are reported as skipped."""
    try:
        return path.suffix.lower() in extensions and (entry.is_symlink() or entry.is_file())
    except OSError:
        return True


def classes_of_folders(files: list[Path], root: Path, noun: str) -> tuple[list[str] | None, list[int], list[str]]:
    """Return class names, one label per file (-1: none), and notes: the classes are the first sub-folders."""
    tops = [parts[0] if len(parts := file.relative_to(root).parts) > 1 else None for file in files]
    names = sorted({top for top in tops if top is not None})
    at_root = tops.count(None)
    if not names or at_root:
        note = f"{at_root:,} {noun} lie beside the sub-folders: no classes"
        return None, [-1] * len(files), [note] if names else []
    number = {name: label for label, name in enumerate(names)}
    return names, [number[top] for top in tops if top is not None], []


def _load_items(
    items: list[Item],
    *,
    name: str,
    root: Path,
    limit: int,
    channels: int | None,
    class_names: list[str] | None,
    notes: list[str],
    closed: list[Skipped],
) -> Source:
    guess = estimate(items)
    gathered: Gathered | None = None
    if guess.mean_bytes * len(items) <= limit:
        gathered = gather_images(items, limit=limit, chunk=guess.chunk)
    if gathered is None:
        return _on_demand(items, name, root, channels, class_names, notes, closed)
    gathered.skipped[:0] = closed
    check_enough_readable(name, len(gathered.shapes), gathered.skipped)
    return gathered.source(name=name, class_names=class_names, channels=channels, notes=notes)


def _on_demand(
    items: list[Item],
    name: str,
    root: Path,
    channels: int | None,
    class_names: list[str] | None,
    notes: list[str],
    closed: list[Skipped],
) -> FileSource:
    found = check_files(items, root)
    skipped = [*closed, *found.skipped]
    check_enough_readable(name, len(found.kept), skipped)
    return FileSource(
        [item.encoded for item in found.kept if isinstance(item.encoded, Path)],
        found.size_array(),
        root=root,
        channels=channels or found.channels,
        name=name,
        labels=usable_labels([item.label for item in found.kept]),
        class_names=class_names,
        skipped=skipped,
        notes=[*notes, *note_lines(found.notes)],
        position_bits=found.bits,
    )

"""Files to rows: JSON in every arrangement, delimited text, Parquet; plain, compressed or zipped.

Nothing is lost and nothing is invented: whatever a file holds comes out as a `Row`, or as a `Bad` that says why not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from doit.reading.containers import compressed, is_parquet, open_file, texts, undecodable
from doit.reading.cut_lines import CutRows
from doit.reading.delimited import delimited_rows
from doit.reading.json_rows import cut_json_rows, first_lines, json_rows, reads_lines, whole_value
from doit.reading.parquet_rows import parquet_rows
from doit.reading.raw import CHUNK_BYTES, Bad, Batch, Layout, Row
from doit.reading.text import Broken, Text

__all__ = ["Bad", "Batch", "CutRows", "Layout", "Row", "read_cut", "read_rows", "read_span", "spans"]

B = TypeVar("B", bound=Batch | CutRows)

_TABLES = (".csv", ".tsv", ".tab")


def read_rows(path: Path, layout: Layout) -> Iterator[list[Row | Bad]]:
    """Read the rows of one file.

    The content decides what the file is; its name matters only to tell delimited text, and to break ties.

    Args:
        path: of a file.
        layout: where it keeps its rows, and what must be declared because it is never guessed.

    Yields:
        Batches of up to 4,096 rows or about 4 MiB of text, in file order. Rows are numbered from 0 over good and bad
        ones, and on through the members of a zip archive. An empty file yields nothing.

    Raises:
        SpecError: there is no such file (D206), or the layout names an unknown encoding or compression (D203) or an
            impossible delimiter (D204).
        StorageError: the disk does not give the file (D104).
    """
    return _read(path, layout, json_rows)


def read_cut(path: Path, layout: Layout, span: tuple[int, int] | None = None) -> Iterator[Batch | CutRows]:
    """The rows of `read_rows`, or of a stretch as of `read_span`; those of JSON lines that are alike as columns."""
    return _read(path, layout, cut_json_rows) if span is None else _read_span(path, *span, cut_json_rows)


def _read(path: Path, layout: Layout, json_reader: Callable[[Text, str, int], Iterator[B]]) -> Iterator[B | Batch]:
    if layout.compression is None and is_parquet(path):
        yield from parquet_rows(path)
        return
    first = 0
    for text in texts(path, layout):
        if isinstance(text, Bad):
            yield [text]
            continue
        for batch in _text_rows(text, layout, first, json_reader):
            first = _next_row(batch, first)
            yield batch


def spans(path: Path, layout: Layout, size: int) -> list[tuple[int, int]]:
    """Cut a large file of JSON lines into stretches of whole lines that can be read apart.

    Args:
        path: of a file.
        layout: as for `read_rows`.
        size: bytes of a stretch, about; every stretch but the last ends at the first line feed past a multiple of it,
            so that a file which only grows keeps its first stretches.

    Returns:
        (start, stop) offsets; none for a file that must be read as a whole, which is any other than plain UTF-8 lines.
    """
    declared = layout.encoding or layout.columns or layout.delimiter or layout.compression
    if declared or layout.rows not in ("auto", "lines") or path.stat().st_size < 2 * size or is_parquet(path):
        return []
    if path.name.lower().endswith(_TABLES) or not _is_plain_lines(path, layout):
        return []
    cuts = [0]
    with open_file(path) as file:
        whole = path.stat().st_size
        for goal in range(size, whole - size // 2, size):
            file.seek(max(goal, cuts[-1]))
            while (part := file.readline(CHUNK_BYTES)) and not part.endswith(b"\n"):
                pass
            if cuts[-1] < file.tell() < whole:
                cuts.append(file.tell())
    return list(zip(cuts, [*cuts[1:], whole], strict=True))


def read_span(path: Path, start: int, stop: int) -> Iterator[Batch]:
    """Read one stretch of `spans`; rows are numbered from 0 in the stretch, bytes from the beginning of the file."""
    return _read_span(path, start, stop, json_rows)


def _read_span(path: Path, start: int, stop: int, json_reader: Callable[[Text, str, int], Iterator[B]]) -> Iterator[B]:
    with open_file(path) as file:
        file.seek(start)
        chunks = (file.read(min(CHUNK_BYTES, stop - at)) for at in range(start, stop, CHUNK_BYTES))
        text = Text(chunks, name=path.name, start=start)
        yield from json_reader(text, "lines", 0)


def _is_plain_lines(path: Path, layout: Layout) -> bool:
    """Whether a file is one uncompressed UTF-8 text that is read line by line."""
    with open_file(path) as file:
        if compressed(file.read(8)):
            return False
    for text in texts(path, layout):
        return not isinstance(text, Bad) and not _foreign_start(text) and reads_lines(text, layout.rows)
    return False


def _text_rows(
    text: Text, layout: Layout, first: int, json_reader: Callable[[Text, str, int], Iterator[B]]
) -> Iterator[B | Batch]:
    """Every batch of a text; then, where its archive ends too early, a `Bad` with the unfinished line."""
    try:
        yield from _reader(text, layout, first, json_reader)
    except Broken as broken:
        reason, *rest = broken.args
        data, byte = rest if rest else (b"", None)
        yield [text.bad(None, byte, "D308", reason, data)]


def _reader(
    text: Text, layout: Layout, first: int, json_reader: Callable[[Text, str, int], Iterator[B]]
) -> Iterator[B | Batch]:
    declared = layout.delimiter is not None or layout.columns is not None
    if declared or (layout.rows == "auto" and text.name.lower().endswith(_TABLES) and not _is_json(text)):
        return delimited_rows(text, layout, first)
    if bad := _foreign_start(text):
        return iter([[bad]])
    return json_reader(text, layout.rows, first)


def _next_row(batch: Batch | CutRows, first: int) -> int:
    if isinstance(batch, CutRows):
        return batch.stop
    return next((row.row + 1 for row in reversed(batch) if row.row is not None), first)


def _is_json(text: Text) -> bool:
    """Whether a file that is called a table holds JSON after all."""
    lines = first_lines(text)
    if not lines or lines[0][:1] not in (b"{", b"["):
        return False
    return lines[0] in (b"{", b"[") or isinstance(whole_value(lines[0]), (dict, list))


def _foreign_start(text: Text) -> Bad | None:
    """The text as a whole, if its first character and most of its lines are in an encoding that nobody declared."""
    start = text.head(4096).lstrip()[:1]
    return undecodable(text) if start >= b"\x80" else None

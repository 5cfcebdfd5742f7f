"""From a file to UTF-8 text: the archive around it, its compression, its encoding, and files that are none of these."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol, cast

import pyarrow as pa

from doit.errors import SpecError, StorageError, did_you_mean
from doit.reading.raw import CHUNK_BYTES, Bad, Layout, most_unpacked, unpacks_to_more
from doit.reading.text import Broken, Text
from doit.schemas.encodings import text_encoding

_HEAD_BYTES = 64 << 10
_PACKED_STEP = 4 << 10
"""How much is unpacked at once. Some unpackers give nothing of the step in which they meet the damage."""
_MAGIC = {
    "gzip": b"\x1f\x8b",
    "bz2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
    "zip": b"PK\x03\x04",
}
_WIDE = {"utf-32-le": 4, "utf-32-be": 4, "utf-16-le": 2, "utf-16-be": 2}
"""Encodings that show by their zero bytes -> bytes of a unit."""
_EMPTY_ZIP = b"PK\x05\x06"
_SUFFIXES = {".gz", ".gzip", ".bz2", ".xz", ".zst", ".zstd", ".zip"}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive inside another archive",
    b"\x1f\x8b": "a gzip stream inside another archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"PAR1": "Parquet inside an archive",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"\x80\x04": "a Python pickle, which is never opened",
    b"%PDF-": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Office file",
}
_DAMAGE = (
    EOFError,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    NotImplementedError,
    pa.ArrowException,
)

# What zipfile raises for a header that it cannot follow: RuntimeError for a password and for an unknown version or
# method, ValueError for a name that is not in the encoding it claims.
_MISLED = (zipfile.BadZipFile, RuntimeError, ValueError, OSError, struct.error)


class _Reader(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def is_parquet(path: Path) -> bool:
    """Whether the file begins as Parquet does."""
    with open_file(path) as file:
        return file.read(4) == b"PAR1"


def open_file(path: Path) -> IO[bytes]:
    """Open for reading, or raise an error of ours that says which file is in the way and why."""
    try:
        return path.open("rb")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise SpecError("D206", "there is no such file.", where=str(path)) from error
    except OSError as error:
        raise StorageError("D104", f"the file cannot be opened ({error.strerror}).", where=str(path)) from error


def texts(path: Path, layout: Layout) -> Iterator[Text | Bad]:
    """Every text that a file holds: one, or one for each member of a zip archive, by name.

    Args:
        path: of the file.
        layout: its `compression` (None: told by the first bytes) and `encoding` (None: UTF-8).

    Yields:
        Texts, each to be read to its end before the next is asked for; a `Bad` for what is no text.
    """
    encoding = _encoding(layout.encoding)
    with open_file(path) as file:
        head = file.read(6)
        file.seek(0)
        kind = _compression(layout.compression, head)
        if kind == "zip":
            yield from _zip_members(path, file, encoding)
            return
        name = _plain_name(path.name) if kind else path.name
        allowed = _Allowance(path) if kind else None
        text = Text(_chunks(_decompress(file, kind), path, allowed), name=name, encoding=encoding)
        yield unreadable(text) or text


def compressed(head: bytes) -> bool:
    """Whether a file's first bytes are those of an archive or of compressed data."""
    return head.startswith((*_MAGIC.values(), _EMPTY_ZIP))


def _compression(declared: str | None, head: bytes) -> str | None:
    if declared is None:
        if head.startswith(_EMPTY_ZIP):
            return "zip"
        return next((kind for kind, magic in _MAGIC.items() if head.startswith(magic)), None)
    if declared not in _MAGIC:
        known = ", ".join(_MAGIC)
        hint = did_you_mean(declared, _MAGIC) or f"Known: {known}."
        raise SpecError("D203", f'no compression "{declared}".', where="compression", hint=hint)
    return declared


def _encoding(declared: str | None) -> str | None:
    """The codec's own name, or None for UTF-8, which needs no re-encoding."""
    if declared is None:
        return None
    name = text_encoding(declared)
    return None if name in {"utf-8", "utf-8-sig"} else name


def _decompress(file: IO[bytes], kind: str | None) -> _Reader:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=file)
    if kind == "bz2":
        return bz2.BZ2File(file)
    if kind == "xz":
        return lzma.LZMAFile(file)
    if kind == "zstd":
        return cast(_Reader, pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))
    return cast(_Reader, file)


class _Allowance:
    """How much a packed file may still be unpacked to, all members of an archive together."""

    def __init__(self, path: Path) -> None:
        self.most = self.left = most_unpacked(path.stat().st_size)

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise Broken(unpacks_to_more(self.most))


def _chunks(reader: _Reader, path: Path, allowed: _Allowance | None) -> Iterator[bytes]:
    """Pieces of about `CHUNK_BYTES`; what was read before the damage comes before the error that names it."""
    step = CHUNK_BYTES if allowed is None else _PACKED_STEP
    parts: list[bytes] = []
    held = 0
    while True:
        try:
            part = reader.read1(min(CHUNK_BYTES - held, step))
        except (*_DAMAGE, OSError, RuntimeError) as error:
            if parts:
                yield b"".join(parts)
            if isinstance(error, OSError) and error.errno is not None:
                raise StorageError("D104", f"the file cannot be read ({error.strerror}).", where=str(path)) from error
            raise Broken(f"the compressed data are cut off or damaged here: {_detail(error)}.") from error
        parts.append(part)
        held += len(part)
        if not part or held >= CHUNK_BYTES:
            if allowed is not None:
                allowed.take(held)
            yield b"".join(parts)
            parts, held = [], 0
        if not part:
            return


def _detail(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _zip_members(path: Path, file: IO[bytes], encoding: str | None) -> Iterator[Text | Bad]:
    try:
        archive = zipfile.ZipFile(file)
    except _MISLED as error:
        yield Bad(None, 0, "D309", f"the zip archive cannot be opened: {_detail(error)}.", None, "")
        return
    members = sorted((m for m in archive.infolist() if _is_data(m)), key=lambda member: member.filename)
    if any(member.filename == "[Content_Types].xml" for member in members):
        reason = "this is an Office file (.xlsx, .docx), not text; export it as CSV or JSON Lines."
        yield Bad(None, 0, "D309", reason, None, "")
        return
    allowed = _Allowance(path)
    for member in members:
        where = member.filename if len(members) > 1 else ""
        try:
            reader = cast(_Reader, archive.open(member))
        except _MISLED as error:
            name = member.filename or "a member without a name"
            yield Bad(None, None, "D309", f"{name}: the member cannot be opened: {_detail(error)}.", None, "")
            continue
        text = Text(_chunks(reader, path, allowed), name=member.filename, encoding=encoding, where=where)
        yield unreadable(text) or text


def _is_data(member: zipfile.ZipInfo) -> bool:
    """Whether a member is a file that someone meant to pack: no folder, nothing that macOS adds."""
    parts = member.filename.split("/")
    is_folder = len(parts) > 1 and not parts[-1]  # ZipInfo.is_dir() fails on an empty name
    return not is_folder and parts[0] != "__MACOSX" and parts[-1] != ".DS_Store"


def _plain_name(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot + suffix.lower() in _SUFFIXES else name


def unreadable(text: Text) -> Bad | None:
    """Why no row of a text can be read at all: it is binary, or in an encoding that nobody declared."""
    head = text.head(_HEAD_BYTES)
    if text.encoding is not None:
        return _wrongly_declared(text, text.first_bytes)
    foreign = next((what for magic, what in _FOREIGN.items() if head.startswith(magic)), None)
    if foreign is None and head[257:262] == b"ustar":
        foreign = "a tar archive"
    if foreign is not None:
        return text.bad(None, 0, "D309", f"this is {foreign}, which is not read.", head)
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        wide = head.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"))
        name = "utf-32" if wide else "utf-16"
        return text.bad(None, 0, "D301", f"the byte order mark says {name.upper()}; declare `encoding: {name}`.", head)
    return _binary(text, head)


def _binary(text: Text, head: bytes) -> Bad | None:
    nuls = head.count(0)
    if nuls >= 16 and nuls * 16 > len(head):
        for name, width in _WIDE.items():
            if _reads_as(head[: len(head) // width * width], name):
                reason = f"this looks like {name.upper()} without a byte order mark: if so, declare `encoding: {name}`."
                return text.bad(None, 0, "D301", reason, head)
        return text.bad(None, 0, "D309", "the bytes are no text in any encoding that is read.", head)
    return None


def _reads_as(head: bytes, encoding: str) -> bool:
    """Whether bytes are lines of text in an encoding of wide units, whose last character may be cut."""
    try:
        seen = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    odd = sum(not (character.isprintable() or character.isspace()) for character in seen)
    return "\0" not in seen and 20 * odd <= len(seen)


def _wrongly_declared(text: Text, head: bytes) -> Bad | None:
    """Multi-byte UTF-8 decodes as GB18030 more often than not, but nothing else looks like UTF-8 for long."""
    assert text.encoding is not None
    wide = text.encoding.startswith(("utf-16", "utf-32"))
    try:
        seen = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
    if (len(head) > 1 and "\0" not in seen) if wide else sum(character > "\x7f" for character in seen) >= 16:
        reason = f"`encoding: {text.encoding}` is declared, but the bytes are UTF-8; leave `encoding` out."
        return text.bad(None, 0, "D301", reason, head)
    return None


def undecodable(text: Text) -> Bad | None:
    """The text as a whole, if most lines of its start are in an encoding that nobody declared."""
    if text.encoding is not None:
        return None
    head = text.head(_HEAD_BYTES)
    lines = head.split(b"\n")
    if len(lines) > 1 and len(head) == _HEAD_BYTES:
        lines.pop()
    wrong = sum(not _decodes(line, "utf-8") for line in lines)
    if 2 * wrong <= sum(bool(line.strip()) for line in lines):
        return None
    hint = (
        "they look like GB18030: if so, declare `encoding: gb18030`."
        if _decodes(head, "gb18030")
        else "declare `encoding:`."
    )
    return text.bad(None, text.start, "D301", f"most lines are not UTF-8; {hint}", head)


def _decodes(head: bytes, encoding: str) -> bool:
    """Whether bytes decode, but for a character that is cut at their end."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return True

"""One text, read once from front to back in bounded memory, with a look ahead and a name for every place in it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from doit.reading.raw import CHUNK_BYTES, LINE_BYTES, RAW_BYTES, Bad, cut_raw

_BOM = codecs.BOM_UTF8
_BOMS = {
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}
"""Encodings that leave the byte order to a mark; without one it is little-endian."""
_BLANK_RUN = re.compile(rb"\n[ \t\r\n]{256,}+")
_FILLED = re.compile(rb"[^ \t\r\n][^\n]*+")
_MARK = re.compile("[\udc00-\udcff]")
_MARKS = re.compile("[\udc00-\udcff]{1,8}")


class Broken(Exception):
    """The text ends early, because what it is packed in is damaged."""


class Text:
    """The bytes of a text as UTF-8, without a byte order mark.

    Bytes that a declared encoding does not know stay in the text as the surrogates U+DC00 to U+DCFF, which UTF-8 does
    not allow: the row in which they stand cannot be decoded and is bad, while its neighbours are not.
    """

    def __init__(
        self, chunks: Iterator[bytes], *, name: str, encoding: str | None = None, where: str = "", start: int = 0
    ) -> None:
        self.name, self.encoding, self.where = name, encoding, where
        self.first_bytes = b""
        """The start of the text before re-encoding."""
        self.start = start
        """The offset of the first byte after a byte order mark."""
        self._chunks = self._reencoded(chunks) if encoding else chunks
        self._held = bytearray()
        self._broken: Broken | None = None
        if not start and self.head(len(_BOM)).startswith(_BOM):
            del self._held[: len(_BOM)]
            self.start = len(_BOM)

    def _reencoded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        assert self.encoding is not None
        first = next(chunks, b"")
        self.first_bytes = first[: 64 << 10]
        marked = self.encoding not in _BOMS or first.startswith(_BOMS[self.encoding])
        decoder = codecs.getincrementaldecoder(self.encoding if marked else f"{self.encoding}-le")(errors="doit.mark")
        for chunk in chain([first], chunks):
            yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")

    def head(self, size: int) -> bytes:
        """The next bytes, up to `size`, without consuming them; fewer only at the end of the text."""
        while len(self._held) < size and self._broken is None:
            try:
                self._held += next(self._chunks)
            except StopIteration:
                break
            except Broken as broken:
                self._broken = broken
        return bytes(self._held[:size])

    def __iter__(self) -> Iterator[bytes]:
        if self._held:
            held, self._held = self._held, bytearray()
            for start in range(0, len(held), CHUNK_BYTES):
                yield bytes(held[start : start + CHUNK_BYTES])
        if self._broken is not None:
            raise self._broken
        yield from self._chunks

    def place(self, offset: int) -> int | None:
        """The offset in the file, or None where re-encoding has moved it."""
        return None if self.encoding else offset

    def bad(
        self,
        row: int | None,
        offset: int | None,
        code: str,
        reason: str,
        data: bytes = b"",
        *,
        field: str | None = None,
        total: int | None = None,
    ) -> Bad:
        """A `Bad` of this text: `data` are its bytes, of `total` where only the first are at hand."""
        place = None if offset is None else self.place(offset)
        reason = f"{self.where}: {reason}" if self.where else reason
        if total is None and len(data) <= RAW_BYTES:
            return Bad(row, place, code, reason, field, self._shown(data))
        total = len(data) if total is None else total
        kept = min(RAW_BYTES, len(data))
        while 0 < kept < len(data) and data[kept] & 0xC0 == 0x80:
            kept -= 1
        return Bad(row, place, code, reason, field, cut_raw(self._shown(data[:kept]), kept, total))

    def undecoded(self, data: bytes) -> str:
        """Why a row's bytes are no text, in words that fit the encoding in which its file is."""
        error = _error(data)
        if self.encoding is None and error is not None:
            at = error.start
            return f"byte {at:,} of the row (0x{data[at]:02x}) is not UTF-8."
        mark = _MARKS.search(data.decode("utf-8", "surrogatepass"))
        assert mark is not None
        shown = " ".join(f"0x{ord(byte) - 0xDC00:02x}" for byte in mark[0])
        place = f"at character {mark.start() + 1:,} of the row"
        return f"{shown} is no text in {self.encoding}, the declared encoding, {place}."

    def _shown(self, data: bytes) -> str:
        if self.encoding is None or data == self.first_bytes[: len(data)]:
            return data.decode("utf-8", "backslashreplace")
        text = data.decode("utf-8", "surrogatepass")
        return _MARK.sub(lambda mark: f"\\x{ord(mark[0]) - 0xDC00:02x}", text)


def not_utf8(data: bytes) -> bool:
    """Whether bytes are no text, or those of a declared encoding were none."""
    return _error(data) is not None


def _error(data: bytes) -> UnicodeDecodeError | None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error
    return None


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error("doit.mark", _mark)


class Block(NamedTuple):
    """Lines that follow one another."""

    byte: int
    """Offset of the first."""
    data: bytes
    """The lines, without the last one's line feed."""
    length: int
    """0; or the length in bytes of the one line here, which is over `LINE_BYTES`, so that only its start is kept."""

    def lines(self) -> list[bytes]:
        """The lines, without their line feeds."""
        return self.data.split(b"\n")

    def filled(self) -> Iterator[Block]:
        """The parts between long runs of blank lines; most blocks are one."""
        start = 0
        for run in _BLANK_RUN.finditer(self.data):
            yield Block(self.byte + start, self.data[start : run.start()], self.length)
            start = self.data.rfind(b"\n", start, run.end()) + 1
        yield Block(self.byte + start, self.data[start:], self.length) if start else self


def line_blocks(text: Text) -> Iterator[Block]:
    r"""A text's lines, a chunk's worth at a time, cut at the byte `\n` alone.

    U+2028, U+0085 and a lone carriage return are characters of a line: they occur inside JSON strings.

    Raises:
        Broken: the text ends early; its `args` then hold the unfinished last line too.
    """
    rest, byte = b"", text.start
    chunks = iter(text)
    while True:
        try:
            chunk = next(chunks, None)
        except Broken as broken:
            raise Broken(*broken.args, rest, byte) from broken
        if chunk is None:
            break
        end = chunk.rfind(b"\n")
        if end >= 0:
            data = rest + chunk[:end]
            yield Block(byte, data, 0)
            byte += len(data) + 1
            rest = chunk[end + 1 :]
        else:
            rest += chunk
        if len(rest) > LINE_BYTES:
            length, after = _skip_line(rest, chunks)
            yield Block(byte, rest[: RAW_BYTES + 4], length)
            rest, byte = b"", byte + length + 1
            chunks = chain(after, chunks)
    if rest:
        yield Block(byte, rest, 0)


def _skip_line(start: bytes, chunks: Iterator[bytes]) -> tuple[int, list[bytes]]:
    """The whole length of an overlong line, and what follows its line feed in the chunk that holds it."""
    length = len(start)
    for chunk in chunks:
        end = chunk.find(b"\n")
        if end >= 0:
            return length + end, [chunk[end + 1 :]]
        length += len(chunk)
    return length, []

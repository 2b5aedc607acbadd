"""Open files and stdin as byte streams, through gzip or zstd where the first bytes say so."""

import io
from typing import BinaryIO

import pyarrow as pa

from doxa.errors import DoxaError

GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
CHUNK_BYTES = 1 << 20


class CutStream(DoxaError):
    """The compressed input ends before its end marker, or its check sum is wrong."""


class ByteStream(io.RawIOBase):
    """A readable stream with a look at its first bytes. `name` is for messages.

    A read returns what is there, as a pipe does: `tail -f` is not held back by buffering.
    """

    def __init__(self, raw: BinaryIO, name: str, opened: str | None = None):
        self.name, self.path = name, opened
        self._raw, self._head = raw, b""

    def readable(self) -> bool:
        return True

    def peek(self, n: int) -> bytes:
        """Return the first `n` bytes that were not read yet, fewer only at the end."""
        while len(self._head) < n:
            more = self._raw.read(CHUNK_BYTES)
            if not more:
                break
            self._head += more
        return self._head[:n]

    def unread(self, data: bytes) -> None:
        """Let `data` be read once more, before what follows."""
        self._head = data + self._head

    def readinto(self, buffer) -> int:
        if not self._head and isinstance(self._raw, io.FileIO):
            return self._raw.readinto(buffer) or 0
        data = self.read_some(min(len(buffer), CHUNK_BYTES))
        buffer[: len(data)] = data
        return len(data)

    def read_some(self, n: int = CHUNK_BYTES) -> bytes:
        """Return up to `n` bytes as soon as any are there; b"" at the end."""
        if self._head:
            data, self._head = self._head[:n], self._head[n:]
            return data
        return self._raw.read(n) or b""

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Decompressed(io.RawIOBase):
    """pyarrow's decompressor, which notices a cut stream, with our wording of the failure.

    What was unpacked before a failure comes out first; the next read raises.
    """

    def __init__(self, raw: ByteStream, codec: str):
        self.name = raw.name
        self._stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec)
        self._failure: CutStream | None = None

    def readable(self) -> bool:
        return True

    def read(self, n: int = -1) -> bytes:
        if self._failure is not None:
            raise self._failure
        buffer = bytearray(n if n >= 0 else CHUNK_BYTES)
        try:
            n_read = self._stream.readinto(buffer)
            return bytes(memoryview(buffer)[:n_read])
        except OSError as error:
            self._failure = CutStream(f"{self.name}: the compressed input ends early or is damaged ({error})")
            # pyarrow does not say how far it came. It came to the last byte that is not zero: JSON holds no zeros.
            unpacked = bytes(buffer.rstrip(b"\0"))
            if unpacked:
                return unpacked
            raise self._failure from None


def decompress(stream: ByteStream) -> ByteStream:
    """Return the stream itself, or what is inside it when its first bytes say gzip or zstd."""
    head = stream.peek(4)
    codec = "gzip" if head.startswith(GZIP_MAGIC) else "zstd" if head == ZSTD_MAGIC else None
    if codec is None:
        return stream
    return ByteStream(_Decompressed(stream, codec), stream.name)

"""Lines that are read straight into a file: looked at where they lie, and parsed there by DuckDB, they are copied nowhere."""

import itertools
from collections.abc import Iterator

from doxa.records.compressed import ByteStream
from doxa.records.lines import Block, cut_blocks, skip_mark
from doxa.records.pieces import count_newlines
from doxa.records.place import Place


def read_placed_blocks(stream: ByteStream, max_record_bytes: int, size: int, n_places: int = 1) -> Iterator[Block]:
    """The lines of a stream in blocks of about `size` bytes, each lying in its place until `n_places` more are asked for.

    From a line on that is longer than `size`, and where there is no room for the places or `max_record_bytes` is less, blocks are those
    of `read_blocks`. The last line is ended where the input does not. Raises DoxaError for UTF-16.
    """
    skip_mark(stream)
    number, rest = 1, b""
    places = _open_places(n_places, size + 1) if max_record_bytes >= size else []
    for place in itertools.cycle(places):
        place.cut(size + 1)
        place.view[: len(rest)] = rest
        held = len(rest)
        while held < size and (n_read := stream.readinto(place.view[held:size])):  # one byte is left for the newline that the last line may lack
            held += n_read
        is_over = held < size
        if is_over and held and place.memory[held - 1] != 0x0A:
            place.memory[held] = 0x0A
            held += 1
        end = place.memory.rfind(b"\n", 0, held) + 1
        rest = bytes(place.view[end:held])
        if not end:
            break
        data = place.view[:end]
        place.cut(end)
        n_lines = count_newlines(data)
        yield Block(data, number, place=place)
        if is_over:
            return
        number += n_lines
    stream.unread(rest)
    yield from cut_blocks(stream, max_record_bytes, size, number)


def _open_places(n: int, size: int) -> list[Place]:
    """No place at all where files may not become so large."""
    try:
        return [Place(size) for _ in range(n)]
    except OSError:
        return []

"""How a file is cut into contents: one up to a size, pieces of a fixed length above it, so that a change sends its pieces alone."""

from __future__ import annotations

from dataclasses import dataclass

from ..units import MiB


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way to cut."""

    whole_bytes: int  #: up to here a file is one content
    chunk_bytes: int  #: of each content above that; the last one may be shorter

    def lengths(self, size_bytes: int) -> tuple[int, ...]:
        """Return the length of each content of a file; none for an empty one."""
        if size_bytes <= self.whole_bytes:
            return (size_bytes,) if size_bytes else ()
        many, rest = divmod(size_bytes, self.chunk_bytes)
        return (self.chunk_bytes,) * many + ((rest,) if rest else ())


#: The first one is in use. By the others older clients cut, and what they sent is kept: at most one of them gives a file
#: of a size more contents than one, in a number, so that size and number tell the lengths.
LAYOUTS = (
    Layout(whole_bytes=16 * MiB, chunk_bytes=4 * MiB),
    Layout(whole_bytes=64 * MiB, chunk_bytes=8 * MiB),
)


def cut(size_bytes: int) -> tuple[int, ...]:
    """Return the length of each content of a file that is sent now."""
    return LAYOUTS[0].lengths(size_bytes)


def lengths_of(size_bytes: int, count: int) -> tuple[int, ...] | None:
    """Return the length of each content of a file that was cut into so many; None where it never was."""
    if count == 1 and 0 < size_bytes <= LAYOUTS[0].whole_bytes:
        return (size_bytes,)  # nearly all files are so
    if size_bytes > count * max(max(layout.whole_bytes, layout.chunk_bytes) for layout in LAYOUTS):
        return None  # a size without end is not cut to be counted
    ways = (layout.lengths(size_bytes) for layout in LAYOUTS)
    return next((lengths for lengths in ways if len(lengths) == count), None)

"""Lists of files, read and checked: short ones in the service, long ones in a process of their own."""

from __future__ import annotations

from .reader import ListReader
from .reading import CheckedList, ReadList, checked_list

__all__ = ["CheckedList", "ListReader", "ReadList", "checked_list"]

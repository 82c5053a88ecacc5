"""The chosen observations of a mission, as a table with one schema and a file."""

from daxa.selection.compare import Difference, compare
from daxa.selection.schema import COLUMNS, Column, column_names, table_digest
from daxa.selection.store import (
    SelectionMetadata,
    read_chosen,
    read_selection,
    read_selection_metadata,
    write_selection,
)

__all__ = [
    "COLUMNS",
    "Column",
    "Difference",
    "SelectionMetadata",
    "column_names",
    "compare",
    "read_chosen",
    "read_selection",
    "read_selection_metadata",
    "table_digest",
    "write_selection",
]

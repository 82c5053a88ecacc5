"""The chosen observations of a mission, as a table with one schema and a file."""

from daxa.selection.difference import SelectionDifference, compare
from daxa.selection.schema import COLUMNS, Column, column_names, table_digest
from daxa.selection.selection_file import (
    SelectionMetadata,
    read_chosen,
    read_selection,
    read_selection_metadata,
    write_selection,
)

__all__ = [
    "COLUMNS",
    "Column",
    "SelectionDifference",
    "SelectionMetadata",
    "column_names",
    "compare",
    "read_chosen",
    "read_selection",
    "read_selection_metadata",
    "table_digest",
    "write_selection",
]

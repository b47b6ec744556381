"""Parquet's values as JSON has them: no nulls that only Arrow invented, and text for what JSON has no word for."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from core.data.dataset import RowError

Converter = Callable[[Any], Any]


def plain_rows(batch: Any) -> Iterator[dict[str, Any] | RowError]:
    """The rows of a pyarrow.RecordBatch; a row with a value that Python cannot hold is a RowError.

    Arrow gives every struct of a column all the fields that any of them has, null where a struct lacks one. Nothing
    tells such a null from one that was written, so that both are left out; nulls in lists and maps are kept.
    """
    columns = {field.name: plain_converter(field.type) for field in batch.schema}
    for row in read_values(batch):
        if not isinstance(row, RowError):
            for name, convert in columns.items():
                row[name] = convert(row[name])
        yield row


# A time beyond the year 9999, or in a zone that nobody knows.
UNREADABLE_ERRORS = (ValueError, OverflowError, LookupError)


def read_values(batch: Any) -> Iterator[dict[str, Any] | RowError]:
    try:
        yield from batch.to_pylist()
        return
    except UNREADABLE_ERRORS:
        pass  # find the rows
    for index in range(batch.num_rows):
        try:
            yield from batch.slice(index, 1).to_pylist()
        except UNREADABLE_ERRORS as error:
            yield RowError(f"It has a value that cannot be read: {error}.", "Write the column as text.")


@cache
def plain_converter(kind: Any) -> Converter:
    """How the Python value of a column of this pyarrow.DataType becomes a plain one."""
    import pyarrow

    types = pyarrow.types
    if types.is_dictionary(kind):
        return plain_converter(kind.value_type)
    if types.is_struct(kind):
        fields = {kind.field(index).name: plain_converter(kind.field(index).type) for index in range(kind.num_fields)}
        return lambda value: None if value is None else plain_struct(value, fields)
    if types.is_map(kind):
        convert = plain_converter(kind.item_type)
        return lambda value: None if value is None else {str(plain_scalar(key)): convert(item) for key, item in value}
    if is_list(types, kind):
        convert = plain_converter(kind.value_type)
        return lambda value: None if value is None else [convert(item) for item in value]
    if types.is_string(kind) or types.is_large_string(kind) or types.is_boolean(kind) or types.is_integer(kind):
        return lambda value: value
    return plain_scalar


def is_list(types: Any, kind: Any) -> bool:
    tests = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(getattr(types, test)(kind) for test in tests)


def plain_struct(value: dict[str, Any], fields: dict[str, Converter]) -> dict[str, Any] | None:
    """Without its null fields; None where it has no others, which is how a struct that is not there looks."""
    converted = {name: convert(value[name]) for name, convert in fields.items()}
    return {name: item for name, item in converted.items() if item is not None} or None


def plain_scalar(value: Any) -> Any:
    """Times as ISO 8601 writes them; bytes that are UTF-8 as text, others stay bytes for whoever reads the column."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):  # pandas' Timestamp among them
        return value.isoformat()
    return str(value)

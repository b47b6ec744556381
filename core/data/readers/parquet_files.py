"""Parquet to rows, in bounded memory: a cell that stands once in a file's dictionary may be meant a million times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from adapters.common.errors import UserError
from core.data.dataset import ReaderOutput, RowError
from core.data.readers.archive import MAX_DECOMPRESSED, DataFile
from core.data.readers.csv_files import check_columns
from core.data.readers.parquet_values import plain_rows
from core.data.readers.text import MAX_LINE_CHARACTERS

if TYPE_CHECKING:
    import numpy
    import pyarrow
    import pyarrow.parquet

ROWS_AT_ONCE = 256
BYTES_AT_ONCE = 1 << 24
GROWTH = 20  # a large file's cells, written out, over its size; text compresses to a twentieth at best
VALUE = 8  # bytes that any value takes once it is read


def read_parquet(file: DataFile) -> Iterator[ReaderOutput]:
    """Row group by row group, texts as they lie in the file: once each. Their sizes are known before they are copied.

    Raises UserError for what is no whole Parquet file, and where its rows are far larger than the file.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with file.open_seekable() as data:
            size = data.seek(0, 2)
            with pyarrow.parquet.ParquetFile(data) as plain:
                limit = max(MAX_DECOMPRESSED, GROWTH * size)
                check_columns(file.name, plain.schema_arrow.names)
                check_bytes(file.name, encoded_bytes(plain), size, limit)
                texts = [column.path for column in columns_of(plain) if column.physical_type == "BYTE_ARRAY"]
            data.seek(0)
            with pyarrow.parquet.ParquetFile(data, read_dictionary=texts, pre_buffer=False) as table:
                read = 0
                for group in range(table.num_row_groups):
                    for batch in table.read_row_group(group).to_batches():
                        sizes = row_bytes(batch.to_struct_array())
                        read += int(sizes.sum())
                        check_bytes(file.name, read, size, limit)
                        for begin, end in row_slices(sizes):
                            yield from rows_in(batch.slice(begin, end - begin), plain.schema_arrow, int(sizes[begin]))
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(
            f"{file.name} cannot be read as Parquet: {str(error).rstrip('.')}.", "Is the file whole?"
        ) from error


def columns_of(table: pyarrow.parquet.ParquetFile) -> list[pyarrow.parquet.ColumnSchema]:
    return [table.schema.column(index) for index in range(len(table.schema))]


def encoded_bytes(table: pyarrow.parquet.ParquetFile) -> int:
    """What the largest row group takes in memory by what the file says of itself, each text counted once."""
    widths = [max(VALUE, column.length) for column in columns_of(table)]
    groups = (table.metadata.row_group(index) for index in range(table.num_row_groups))
    sums = (sum(column_bytes(group.column(at), width) for at, width in enumerate(widths)) for group in groups)
    return max(sums, default=0)


def column_bytes(chunk: pyarrow.parquet.ColumnChunkMetaData, width: int) -> int:
    return int(max(chunk.total_uncompressed_size, chunk.num_values * width))


def check_bytes(name: str, there: int, size: int, limit: int) -> None:
    if there > limit:
        raise UserError(
            f"{name} has {size:,} bytes, but its rows take more than {limit:,}, for cells repeat in it or pack well.",
            "Keep the columns that are to be learnt, or give a part of it.",
        )


def row_bytes(array: pyarrow.Array) -> numpy.ndarray[Any, Any]:
    """[len(array)]: what each value takes in bytes when it is written out."""
    import numpy
    import pyarrow.compute
    from pyarrow import types

    kind = array.type
    if types.is_dictionary(kind) and is_text(kind.value_type):
        lengths = pyarrow.compute.binary_length(array.dictionary).fill_null(0).to_numpy(zero_copy_only=False)
        by_index: numpy.ndarray[Any, Any] = numpy.append(lengths, 0).astype(numpy.int64)  # the last stands for null
        sizes: numpy.ndarray[Any, Any] = by_index[array.indices.fill_null(len(lengths)).to_numpy(zero_copy_only=False)]
        return sizes + VALUE
    if types.is_struct(kind):
        return sum((row_bytes(field) for field in array.flatten()), start=numpy.full(len(array), VALUE))
    if (bounds := list_bounds(array)) is not None:
        begins, ends = bounds
        before: numpy.ndarray[Any, Any] = numpy.append(0, numpy.cumsum(row_bytes(array.values)))
        contents: numpy.ndarray[Any, Any] = before[ends] - before[begins]
        return contents + VALUE
    return numpy.full(len(array), max(VALUE, array.nbytes // max(1, len(array))))


def list_bounds(array: pyarrow.Array) -> tuple[Any, Any] | None:
    """Where each list of an array of lists begins and ends in its values; None for an array of something else."""
    import numpy
    from pyarrow import types

    kind = array.type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind):
        offsets = array.offsets.to_numpy()
        return offsets[:-1], offsets[1:]
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        begins = array.offsets.to_numpy()
        return begins, begins + array.sizes.to_numpy()
    if types.is_fixed_size_list(kind):
        begins = (numpy.arange(len(array)) + array.offset) * kind.list_size
        return begins, begins + kind.list_size
    return None


def is_text(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    kinds = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(is_one(kind) for is_one in kinds)


def row_slices(sizes: numpy.ndarray[Any, Any]) -> Iterator[tuple[int, int]]:
    """(begin, end) of the rows that are handed on together: so many that they are no burden, at least one."""
    begin = 0
    taken = 0
    for index, size in enumerate(sizes.tolist()):
        if index > begin and (taken + size > BYTES_AT_ONCE or index - begin == ROWS_AT_ONCE):
            yield begin, index
            begin, taken = index, 0
        taken += size
    if begin < len(sizes):
        yield begin, len(sizes)


def rows_in(batch: pyarrow.RecordBatch, schema: pyarrow.Schema, first_bytes: int) -> Iterator[ReaderOutput]:
    """The rows of a piece. first_bytes: the size of the first row; one that is too large is alone in its piece."""
    import pyarrow

    if first_bytes > MAX_LINE_CHARACTERS:
        yield RowError(f"It has {first_bytes:,} bytes; up to {MAX_LINE_CHARACTERS:,} are read.", "Split it.")
        return
    # What is taken is a batch of its own; casting a slice of nested cells would cast all that it is sliced from.
    whole = batch.take(pyarrow.array(range(len(batch))))
    with suppress(pyarrow.ArrowNotImplementedError):  # of views, whose rows are the same, and only slower to read
        whole = whole.cast(schema)
    yield from plain_rows(whole)

"""Rows of a table as Arrow pages over several streams: one read session, each stream resumed from its offset."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from ariel_tf.data.bigquery.connection import CALL_S, PAGE_S, Connection

# Pauses before a stream is retried without any new row in between; the last one repeats.
PAUSES_S = (0.1, 0.5, 2.0)
LONG_PAUSE_S = 5.0
# A longer pause that a server requests is shortened to this.
MOST_ASKED_S = 60.0


class Reader(Protocol):
    """A reader of parts of a table."""

    def read(self, table: str, columns: Sequence[str], restriction: str, expected: int | None = None) -> Any:
        """Return a `pyarrow.Table` of these columns of all matching rows, in any order.

        Args:
            table: its name in the data set.
            columns: columns to return, in this order.
            restriction: row restriction, a comparison of columns with whole numbers; empty for all rows.
            expected: number of rows, if known: if fewer are received, the streams are read again. The caller checks.
        """
        ...


class ArrowReader:
    """Reads with `google-cloud-bigquery-storage`.

    Args:
        connection: open connection.
        streams: maximum number of streams at a time.
    """

    def __init__(self, connection: Connection, streams: int):
        self._connection, self._streams = connection, streams
        self._reached = False

    def session(self, table: str, columns: Sequence[str], restriction: str) -> Any:
        """Return a read session; opening it is free, and it contains the number of bytes it would scan."""
        from google.cloud.bigquery_storage_v1 import types

        place = self._connection.address
        options = types.ReadSession.TableReadOptions(selected_fields=list(columns), row_restriction=restriction)
        wanted = types.ReadSession(
            table=f"projects/{place.project}/datasets/{place.dataset}/tables/{table}",
            data_format=types.DataFormat.ARROW,
            read_options=options,
        )
        with self._connection.refusals(table, self._connection.address.grpc):
            return self._patiently(
                self._connection.storage.create_read_session,
                parent=f"projects/{place.payer}",
                read_session=wanted,
                max_stream_count=self._streams,
                retry=self._connection.retry,
                timeout=CALL_S,
            )

    def read(self, table: str, columns: Sequence[str], restriction: str, expected: int | None = None) -> Any:
        import pyarrow as pa

        session = self.session(table, columns, restriction)
        schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
        outage = self._connection.address.outage
        streams = [_Stream(self._open, stream.name, schema, outage) for stream in session.streams]
        self._reached = True
        with self._connection.refusals(table, self._connection.address.grpc), ThreadPoolExecutor(self._streams) as pool:
            batches = _batches(pool, streams)
            if expected is not None and sum(stream.rows for stream in streams) < expected:
                # A stream may have ended early: it is read again from its end. Emulators may start from the beginning
                # instead.
                more = _batches(pool, streams)
                batches = more if sum(stream.rows for stream in streams) <= expected else batches
        return pa.Table.from_batches(batches, schema).select(list(columns))

    def _patiently(self, call: Callable[..., Any], **arguments: Any) -> Any:
        """Retry a call during an outage; the first one fails within seconds, to report a mistyped address."""
        waiting = Waiting(self._connection.address.outage if self._reached else 0)
        while True:
            try:
                return call(**arguments)
            except _passing() as error:
                waiting.after(error)

    def _open(self, name: str, offset: int) -> Iterator[Any]:
        return iter(self._connection.storage.read_rows(read_stream=name, offset=offset, retry=None, timeout=PAGE_S))


class Waiting:
    """Pauses while a server is unavailable: first a few short ones, then long ones.

    Args:
        outage: maximum duration in seconds.
    """

    def __init__(self, outage: float):
        self._end = time.monotonic() + outage
        self._pauses = iter(PAUSES_S)

    def after(self, error: Exception) -> None:
        """Wait before the next attempt, at least as long as the server requests; after `outage` raise the error."""
        pause = next(self._pauses, None)
        if pause is None and time.monotonic() >= self._end:
            raise error
        time.sleep(max(LONG_PAUSE_S if pause is None else pause, min(_asked_for(error), MOST_ASKED_S)))


def _passing() -> tuple[type[Exception], ...]:
    """Return the exceptions of Google's libraries for transient failures."""
    from google.api_core import exceptions

    return (
        exceptions.ServerError,
        exceptions.RetryError,
        exceptions.Aborted,
        exceptions.Unknown,
        exceptions.ResourceExhausted,
    )


def _asked_for(error: Exception) -> float:
    """Return the seconds that a server requests to wait, from `google.rpc.RetryInfo` in the error's details; else 0."""
    from google.rpc.error_details_pb2 import RetryInfo

    found = [detail for detail in getattr(error, "details", None) or () if isinstance(detail, RetryInfo)]
    return max((detail.retry_delay.ToTimedelta().total_seconds() for detail in found), default=0.0)


def _batches(pool: ThreadPoolExecutor, streams: Sequence["_Stream"]) -> list[Any]:
    """Return all rows of all streams, each read from its current offset to its end."""
    list(pool.map(_Stream.finish, streams))
    return [batch for stream in streams for batch in stream.batches]


class _Stream:
    """The pages of one stream, however often it has to be reopened."""

    def __init__(self, open_at: Callable[[str, int], Iterator[Any]], name: str, schema: Any, outage: float):
        self._open = functools.partial(open_at, name)
        self._schema, self._outage = schema, outage
        self.batches: list[Any] = []
        self.rows = 0

    def finish(self) -> None:
        """Read from the current offset to the end."""
        waiting = Waiting(self._outage)
        while True:
            before = self.rows
            try:
                for message in self._open(self.rows):
                    self._add(message)
                return
            except _passing() as error:
                if self.rows > before:
                    waiting = Waiting(self._outage)
                waiting.after(error)

    def _add(self, message: Any) -> None:
        import pyarrow as pa

        page = pa.py_buffer(message.arrow_record_batch.serialized_record_batch)
        batch = pa.ipc.read_record_batch(page, self._schema)
        self.batches.append(batch)
        self.rows += batch.num_rows

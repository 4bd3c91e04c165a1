"""The same reads through tensorflow-io's C++ op, which uses the Storage Read API's v1beta1 and Avro.

Its last release (0.37.1) works with TensorFlow 2.16 only: elsewhere the import succeeds and every op fails, so the op
is tried before anything is read. When a stream breaks, its gRPC often aborts the whole process: no epoch is
incomplete, but there is no error message either. The Arrow reader is faster and safer; this one is for users of
tensorflow-io's pipelines.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ariel_tf.core.errors import UsageError
from ariel_tf.data.bigquery.address import Address
from ariel_tf.data.bigquery.assembly import Unsound
from ariel_tf.data.bigquery.connection import Connection
from ariel_tf.data.bigquery.streams import ArrowReader
from ariel_tf.data.bigquery.tables import MANIFEST, TABLES, as_lists

# Rows per element of tf.data.
PAGE = 1024


class NativeReader:
    """Reads with tensorflow-io.

    Args:
        connection: open connection.
        streams: maximum number of streams at a time.

    Raises:
        UsageError: its op cannot run in this environment.
    """

    def __init__(self, connection: Connection, streams: int):
        self._place, self._streams = connection.address, streams
        open_client(connection.address)
        # It does not read bytes well; the manifest has only two rows.
        self._small = ArrowReader(connection, 1)

    def read(self, table: str, columns: Sequence[str], restriction: str, expected: int | None = None) -> Any:
        import pyarrow as pa

        if table == MANIFEST:
            return self._small.read(table, columns, restriction, expected)
        # One per read, since its resources are gone once Keras has cleared its session.
        client = open_client(self._place)
        kinds = {column.name: column for column in TABLES[table].columns}
        fields = {}
        for name in columns:
            whole, repeated = kinds[name].kind == "INT64", kinds[name].mode == "REPEATED"
            fields[name] = {
                "mode": client.FieldMode.REPEATED if repeated else client.FieldMode.NULLABLE,
                "output_type": tf.int64 if whole else tf.float64,
            }
            if not whole and not repeated:
                fields[name]["default_value"] = "nan"  # of NULL
        pages: dict[str, list[np.ndarray]] = {name: [] for name in columns}
        try:
            session = client.read_session(
                f"projects/{self._place.project}",
                self._place.project,
                table,
                self._place.dataset,
                fields,
                row_restriction=restriction,
                requested_streams=self._streams,
                data_format=client.DataFormat.AVRO,  # the only format in which it reads arrays
            )
            if len(session.get_streams()):
                for page in session.parallel_read_rows(sloppy=True).batch(PAGE).as_numpy_iterator():
                    for name in columns:
                        pages[name].append(page[name])
        except tf.errors.OpError as error:
            raise Unsound(
                f"tensorflow-io could not read {table} ({' '.join((error.message or '').split())})"
            ) from error
        arrays = {name: np.concatenate(parts) if parts else _nothing(kinds[name]) for name, parts in pages.items()}
        return pa.table({name: as_lists(array) if array.ndim == 2 else array for name, array in arrays.items()})


def _nothing(column: Any) -> np.ndarray:
    dtype = np.int64 if column.kind == "INT64" else np.float64
    return np.zeros((0, 300) if column.mode == "REPEATED" else 0, dtype)


def open_client(address: Address) -> Any:
    """Return tensorflow-io's client; for an emulator its test client, which uses no credentials.

    Raises:
        UsageError: tensorflow-io is not installed, or its native library does not fit this TensorFlow.
    """
    try:
        from tensorflow_io.python.ops.bigquery_dataset_ops import BigQueryClient, BigQueryTestClient

        return BigQueryTestClient(address.grpc) if address.is_emulator else BigQueryClient()
    except (ImportError, NotImplementedError, AttributeError, tf.errors.OpError) as error:
        # The first where it is not installed; the others where its native library cannot be loaded, lacks the
        # operation that is looked up for a client, or is for another TensorFlow.
        raise UsageError(
            f"--reader tfio: tensorflow-io's reader cannot run with TensorFlow {tf.__version__}; install it in an "
            "environment of its own, `pip install --editable '.[tfio]'` with Python 3.11 or 3.12, or use --reader "
            f"arrow ({type(error).__name__})"
        ) from error

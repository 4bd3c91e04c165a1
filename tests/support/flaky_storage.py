"""A Storage Read API between client and emulator that breaks streams on purpose; real gRPC on both sides."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types

SERVICE = "/google.cloud.bigquery.storage.v1.BigQueryRead"
ROWS = 7  # a message; an emulator sends a whole stream at once


class FlakyStorage(grpc.GenericRpcHandler):
    """Passes calls on, in small messages, from the offset asked for, and does what its attributes say.

    Attributes:
        after: the message at which a stream breaks or ends.
        aborts: so many times a stream breaks there.
        ends: so many times a stream ends there, as if it were complete.
        offsets: those that streams were opened at.
        broken: called in the middle of a stream.
    """

    def __init__(self, behind: str):
        self._channel = grpc.insecure_channel(behind, [("grpc.max_receive_message_length", -1)])
        self.after = 2
        self.aborts = self.ends = 0
        self.offsets: list[int] = []
        self.broken = lambda: None

    def service(self, details):
        if details.method == f"{SERVICE}/CreateReadSession":
            return grpc.unary_unary_rpc_method_handler(self._create)
        return grpc.unary_stream_rpc_method_handler(self._read)

    def _create(self, request: bytes, context) -> bytes:
        try:
            return self._channel.unary_unary(f"{SERVICE}/CreateReadSession")(request, metadata=_routed(context))
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def _read(self, request: bytes, context) -> Iterator[bytes]:
        asked = types.ReadRowsRequest.deserialize(request)
        self.offsets.append(asked.offset)
        whole = types.ReadRowsRequest.serialize(types.ReadRowsRequest(read_stream=asked.read_stream))
        behind = self._channel.unary_stream(f"{SERVICE}/ReadRows")(whole, metadata=_routed(context))
        for sent, batch in enumerate(_batches(behind, asked.offset)):
            if sent == self.after:
                self.broken()
                if self.aborts:
                    self.aborts -= 1
                    context.abort(grpc.StatusCode.UNAVAILABLE, "broken on purpose")
                if self.ends:
                    self.ends -= 1
                    return
            page = types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes())
            yield types.ReadRowsResponse.serialize(
                types.ReadRowsResponse(arrow_record_batch=page, row_count=batch.num_rows)
            )


def _routed(context):
    return [(key, value) for key, value in context.invocation_metadata() if key == "x-goog-request-params"]


def _batches(messages, offset: int) -> Iterator[pa.RecordBatch]:
    """Rows from the offset on, in small batches."""
    schema = None
    for message in map(types.ReadRowsResponse.deserialize, messages):
        if message.arrow_schema.serialized_schema:
            schema = pa.ipc.read_schema(pa.py_buffer(message.arrow_schema.serialized_schema))
        batch = pa.ipc.read_record_batch(pa.py_buffer(message.arrow_record_batch.serialized_record_batch), schema)
        for first in range(offset, batch.num_rows, ROWS):
            # A copy: a slice alone would be serialised with an offset into its lists.
            yield pa.Table.from_batches([batch.slice(first, ROWS)]).combine_chunks().to_batches()[0]


@contextlib.contextmanager
def running(behind: str) -> Iterator[tuple[FlakyStorage, grpc.Server, int]]:
    """Start it in front of a storage API; yields it, its server and its port."""
    handler = FlakyStorage(behind)
    server = grpc.server(ThreadPoolExecutor(16), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield handler, server, port
    finally:
        server.stop(None).wait()
        handler._channel.close()

"""A bridge from the Storage API that tensorflow-io speaks, v1beta1, to the v1 that emulators have; real gRPC."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import proto
from google.cloud.bigquery_storage_v1 import types
from google.cloud.bigquery_storage_v1.services.big_query_read import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

# google/cloud/bigquery/storage/v1beta1/storage.proto: the part of it that tensorflow-io uses.
SERVICE = "/google.cloud.bigquery.storage.v1beta1.BigQueryStorage"


class TableReference(proto.Message):
    project_id = proto.Field(proto.STRING, number=1)
    dataset_id = proto.Field(proto.STRING, number=2)
    table_id = proto.Field(proto.STRING, number=3)


class TableReadOptions(proto.Message):
    selected_fields = proto.RepeatedField(proto.STRING, number=1)
    row_restriction = proto.Field(proto.STRING, number=2)


class Stream(proto.Message):
    name = proto.Field(proto.STRING, number=1)


class StreamPosition(proto.Message):
    stream = proto.Field(Stream, number=1)
    offset = proto.Field(proto.INT64, number=2)


class AvroSchema(proto.Message):
    schema = proto.Field(proto.STRING, number=1)


class AvroRows(proto.Message):
    serialized_binary_rows = proto.Field(proto.BYTES, number=1)
    row_count = proto.Field(proto.INT64, number=2)


class ReadSession(proto.Message):
    name = proto.Field(proto.STRING, number=1)
    streams = proto.RepeatedField(Stream, number=4)
    avro_schema = proto.Field(AvroSchema, number=5)
    table_reference = proto.Field(TableReference, number=7)


class CreateReadSessionRequest(proto.Message):
    table_reference = proto.Field(TableReference, number=1)
    read_options = proto.Field(TableReadOptions, number=4)
    requested_streams = proto.Field(proto.INT32, number=3)
    parent = proto.Field(proto.STRING, number=6)


class ReadRowsRequest(proto.Message):
    read_position = proto.Field(StreamPosition, number=1)


class ReadRowsResponse(proto.Message):
    avro_rows = proto.Field(AvroRows, number=3)
    row_count = proto.Field(proto.INT64, number=6)


class Bridge(grpc.GenericRpcHandler):
    """Answers v1beta1 out of a v1 server, in Avro."""

    def __init__(self, behind: str):
        channel = grpc.insecure_channel(behind, [("grpc.max_receive_message_length", -1)])
        self._client = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))

    def service(self, details):
        if details.method == f"{SERVICE}/CreateReadSession":
            return grpc.unary_unary_rpc_method_handler(
                self._create, CreateReadSessionRequest.deserialize, ReadSession.serialize
            )
        if details.method == f"{SERVICE}/ReadRows":
            return grpc.unary_stream_rpc_method_handler(
                self._read, ReadRowsRequest.deserialize, ReadRowsResponse.serialize
            )
        return None

    def _create(self, request: CreateReadSessionRequest, context) -> ReadSession:
        place = request.table_reference
        options = types.ReadSession.TableReadOptions(
            selected_fields=list(request.read_options.selected_fields),
            row_restriction=request.read_options.row_restriction,
        )
        wanted = types.ReadSession(
            table=f"projects/{place.project_id}/datasets/{place.dataset_id}/tables/{place.table_id}",
            data_format=types.DataFormat.AVRO,
            read_options=options,
        )
        session = self._client.create_read_session(
            parent=request.parent, read_session=wanted, max_stream_count=request.requested_streams
        )
        return ReadSession(
            name=session.name,
            streams=[Stream(name=stream.name) for stream in session.streams],
            avro_schema=AvroSchema(schema=session.avro_schema.schema),
            table_reference=place,
        )

    def _read(self, request: ReadRowsRequest, context) -> Iterator[ReadRowsResponse]:
        position = request.read_position
        for page in self._client.read_rows(read_stream=position.stream.name, offset=position.offset):
            rows = AvroRows(serialized_binary_rows=page.avro_rows.serialized_binary_rows, row_count=page.row_count)
            yield ReadRowsResponse(avro_rows=rows, row_count=page.row_count)


@contextlib.contextmanager
def running(behind: str) -> Iterator[int]:
    """Start the bridge to the v1 server at `behind`; yields its port."""
    options = [("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(8), handlers=[Bridge(behind)], options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()

"""A data set in BigQuery: its address, its tables, and planets streamed out of them.

    address      bigquery://PROJECT/DATASET?... : one text for all that a command must know
    connection   the two clients (REST, Storage Read) and their refusals, each one sentence
    tables       which tables, which columns; planets to Arrow tables
    streams      one read session: several Arrow streams, retried from their offsets
    native       the same through tensorflow-io's C++ reader
    assembly     rows in any order to planets, serialised as `data.records` says, and checked on the way
    snapshot     planets kept in TFRecord files while they stream, for the next epoch

Google's libraries are imported inside functions: training on shards should not wait for them.
"""

"""A data set in BigQuery: its address, its tables, and planets streamed from them.

    address      bigquery://PROJECT/DATASET?... : one text with everything that a command needs
    connection   the two clients (REST, Storage Read), and their errors as one sentence each
    tables       names and columns of the tables; planets to Arrow tables
    streams      one read session: several Arrow streams, resumed from their offsets
    tfio_reader  the same through tensorflow-io's C++ reader
    assembly     rows in any order to planets, checked and serialised by `data.records`
    snapshot     planets stored in TFRecord files while they stream, for the next epoch

Google's libraries are imported inside functions, so that a training on shards does not load them.
"""

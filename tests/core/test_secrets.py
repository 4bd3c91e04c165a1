"""Passwords, tokens and signatures are masked wherever text is shown or kept."""

import time

import pytest
import tensorflow as tf

from ariel_tf import train
from ariel_tf.core.errors import ArielError, DataError
from ariel_tf.core.printable import HIDDEN, mask_secrets, masked
from ariel_tf.data.sources import bucket, open_source

SECRET = "S3CRETvalue9"
LEAKS = (
    f"gs://user:{SECRET}@bucket/data: expected a data set",
    f"gs://{SECRET}@bucket/data",
    f"https://user:a@{SECRET}@host/data",
    f"https://user:a/b?c#{SECRET}@host/data",
    f"s3://key:{SECRET}%2F@bucket/data",
    f"bigquery://p/d?endpoint=http://user:{SECRET}%40localhost:9050&layout=classic",
    f"gs://bucket/data?token={SECRET}",
    f"gs://bucket/data?sig={SECRET}&se=2030",
    f"gs://bucket/data?x=1&X-Goog-Signature={SECRET}",
    f"https://bucket/data?AWSAccessKeyId={SECRET}&Signature={SECRET}",
    f"https://host/data?unheard_of={SECRET}.",
    f"https://host/data?{SECRET}",
    f"https://host/data#access_token={SECRET}",
    f"https%3A%2F%2Fhost%2Fdata%3Ftoken%3D{SECRET}%26x%3D1",
    f"Max retries exceeded with url: /bucket/o?access_token={SECRET}&alt=json (Caused by",
    f"no route to user:{SECRET}@db.example.com:5432",
    f"{{'client_secret': '{SECRET} and more'}}",
    f'{{"private_key": "-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"}}',
    f"unknown argument --api-key={SECRET}",
    f"Authorization: Basic {SECRET}==",
    f"authorization: Bearer {SECRET}",
    f"AWS_SECRET_ACCESS_KEY={SECRET}",
    f"ya29.{SECRET}",
    f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
)
PLAIN = (
    "bigquery://project/set?layout=classic&endpoint=http://localhost:9050&cache=/tmp/x&streams=4",
    "simulated:planets=40,spots=2,photons=2,seed=7",
    "--data bigquery://PROJECT/DATASET[?name=value&...]",
    "--set: expected NAME=VALUE, like --set first=10. Received: first",
    "gs://bucket/data@2021/shard: expected 5 bytes",
    "abfss://container@account.dfs.core.windows.net/data",
    "https://www.tensorflow.org/install#gpu",
    "the bearer of a token, a signature: none",
    "127.0.0.1:8080, a:b, mail@example.com",
)


@pytest.mark.parametrize("text", LEAKS)
def test_errors_echo_no_secret_of_an_address(text):
    assert SECRET not in str(ArielError(text))
    error = DataError(text, [text])
    assert SECRET not in f"{error} {error.message} {error.faults} {error.args}"
    assert HIDDEN in mask_secrets(text) == mask_secrets(mask_secrets(text))


@pytest.mark.parametrize("text", PLAIN)
def test_text_without_secrets_stays(text):
    assert mask_secrets(text) == text


def test_values_of_a_configuration_are_masked():
    values = {"data": f"gs://b/d?token={SECRET}", "ensemble": {"trained": [f"gs://u:{SECRET}@b"]}, "epochs": 3}
    assert masked(values) == {"data": "gs://b/d?token=***", "ensemble": {"trained": ["gs://***@b"]}, "epochs": 3}


@pytest.mark.parametrize("part", ["a", "a=", "://a", "?a=", "a:b@", "'token':", "x-goog-", "%3F"])
def test_masking_takes_time_in_proportion_to_the_text(part):
    def seconds(size):
        text = (part * size)[:size] + "=@"
        started = time.process_time()
        mask_secrets(text)
        return time.process_time() - started

    assert seconds(200_000) < 100 * seconds(20_000) + 0.2


def test_messages_of_tensorflow_are_masked(monkeypatch):
    def refuse(path, mode):
        raise tf.errors.PermissionDeniedError(None, None, f"GET {path}&X-Goog-Signature={SECRET} was refused")

    monkeypatch.setattr(bucket.tf.io.gfile, "GFile", refuse)
    message = r"cannot be read \(GET gs://b/d\?token=\*\*\*&X-Goog-Signature=\*\*\* was refused\)"
    with pytest.raises(ArielError, match=message) as caught:
        open_source(f"gs://b/d?token={SECRET}", [0])
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__, "a notebook would show the cause with its address"


def test_a_run_folder_holds_no_secret(tmp_path, capsys, pretended_training_here):
    """Configuration, model card, meta.json, TensorBoard's logs and the printed lines of a training."""
    from pipelines import simulate

    simulate.main([str(tmp_path / f"data?token={SECRET}"), "--planets=12", "--spots=1", "--photons=1", "--jobs=1"])
    capsys.readouterr()
    data = f"file://localhost{tmp_path}/data?token={SECRET}"
    arguments = ["--model=baseline", "--data", data, "--epochs", "1", "--set", "first=4", "--run",
                 str(tmp_path / "run")]  # fmt: skip
    train.main(arguments)
    train.main(arguments)  # the run is complete already: its configuration is the same
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) > 8
    assert [path.name for path in files if SECRET.encode() in path.read_bytes()] == []
    assert '"data": "file://localhost/' in (tmp_path / "run/config.json").read_text()

"""A real S3 server on this machine, for the tests that need a bucket."""

import uuid

import boto3
import pytest
from moto.server import ThreadedMotoServer

from schemas import store


@pytest.fixture(scope="session")
def s3_server():
    """moto's threaded server over real HTTP; the environment points at it for the session."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.delenv("AWS_PROFILE", raising=False)
        store._s3.cache_clear()
        yield f"http://{host}:{port}"
    store._s3.cache_clear()
    server.stop()


@pytest.fixture
def bucket(s3_server):
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name

"""A folder and a bucket behave alike; the bucket is a real server on this machine."""

import errno
import io
import os
import socket

import pytest

from schemas.errors import StoreError
from schemas.store import BLOCK_BYTES, LocalStore, RangeFile, S3Store, local_path, local_uri, place, runs, store_at


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    if request.param == "folder":
        return store_at(str(tmp_path / "out"))
    return store_at(f"s3://{request.getfixturevalue('bucket')}/some/prefix")


def test_what_is_put_is_read(store):
    assert store.put("a/b.txt", b"hello")
    assert store.read("a/b.txt") == b"hello"
    assert store.read("a/b.txt", 1, 3) == b"el"
    assert store.stat("a/b.txt").num_bytes == 5
    assert store.stat("a/c.txt") is None


def test_a_listing_is_sorted_by_name_as_a_bucket_sorts_it(store):
    names = ["b.txt", "a/z.txt", "a/a.txt", "a.txt", "a-b/c.txt", "ü ñ'\".txt"]
    for name in names:
        store.put(name, b"x")
    assert [stored.name for stored in store.list()] == sorted(names, key=str.encode)
    assert [stored.name for stored in store.list("a/")] == ["a/a.txt", "a/z.txt"]
    assert [stored.name for stored in store.list("nowhere/")] == []


def test_a_conditional_put_happens_once(store):
    assert store.put("receipt.json", b"first", if_absent=True)
    assert not store.put("receipt.json", b"second", if_absent=True)
    assert store.read("receipt.json") == b"first"


def test_a_file_arrives_whole(store, tmp_path):
    data = os.urandom(20 << 20)  # two parts of a multipart upload
    (tmp_path / "big").write_bytes(data)
    store.put_file("big", tmp_path / "big")
    assert store.read("big") == data


def test_an_open_file_can_be_read_anywhere(store):
    data = os.urandom(3 * BLOCK_BYTES + 17)
    store.put("big", data)
    with store.open("big") as file:
        assert file.read(10) == data[:10]
        file.seek(-5, io.SEEK_END)
        assert file.read() == data[-5:]
        file.seek(BLOCK_BYTES - 3)
        assert file.read(6) == data[BLOCK_BYTES - 3 : BLOCK_BYTES + 3]
        file.seek(0)
        assert file.read() == data


def test_an_etag_changes_with_the_content(store):
    store.put("a", b"one")
    before = store.stat("a").etag
    store.put("a", b"another")
    assert store.stat("a").etag != before


def test_removing_twice_is_no_error(store):
    store.put("a", b"x")
    store.remove("a")
    store.remove("a")
    assert store.stat("a") is None


def test_what_is_not_there_is_told_with_its_address(store):
    with pytest.raises(StoreError, match=r"nothing\.wav.*it is not there"):
        store.open("nothing.wav").read()


def test_a_range_file_fetches_only_what_it_is_asked_for(bucket, monkeypatch):
    store = S3Store(bucket=bucket, prefix="")
    store.put("big", bytes(10 * BLOCK_BYTES))
    fetched = []
    fetch = S3Store.fetch
    monkeypatch.setattr(S3Store, "fetch", lambda self, *a, **k: fetched.append(a) or fetch(self, *a, **k))
    file = store.open("big")
    assert isinstance(file, RangeFile)
    file.seek(7 * BLOCK_BYTES + 5)
    file.read(100)
    assert len(fetched) == 1


def test_an_object_that_changes_while_it_is_read_is_an_error(bucket):
    store = S3Store(bucket=bucket, prefix="")
    store.put("a", bytes(3 * BLOCK_BYTES))
    file = store.open("a")
    file.read(1)
    store.put("a", os.urandom(3 * BLOCK_BYTES))
    file.seek(2 * BLOCK_BYTES)
    with pytest.raises(StoreError, match="changed while it was being read"):
        file.read(1)


def test_a_bucket_that_is_not_there_is_told(s3_server):
    with pytest.raises(StoreError, match="there is no such bucket"):
        list(store_at("s3://no-such-bucket-here/x").list())


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "permission denied"), (errno.EROFS, "read-only")],
)
def test_a_disk_that_refuses_is_told_and_leaves_nothing(tmp_path, monkeypatch, number, words):
    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    store = store_at(str(tmp_path))
    with pytest.raises(StoreError, match=words):
        store.put("a.tar", b"x")
    assert list(tmp_path.iterdir()) == []


def test_half_written_files_of_the_dead_are_swept_and_of_the_living_kept(tmp_path):
    dead = tmp_path / f".{socket.gethostname()}-999999999-0.part"
    living = tmp_path / f".{socket.gethostname()}-{os.getpid()}-0.part"
    dead.write_bytes(b"x")
    living.write_bytes(b"x")
    store = LocalStore(folder=tmp_path)
    assert list(store.list()) == []
    store.sweep()
    assert (dead.exists(), living.exists()) == (False, True)


def test_who_runs_is_asked_of_the_system_and_not_of_a_file_system():
    assert runs(os.getpid())
    assert runs(os.getppid())
    assert not runs(999_999_999)
    assert not runs(10**30)


@pytest.mark.parametrize("name", [b"plain.wav", "ü 'quoted' \"name\".wav".encode(), b"not-utf8-\xff.wav"])
def test_any_name_survives_as_an_address(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"sound")
    uri = local_uri(path)
    uri.encode()  # it can be written down
    assert local_path(uri) == path
    store, inside = place(uri)
    assert store.read(inside) == b"sound"


@pytest.mark.parametrize("address", ["s3://", "gs://bucket/x", "https://example.org/a"])
def test_an_address_of_another_kind_is_refused(address):
    with pytest.raises(StoreError):
        store_at(address)

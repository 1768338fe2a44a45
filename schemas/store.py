"""Where bytes lie: a folder or an `s3://` prefix, behind the same few verbs.

Everything is written whole or not at all: a local file beside its name and renamed, an S3 object by one
(multipart, checksummed) upload. Trouble is told as one StoreError that names the place.
"""

import errno
import io
import os
import random
import shutil
import socket
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote_from_bytes, unquote_to_bytes

from schemas.errors import StoreError

BLOCK_BYTES = 1 << 20  # one range request
CACHED_BLOCKS = 8
ATTEMPTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One file or object as a listing shows it."""

    name: str  # relative to the store
    num_bytes: int
    etag: str  # changes when the content does


class Store(Protocol):
    """A folder or a prefix. Names are relative and use `/`."""

    @property
    def root(self) -> str: ...

    def uri(self, name: str) -> str: ...
    def list(self, prefix: str = "") -> Iterator[Stored]: ...
    def stat(self, name: str) -> Stored | None: ...
    def open(self, name: str) -> BinaryIO: ...
    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes: ...
    def put(self, name: str, data: bytes, *, if_absent: bool = False) -> bool: ...
    def put_file(self, name: str, path: Path) -> None: ...
    def remove(self, name: str) -> None: ...
    def sweep(self) -> None: ...


def store_at(root: str) -> Store:
    """The store that a path, a `file://` or an `s3://` address names."""
    if root.startswith("s3://"):
        bucket, _, prefix = root[5:].partition("/")
        if not bucket:
            raise StoreError(f"{root!r} names no bucket; it should read s3://bucket/prefix")
        return S3Store(bucket=bucket, prefix=prefix.strip("/"))
    return LocalStore(folder=local_path(root))


def place(uri: str) -> tuple[Store, str]:
    """The store and the name in it for the address of one file or object."""
    if uri.startswith("s3://"):
        bucket, _, key = uri[5:].partition("/")
        return S3Store(bucket=bucket, prefix=""), key
    path = local_path(uri)
    return LocalStore(folder=path.parent), path.name


def local_path(uri: str) -> Path:
    """Raises StoreError for an address that is no local one."""
    if "://" in uri and not uri.startswith("file://"):
        raise StoreError(f"{uri!r} is of a kind this cannot reach; it reads s3:// addresses and local paths")
    if uri.startswith("file://"):
        return Path(os.fsdecode(unquote_to_bytes(uri[7:])))
    return Path(os.path.abspath(os.path.expanduser(uri)))


def local_uri(path: Path) -> str:
    """The path as text; a name that is not UTF-8 becomes a percent-encoded `file://` address."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return "file://" + quote_from_bytes(os.fsencode(text))
    return text


# ---------------------------------------------------------------------------------------------- local


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStore:
    folder: Path

    @property
    def root(self) -> str:
        return str(self.folder)

    def uri(self, name: str) -> str:
        return local_uri(self.folder / name)

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Every file below, in the order S3 would list them; temporary and hidden files are passed over."""
        folder, _, start = prefix.rpartition("/")
        with _told(self.uri(prefix)):
            yield from self._walk(self.folder / folder, f"{folder}/" if folder else "", start)

    def _walk(self, folder: Path, before: str, start: str = "") -> Iterator[Stored]:
        if not folder.is_dir():
            return
        entries = [entry for entry in os.scandir(folder) if entry.name.startswith(start) and entry.name[0] != "."]
        for entry in sorted(entries, key=lambda e: os.fsencode(e.name + "/" * e.is_dir(follow_symlinks=False))):
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path), f"{before}{entry.name}/")
            elif entry.is_file():
                yield _local_stored(before + entry.name, entry.stat())
            elif entry.is_symlink() and not os.path.exists(entry.path):
                yield Stored(name=before + entry.name, num_bytes=0, etag="")  # leads nowhere, and should be told

    def stat(self, name: str) -> Stored | None:
        with _told(self.uri(name)):
            try:
                return _local_stored(name, (self.folder / name).stat())
            except (FileNotFoundError, NotADirectoryError):
                return None

    def open(self, name: str) -> BinaryIO:
        with _told(self.uri(name)):
            return (self.folder / name).open("rb")

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        with _told(self.uri(name)), (self.folder / name).open("rb") as file:
            file.seek(start)
            return file.read(-1 if end is None else end - start)

    def put(self, name: str, data: bytes, *, if_absent: bool = False) -> bool:
        target = self.folder / name
        with _told(self.uri(name)):
            beside = _beside(target)
            try:
                with beside.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                if not if_absent:
                    beside.replace(target)
                    return True
                try:
                    os.link(beside, target)  # unlike a rename, it does not replace
                except FileExistsError:
                    return False
            finally:
                beside.unlink(missing_ok=True)
        return True

    def put_file(self, name: str, path: Path) -> None:
        """Copies the file in and renames it there."""
        target = self.folder / name
        with _told(self.uri(name)):
            beside = _beside(target)
            try:
                with path.open("rb") as source, beside.open("wb") as file:
                    shutil.copyfileobj(source, file, BLOCK_BYTES)
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        with _told(self.uri(name)):
            (self.folder / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes what killed processes of this machine left half-written."""
        for beside in self.folder.glob(f"**/.{socket.gethostname()}-*.part"):
            pid = beside.name.removeprefix(f".{socket.gethostname()}-").split("-")[0]
            if pid.isdecimal() and not runs(int(pid)):
                beside.unlink(missing_ok=True)


def runs(pid: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # another user's
    return True


def _local_stored(name: str, stat: os.stat_result) -> Stored:
    return Stored(name=name, num_bytes=stat.st_size, etag=f"{stat.st_size:x}-{stat.st_mtime_ns:x}")


def _beside(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent / f".{socket.gethostname()}-{os.getpid()}-{random.randrange(1 << 32):08x}.part"


# ------------------------------------------------------------------------------------------------- s3


@cache
def _s3() -> Any:
    """One client per process; `AWS_ENDPOINT_URL`, profiles and regions are read by boto3 itself."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        config=Config(
            retries={"mode": "standard", "max_attempts": ATTEMPTS},  # exponential back-off with jitter
            max_pool_connections=64,
            connect_timeout=10,
            read_timeout=60,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Store:
    bucket: str
    prefix: str  # without a slash at either end

    @property
    def root(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def uri(self, name: str) -> str:
        return f"s3://{self.bucket}/{self._key(name)}"

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Every object below, page by page, in key order."""
        base = f"{self.prefix}/" if self.prefix else ""
        with _told(self.uri(prefix)):
            pages = _s3().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=base + prefix)
            for page in pages:
                for item in page.get("Contents", ()):
                    if not item["Key"].endswith("/"):
                        name = item["Key"][len(base) :]
                        yield Stored(name=name, num_bytes=item["Size"], etag=item["ETag"].strip('"'))

    def stat(self, name: str) -> Stored | None:
        from botocore.exceptions import ClientError

        with _told(self.uri(name)):
            try:
                head = _s3().head_object(Bucket=self.bucket, Key=self._key(name))
            except ClientError as error:
                if _code(error) in ("404", "NoSuchKey", "NotFound"):
                    return None
                raise
            return Stored(name=name, num_bytes=head["ContentLength"], etag=head["ETag"].strip('"'))

    def open(self, name: str) -> BinaryIO:
        stored = self.stat(name)
        if stored is None:
            raise StoreError(f"{self.uri(name)}: it is not there")
        return RangeFile(self, stored)  # type: ignore[return-value]

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        return self.fetch(name, start, end, etag=None)

    def fetch(self, name: str, start: int, end: int | None, etag: str | None) -> bytes:
        """A byte range; broken connections are tried again, a changed object is an error."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

        arguments: dict[str, Any] = {"Bucket": self.bucket, "Key": self._key(name)}
        if start or end is not None:
            arguments["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        if etag:
            arguments["IfMatch"] = f'"{etag}"'
        broken = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError, HTTPClientError, ConnectionError)
        with _told(self.uri(name)):
            for attempt in range(ATTEMPTS):
                try:
                    data: bytes = _s3().get_object(**arguments)["Body"].read()
                    return data
                except broken:
                    if attempt == ATTEMPTS - 1:
                        raise
                    time.sleep(random.uniform(0, 0.2 * 2**attempt))
        raise AssertionError("unreachable: the last attempt raises")

    def put(self, name: str, data: bytes, *, if_absent: bool = False) -> bool:
        from botocore.exceptions import ClientError

        arguments: dict[str, Any] = {"Bucket": self.bucket, "Key": self._key(name), "Body": data}
        arguments["ChecksumAlgorithm"] = "SHA256"
        with _told(self.uri(name)):
            if if_absent:
                try:
                    _s3().put_object(**arguments, IfNoneMatch="*")
                    return True
                except ClientError as error:
                    if _code(error) in ("PreconditionFailed", "412"):
                        return False
                    if _code(error) not in ("NotImplemented", "501", "ConditionalRequestConflict", "409"):
                        raise  # a store that knows no conditions, or two writers at once: both write the same bytes
            _s3().put_object(**arguments)
        return True

    def put_file(self, name: str, path: Path) -> None:
        """Multipart upload with a checksum per part; the object appears when the last part is in."""
        from boto3.s3.transfer import TransferConfig

        config = TransferConfig(multipart_threshold=16 << 20, multipart_chunksize=16 << 20)
        with _told(self.uri(name)):
            _s3().upload_file(
                str(path),
                self.bucket,
                self._key(name),
                Config=config,
                ExtraArgs={"ChecksumAlgorithm": "SHA256"},
            )

    def remove(self, name: str) -> None:
        with _told(self.uri(name)):
            _s3().delete_object(Bucket=self.bucket, Key=self._key(name))

    def sweep(self) -> None:
        """Nothing to do: an upload that was cut short never becomes an object."""


class RangeFile(io.RawIOBase):
    """An S3 object as a seekable file that fetches only the blocks it is asked for."""

    def __init__(self, store: S3Store, stored: Stored) -> None:
        self._store, self._stored, self._position = store, stored, 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._stored.num_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        index, offset = divmod(self._position, BLOCK_BYTES)
        piece = self._block(index)[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def read(self, size: int | None = -1) -> bytes:
        end = self._stored.num_bytes if size is None or size < 0 else self._position + size
        pieces = []
        while self._position < min(end, self._stored.num_bytes):
            index, offset = divmod(self._position, BLOCK_BYTES)
            piece = self._block(index)[offset : offset + end - self._position]
            pieces.append(piece)
            self._position += len(piece)
        return b"".join(pieces)

    def _block(self, index: int) -> bytes:
        start = index * BLOCK_BYTES
        if start >= self._stored.num_bytes:
            return b""
        if index not in self._blocks:
            end = min(start + BLOCK_BYTES, self._stored.num_bytes)
            self._blocks[index] = self._store.fetch(self._stored.name, start, end, self._stored.etag)
            if len(self._blocks) > CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(index)
        return self._blocks[index]


# --------------------------------------------------------------------------------------------- errors

_LOCAL_ADVICE = {
    errno.ENOSPC: "the disk is full; make room and run the same command again",
    errno.EDQUOT: "the quota is used up; make room and run the same command again",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "it is not there",
    errno.EEXIST: "a file stands where a folder should be",
    errno.ENOTDIR: "a file stands where a folder should be",
}

_S3_ADVICE = {
    "NoSuchBucket": "there is no such bucket; check the name and AWS_ENDPOINT_URL",
    "NoSuchKey": "it is not there",
    "404": "it is not there",
    "403": "access denied; check the credentials and the bucket's policy",
    "AccessDenied": "access denied; check the credentials and the bucket's policy",
    "InvalidAccessKeyId": "the access key is not known there; check AWS_PROFILE or AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
    "PreconditionFailed": "it changed while it was being read",
    "412": "it changed while it was being read",
}


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turns what the system and boto3 raise into one sentence about `where`."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        advice = _S3_ADVICE.get(_code(error)) or f"{_code(error)}: {error}"
        raise StoreError(f"{where}: {advice}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise StoreError(f"{where}: {error}") from error
    except OSError as error:
        raise StoreError(f"{where}: {_LOCAL_ADVICE.get(error.errno or 0) or error.strerror or error}") from error

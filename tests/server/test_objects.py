"""Object storage that lies, refuses or is not there; and what a URL may say."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemwright.errors import BlobsAway, CannotOpenBlobs
from stemwright.server.store.blobs import open_blobs
from tests.servers import S3, Deployment

from .conftest import keep

FLEET = pytest.mark.parametrize("deployment", ["postgresql"], indirect=True)


@pytest.fixture
def s3(deployment: Deployment) -> Iterator[S3]:
    assert deployment.s3 is not None
    yield deployment.s3
    deployment.s3.weather()


@FLEET
def test_a_write_that_is_confirmed_and_lost_is_made_again(s3: S3) -> None:
    blobs = open_blobs(s3.new(), patience_seconds=60)
    s3.weather(refuse=0.3, swallow=0.5)
    for number in range(20):
        keep(blobs, f"song{number}", bytes(1000))
    s3.weather()
    assert all(f"song{number}" in blobs for number in range(20))


@FLEET
def test_a_large_upload_survives_lost_pieces(s3: S3) -> None:
    blobs, content = open_blobs(s3.new()), bytes(range(256)) * 100_000
    s3.weather(refuse=0.3)
    keep(blobs, "large.wav", content)
    with blobs.reading("large.wav") as file:
        assert file.read() == content


@FLEET
def test_a_store_that_stays_away_is_said(s3: S3) -> None:
    blobs = open_blobs(s3.new(), patience_seconds=0.2)
    s3.weather(down=True)
    with pytest.raises(BlobsAway, match="STEMWRIGHT_BLOBS_URL"):
        keep(blobs, "song", b"x")
    with pytest.raises(CannotOpenBlobs):
        blobs.check()


@FLEET
def test_one_that_comes_back_is_waited_for(s3: S3) -> None:
    blobs = open_blobs(s3.new(), patience_seconds=20)
    s3.weather(down=True)
    threading.Timer(0.5, s3.weather).start()
    began = time.monotonic()
    keep(blobs, "song", b"x")
    assert time.monotonic() - began >= 0.5
    assert "song" in blobs


@FLEET
def test_a_bucket_that_is_not_there_is_said_at_the_start(s3: S3) -> None:
    blobs = open_blobs(s3.new().replace("s3://bucket/", "s3://nothing/"), patience_seconds=60)
    with pytest.raises(CannotOpenBlobs, match=r"s3://nothing/.*: there is no such bucket"):
        blobs.check()


@pytest.mark.parametrize("wrong", ["nonsense=1", "endpoint=http://x&colour=red"])
def test_an_option_that_no_provider_has_is_said(wrong: str) -> None:
    with pytest.raises(CannotOpenBlobs, match=r"nonsense|colour"):
        open_blobs(f"s3://bucket?{wrong}")


@FLEET
def test_clients_may_have_another_address(s3: S3, tmp_path: Path) -> None:
    blobs = open_blobs(f"{s3.new()}&public_endpoint=https://files.example.com")
    keep(blobs, "song", b"x")
    link = blobs.link("song", seconds=60)
    assert link is not None
    assert link.startswith("https://files.example.com/bucket/")
    with blobs.local("song", tmp_path / "new") as path:
        assert path.read_bytes() == b"x"
    assert list((tmp_path / "new").iterdir()) == []


def test_other_providers_are_other_urls() -> None:
    """Azure's links are signed here too; Google's need a real key."""
    azure = open_blobs("az://container/x?account_name=me&account_key=aGVsbG8=")
    assert str(azure.link("song", seconds=60)).startswith("https://me.blob.core.windows.net/container/x/song?")
    open_blobs("gs://bucket/x?skip_signature=true")

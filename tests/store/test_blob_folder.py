import hashlib
import threading

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nas.errors import ControllerFault, NotFound
from nas.store import Blobs


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


def files(blobs):
    return [path for path in blobs.folder.rglob("*") if path.is_file()]


@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=5000))
def test_what_comes_out_is_what_went_in_under_its_sha256(blobs, content):
    sha = blobs.put(content)
    assert sha == hashlib.sha256(content).hexdigest()
    assert blobs.get(sha) == content
    assert blobs.path(sha) == blobs.folder / sha[:2] / sha[2:]
    assert blobs.put(content) == sha


def test_many_may_put_the_same_at_once_and_leave_nothing_behind(blobs):
    content, line = b"weights" * 50_000, threading.Barrier(6)

    def put():
        line.wait()
        blobs.put(content)

    threads = [threading.Thread(target=put) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sha = hashlib.sha256(content).hexdigest()
    assert files(blobs) == [blobs.path(sha)]
    assert blobs.get(sha) == content


def test_a_blob_that_is_there_is_not_written_again(blobs):
    sha = blobs.put(b"weights")
    before = blobs.path(sha).stat()
    blobs.put(b"weights")
    assert blobs.path(sha).stat().st_ino == before.st_ino


@pytest.mark.parametrize("damage", [b"", b"weight", b"weights and more"])
def test_a_damaged_blob_is_noticed_and_healed_by_putting_it_again(blobs, damage):
    sha = blobs.put(b"weights")
    blobs.path(sha).write_bytes(damage)
    with pytest.raises(ControllerFault, match=f"^The stored file {sha[:12]}… is damaged"):
        blobs.get(sha)
    assert blobs.put(b"weights") == sha
    assert blobs.get(sha) == b"weights"


@pytest.mark.parametrize("sha", ["", "0" * 64, "A" * 64, "../../etc/passwd", "ab/" + "0" * 61, "0" * 64 + "\n"])
def test_an_unknown_or_impossible_name_is_not_found(blobs, sha):
    blobs.put(b"weights")
    for ask in (blobs.get, blobs.path):
        with pytest.raises(NotFound, match=r"^There is no stored file"):
            ask(sha)


def test_a_disk_that_refuses_is_reported_and_leaves_nothing_behind(blobs, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ControllerFault, match=r"^A file of 7 bytes could not be stored in .*: No space left on device"):
        blobs.put(b"weights")
    assert files(blobs) == []
    monkeypatch.undo()
    assert blobs.get(blobs.put(b"weights")) == b"weights"


def test_only_the_owner_may_look(blobs):
    path = blobs.path(blobs.put(b"weights"))
    assert path.parent.stat().st_mode & 0o077 == 0
    assert path.stat().st_mode & 0o077 == 0

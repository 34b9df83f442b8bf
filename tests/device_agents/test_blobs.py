"""Blobs are named by their SHA-256 and verified before use."""

import hashlib
import os
from pathlib import Path

import pytest

from device_agents.blobs import Blobs
from device_agents.protocol import Problem


@pytest.fixture
def blobs(tmp_path):
    return Blobs(str(tmp_path))


def test_what_was_added_is_found(blobs):
    assert Path(blobs.path(blobs.add(b"model"))).read_bytes() == b"model"


def test_a_blob_that_is_not_there_is_missing(blobs):
    with pytest.raises(Problem) as problem:
        blobs.path("0" * 64)
    assert problem.value.code == "blob_missing"


def test_a_truncated_blob_is_deleted_and_asked_for_again(blobs, tmp_path):
    sha = hashlib.sha256(b"whole model").hexdigest()
    (tmp_path / sha).write_bytes(b"whole mo")
    with pytest.raises(Problem) as problem:
        blobs.path(sha)
    assert problem.value.code == "blob_corrupt"
    assert not (tmp_path / sha).exists()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "", "a" * 63, "A" * 64])
def test_no_path_comes_in(blobs, name):
    with pytest.raises(Problem) as problem:
        blobs.path(name)
    assert problem.value.code == "bad_request"


def test_beyond_the_limit_those_used_longest_ago_go_first(blobs, tmp_path):
    shas = [blobs.add(bytes([number]) * 100) for number in range(4)]
    for age, sha in enumerate(shas):
        os.utime(tmp_path / sha, (1000 + age, 1000 + age))
    blobs.path(shas[0])  # used just now
    blobs.prune(kept_bytes=250)
    assert {path.name for path in tmp_path.iterdir()} == {shas[0], shas[3]}

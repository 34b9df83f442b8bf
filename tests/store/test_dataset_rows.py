import hashlib
from contextlib import suppress

import pytest

from nas.errors import Conflict, ControllerFault, NotFound
from nas.store import WorkState, datasets, jobs, leases, searches
from nas.store.blobs import digest_of

CONTENT = b"unique_id,ds,y\na,2024-01-01,1\n"


def upload(db, content=CONTENT, name="sales.csv", **values):
    given = {"format_": "csv", "size": len(content), "path": None, "description": {"futr": ["promo"]}}
    return datasets.create(db, name=name, digest=db.blobs.put(content), **{**given, **values})


def test_a_data_set_comes_back_with_the_job_that_looks_at_it(db):
    added = upload(db)
    dataset, look = datasets.get(db, added.id)
    assert dataset == added
    assert (look.kind, look.state, look.search_id, look.trial) == ("profile", WorkState.queued, None, None)
    assert datasets.of_job(db, look.id) == added
    newer = upload(db, name="again")
    assert [found.name for found, _ in datasets.page(db)] == ["again", "sales.csv"]
    assert [found.id for found, _ in datasets.page(db, limit=1, offset=1)] == [added.id] != [newer.id]


def test_the_look_is_claimed_and_kept_like_any_work(db):
    added = upload(db)
    held = leases.claim_next(db, leases.Observer(ttl=1000))
    assert held.id == added.job
    jobs.save(db, held.id, token=held.token, state=WorkState.completed, result={"series": 1})
    assert datasets.get(db, added.id)[1].result == {"series": 1}


def test_a_look_is_no_student(db):
    job = upload(db).job
    assert jobs.get(db, job, "profile").id == job
    with pytest.raises(NotFound, match=rf"There is no student {job}; GET /api/v1/students"):
        jobs.get(db, job, "student")


def test_a_file_of_any_size_fits(db):
    added = upload(db, size=2**40, path="/srv/sales.csv")
    assert (added.size, added.path) == (2**40, "/srv/sales.csv")


def test_removing_forgets_the_look_and_the_file_unless_another_has_the_same(db):
    first, second = upload(db), upload(db)
    datasets.remove(db, first.id)
    assert db.blobs.get(second.digest) == CONTENT
    datasets.remove(db, second.id)
    with pytest.raises(NotFound):
        db.blobs.get(second.digest)
    assert leases.claim_next(db, leases.Observer(ttl=1000)) is None
    for gone in (datasets.get, datasets.remove):
        with pytest.raises(NotFound, match=r"There is no data set 2; `nas data list`"):
            gone(db, second.id)
    with pytest.raises(NotFound, match="removed meanwhile"):
        datasets.of_job(db, first.job)


def test_a_file_on_disk_stays_when_its_data_set_goes(db, tmp_path):
    (tmp_path / "sales.csv").write_bytes(CONTENT)
    uploaded, named = upload(db), upload(db, path=str(tmp_path / "sales.csv"))
    datasets.remove(db, named.id)
    assert (tmp_path / "sales.csv").exists()
    assert db.blobs.get(uploaded.digest) == CONTENT


def test_a_number_is_never_given_twice(db):
    datasets.remove(db, upload(db).id)
    assert upload(db).id == 2  # an old search that names 1 must not read this table


def test_it_stays_while_a_search_needs_it(db):
    added = upload(db)
    search = searches.create(db, name="s", request={"data": {"source": "dataset", "dataset": added.id}}, space={})
    with pytest.raises(Conflict, match=rf"Data set 1 is used by search {search.id}; wait for the end or cancel"):
        datasets.remove(db, added.id)
    searches.cancel(db, search.id)
    datasets.remove(db, added.id)


def test_it_stays_while_a_student_of_an_ended_search_needs_it(db, claim, propose):
    added = upload(db)
    look = leases.claim_next(db, leases.Observer(ttl=1000))
    jobs.save(db, look.id, token=look.token, state=WorkState.completed)
    held = claim(data={"dataset": added.id})
    propose(held)
    searches.save(db, held.id, token=held.token, state=WorkState.completed)
    job = jobs.create(db, "student", search_id=held.id, trial=0, request={"devices": ["pi4"]})
    with pytest.raises(Conflict, match=f"used by student {job.id};"):
        datasets.remove(db, added.id)


def test_it_stays_while_a_controller_looks_at_it(db):
    added = upload(db)
    held = leases.claim_next(db, leases.Observer(ttl=1000))
    with pytest.raises(Conflict, match="used by the profile that is being made of it"):
        datasets.remove(db, added.id)
    jobs.save(db, held.id, token=held.token, state=WorkState.failed, reason="Unreadable.")
    datasets.remove(db, added.id)


def test_an_upload_whose_file_was_removed_meanwhile_is_refused(db):
    added = upload(db)
    datasets.remove(db, added.id)
    with pytest.raises(NotFound):
        datasets.create(db, name="a", format_="csv", digest=added.digest, size=added.size, path=None, description={})


class TestReceiving:
    def test_pieces_become_one_blob(self, db):
        with db.blobs.receive() as incoming:
            for piece in (CONTENT[:7], CONTENT[7:]):
                incoming.write(piece)
            sha = incoming.keep()
        assert (sha, incoming.size) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
        assert db.blobs.get(sha) == CONTENT
        assert digest_of(db.blobs.path(sha)) == (sha, len(CONTENT))

    def test_what_breaks_off_leaves_nothing(self, db):
        with suppress(KeyError), db.blobs.receive() as incoming:
            incoming.write(b"half")
            raise KeyError
        assert [path for path in db.blobs.folder.rglob("*") if path.is_file()] == []

    def test_what_is_not_kept_leaves_nothing(self, db):
        with db.blobs.receive() as incoming:
            incoming.write(b"whole")
        assert [path for path in db.blobs.folder.rglob("*") if path.is_file()] == []

    def test_a_damaged_copy_is_healed(self, db):
        sha = db.blobs.put(CONTENT)
        db.blobs.path(sha).write_bytes(b"broken")
        with db.blobs.receive() as incoming:
            incoming.write(CONTENT)
            assert incoming.keep() == sha
        assert db.blobs.get(sha) == CONTENT

    def test_a_disk_that_refuses_is_one_sentence(self, db, tmp_path):
        db.blobs.folder.parent.joinpath("blobs").write_bytes(b"a file in its place")
        with pytest.raises(ControllerFault, match=r"could not be stored in .*make room"), db.blobs.receive():
            pass

import pytest

from nas.controller.profiles import carry_out_profile
from nas.data.load import load_panel
from nas.data.sources import dataset as dataset_source
from nas.data.sources import synthetic
from nas.errors import DataError, NotFound
from nas.request import DataSpec
from nas.store import WorkState, datasets, jobs
from nas.store.blobs import digest_of

SAID = {"hist": ["discount"], "futr": ["promotion"], "stat": ["region"]}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sales.csv"
    synthetic.generate(3, 120).frame.to_csv(path, index=False)
    return path


def add(db, file, *, name="sales", in_place=False, description=SAID):
    digest, size = digest_of(file)
    if not in_place:
        db.blobs.put(file.read_bytes())
    values = {"format_": "csv", "digest": digest, "size": size, "description": description}
    return datasets.create(db, name=name, path=str(file) if in_place else None, **values)


def look(settings, db, dataset):
    return carry_out_profile(settings, db, jobs.get(db, dataset.job, "profile"))


@pytest.mark.parametrize("in_place", [False, True])
def test_the_look_tells_what_is_in_a_table(settings, db, file, in_place):
    end = look(settings, db, add(db, file, in_place=in_place))
    assert end["state"] == WorkState.completed
    assert (end["result"]["series"], end["result"]["rows"]) == (3, 360)
    assert end["result"]["problems"] == []


def test_problems_are_what_was_looked_for_and_no_failure(settings, db, file):
    file.write_text(file.read_text().replace(",2022-01-04,", ",someday,", 1))
    end = look(settings, db, add(db, file))
    assert end["state"] == WorkState.completed
    assert any("row 3" in str(problem) and "someday" in str(problem) for problem in end["result"]["problems"])


def test_what_is_no_table_says_so_under_the_name_that_its_user_gave(settings, db, file):
    file.write_bytes(b"\xff\xfe nothing")
    with pytest.raises(DataError, match=r"sales\.csv"):
        look(settings, db, add(db, file))


def test_a_file_that_changed_or_went_is_refused(settings, db, file):
    added = add(db, file, in_place=True)
    file.write_text(file.read_text() + "\n")
    with pytest.raises(DataError, match=r"sales\.csv has changed since it was added as data set 1; add it again"):
        look(settings, db, added)
    file.unlink()
    with pytest.raises(DataError, match=r"no longer at .*put the file back"):
        look(settings, db, added)


def test_an_upload_that_went_is_refused(settings, db, file):
    added = add(db, file)
    db.blobs.drop(added.digest)
    with pytest.raises(DataError, match=r"The file of data set 1 \(sales\) is gone; add it again"):
        look(settings, db, added)


def test_a_look_at_what_was_removed_meanwhile_ends(settings, db, file):
    added = add(db, file)
    job = jobs.get(db, added.job, "profile")
    datasets.remove(db, added.id)
    with pytest.raises(NotFound, match="removed meanwhile"):
        carry_out_profile(settings, db, job)


def test_a_data_set_becomes_the_panel_of_the_same_table(settings, db, file):
    cache = settings.folder / "cache"
    for name in ("sales", "Größen & Läden.CSV", "..", "[x]*"):
        added = add(db, file, name=name)
        dataset_source.fetch(added, db.blobs, cache)
        dataset_source.fetch(added, db.blobs, cache)  # as for the next search
        panel = load_panel(DataSpec(source="dataset", dataset=added.id, **SAID), cache)
        assert panel.digest == load_panel(DataSpec(source="table", path=str(file), **SAID), cache).digest


def test_a_data_set_that_was_not_fetched_is_named(tmp_path):
    with pytest.raises(DataError, match="Data set 3 is not on this computer"):
        dataset_source.load(DataSpec(source="dataset", dataset=3), tmp_path)

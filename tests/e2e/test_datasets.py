"""A retailer's own table, from the upload to a finished search, with real parts."""

import pytest
from serving import OVER, SMALL

from nas.data.sources import synthetic
from nas.errors import Conflict

SAID = {"hist": ["discount"], "futr": ["promotion"], "stat": ["region"]}


@pytest.fixture
def frame():
    return synthetic.generate(6, 200).frame


def looked_at(service, client, dataset):
    return service.until(lambda: (d := client.dataset(dataset))["state"] in OVER and d)


def test_a_table_is_sent_looked_at_and_searched(service, client, frame, calm_python, tmp_path):
    frame.to_csv(tmp_path / "sales.csv", index=False)
    added = client.add_dataset(tmp_path / "sales.csv", SAID)
    client.add_device({"name": "till", "transport": "local", "python": calm_python})
    data = {"source": "dataset", "dataset": added["id"]}
    search = client.start_search({**SMALL, "data": data, "devices": ["till"], "trials": 1})
    with pytest.raises(Conflict, match=f"used by search {search['id']}"):
        client.remove_dataset(added["id"])
    ended = service.ended(client, search["id"])
    assert ended["state"] == "completed", ended["reason"]
    assert ended["request"]["data"]["futr"] == ["promotion"]
    found = looked_at(service, client, added["id"])
    assert (found["state"], found["profile"]["series"], found["profile"]["problems"]) == ("completed", 6, [])
    client.remove_dataset(added["id"])
    client.remove_device("till")


def test_a_table_is_looked_at_where_it_lies(service, client, frame, tmp_path):
    frame.to_parquet(tmp_path / "sales.parquet")
    added = client.add_dataset(tmp_path / "sales.parquet", SAID, in_place=True)
    found = looked_at(service, client, added["id"])
    assert (found["state"], found["profile"]["rows"], found["path"]) == ("completed", 1200, added["path"])


def test_a_table_that_is_none_fails_with_its_reason(service, client, tmp_path):
    path = tmp_path / "sales.parquet"
    path.write_bytes(b"PAR1 but not really PAR1")
    found = looked_at(service, client, client.add_dataset(path)["id"])
    assert found["state"] == "failed"
    assert "sales.parquet" in found["reason"]

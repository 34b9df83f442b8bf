"""A table of devices: all of it is checked first, each problem has its row, and nobody is asked."""

import getpass

import pytest
from sshd import make_key, public_line

from nas.devices.enrol_many import differences, enrolled_at_once, read_table
from nas.devices.known_hosts import fingerprint
from nas.devices.ssh_config import SshConfig
from nas.errors import RequestError

PRINT = "SHA256:" + "A" * 43
HEAD = "name,host,port,user,key,fingerprint,pool,measure_between,jump,jump_fingerprint,host_key"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path


@pytest.fixture
def table(home):
    """Read a table with these rows."""

    def read(*rows, head=HEAD, look=True):
        (home / "devices.csv").write_text("\n".join([head, *rows]) + "\n")
        return read_table(home / "devices.csv", SshConfig(), look=look)

    return read


def row(**values):
    return ",".join(values.get(column, "") for column in HEAD.split(","))


GOOD = {"name": "pi-1", "host": "10.0.0.1", "user": "pi", "key": "/keys/pi", "fingerprint": PRINT}


def test_a_row_becomes_a_plan_and_what_is_left_open_comes_from_the_configuration(table, home):
    (home / ".ssh" / "config").write_text("Host 10.*\n Port 2222\n User ops\n")
    first, second = table(
        row(**GOOD, pool="pi4", measure_between="22:00-05:00"), "", row(**GOOD | {"name": "b", "user": ""})
    )
    assert (first.row, second.row) == (2, 4)
    stop = first.plan.route[-1]
    assert (stop.host, stop.port, stop.user, stop.logins[0].key) == ("10.0.0.1", 2222, "pi", "/keys/pi")
    assert first.plan.wish.rest == {"pool": "pi4", "measure_between": "22:00-05:00"}
    assert second.plan.route[-1].user == "ops"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "Pi 1"}, "row 3: .*small letters"),
        ({"name": ""}, "row 3: name is empty"),
        ({"host": ""}, "row 3: host is empty"),
        ({"host": "-oProxyCommand=x"}, "row 3: .*no leading dash"),
        ({"port": "many"}, "row 3: port is 'many'"),
        ({"port": "70000"}, "row 3: .*port is 70000"),
        ({"fingerprint": "MD5:0"}, "row 3: fingerprint is 'MD5:0'"),
        ({"fingerprint": ""}, "row 3: fingerprint is missing, and known_hosts has no key of 10.0.0.1"),
        ({"host_key": "ssh-ed25519 AAAA"}, "row 3: host_key is no key line"),
        ({"measure_between": "22-5"}, "row 3: .*measure_between is '22-5'"),
        ({"measure_between": "22:00-22:00"}, "row 3: .*two times"),
        ({"measure_between": "24:00-05:00"}, "row 3: .*two times"),
        ({"jump": "gate"}, r"row 3: jump_fingerprint \(gate=SHA256:…\) is missing"),
        ({"jump": "gate", "jump_fingerprint": "gate"}, "row 3: The fingerprint 'gate' cannot be read"),
        ({"jump_fingerprint": f"gate={PRINT}"}, "row 3: The fingerprint of gate is of no use"),
        ({"name": "pi-1"}, "row 3: the name pi-1 stands in row 2 already"),
        ({"pool": "pi-1"}, "row 3: the pool pi-1 has the name of the device in row 2"),
        ({"pool": "pi-2"}, "row 3: .*its pool has the same name"),
    ],
)
def test_every_problem_has_its_row(table, change, says):
    with pytest.raises(RequestError, match=rf"was not imported, and nothing was sent; .*:\n  • {says}"):
        table(row(**GOOD), row(**GOOD | {"name": "pi-2"} | change))


def test_all_problems_are_told_at_once(table):
    with pytest.raises(RequestError) as refused:
        table(row(**GOOD | {"port": "x"}), "pi-2,10.0.0.2", row(**GOOD | {"name": "?"}))
    assert [line.split(":")[0].strip(" •") for line in str(refused.value).splitlines()[1:]] == [
        "row 2",
        "row 3",
        "row 4",
    ]


@pytest.mark.parametrize("head", ["", "name", "name;host", "name,host,hots", "name,host,host"])
def test_a_wrong_heading_says_which_columns_there_are(table, head):
    with pytest.raises(RequestError, match=r"expected name, host and any of port, user"):
        table(head=head)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b'name,host\n"a\n'])
def test_a_file_that_is_no_table_is_one_sentence(home, content):
    if content is not None:
        (home / "devices.csv").write_bytes(content)
    with pytest.raises(RequestError, match=r"devices\.csv"):
        read_table(home / "devices.csv", SshConfig(), look=True)


def test_unseen_devices_need_whole_keys_of_every_machine(table, home):
    key, gate = public_line(make_key(home / "key")), public_line(make_key(home / "gate"))
    with pytest.raises(RequestError, match="whole host key is not known"):
        table(row(**GOOD), look=False)
    (home / ".ssh" / "known_hosts").write_text(f"gate {gate}\n")
    whole = GOOD | {"fingerprint": "", "host_key": key, "jump": "ops@gate"}
    lines = table(row(**whole), look=False)
    ((_, device),) = enrolled_at_once(lines, look=False)
    assert (device.host_key, device.key, device.jump[0].host_key, device.jump[0].user) == (key, "/keys/pi", gate, "ops")
    with pytest.raises(RequestError, match="nothing was sent"):
        table(row(**whole | {"host_key": gate, "fingerprint": fingerprint(key)}), look=False)


def test_an_enrolled_device_is_compared_with_its_row(table, home):
    key = public_line(make_key(home / "key"))
    (line,) = table(row(**GOOD | {"fingerprint": fingerprint(key)}, pool="pi4"))
    enrolled = {
        "transport": "ssh",
        "host": "10.0.0.1",
        "port": 22,
        "user": "pi",
        "key": "/keys/pi",
        "host_key": key,
        "jump": [],
        "pool": "pi4",
        "measure_between": "",
        "python": "python3",
        "root": ".nas-agent",
    }
    assert differences(line.plan, enrolled) == []
    other = public_line(make_key(home / "other"))
    hop = {"host": "gate", "port": 22, "user": getpass.getuser(), "key": "", "host_key": key}
    for name, value in {"host": "x", "user": "root", "pool": "", "key": "/other"}.items():
        assert differences(line.plan, enrolled | {name: value}) == [name]
    assert differences(line.plan, enrolled | {"host_key": other}) == ["fingerprint"]
    assert differences(line.plan, enrolled | {"jump": [hop]}) == ["jump"]
    jump = {"jump": "gate", "jump_fingerprint": f"gate={fingerprint(key)}"}
    (line,) = table(row(**GOOD | {"fingerprint": fingerprint(key)} | jump, pool="pi4"))
    assert differences(line.plan, enrolled | {"jump": [hop]}) == []
    assert differences(line.plan, enrolled | {"jump": [hop | {"host_key": other}]}) == ["jump_fingerprint"]

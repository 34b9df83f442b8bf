"""known_hosts is read as OpenSSH reads it: what ssh-keygen writes and finds is the measure."""

import subprocess

import pytest
from sshd import make_key, public_line

from nas.devices.known_hosts import fingerprint, is_host_key, known, known_name


@pytest.fixture
def key(tmp_path):
    return public_line(make_key(tmp_path / "key"))


@pytest.fixture
def hosts(tmp_path):
    def write(text):
        (tmp_path / "hosts").write_text(text)
        return known_by(tmp_path)

    return write


def known_by(folder):
    return lambda name: known(name, [str(folder / "absent"), str(folder / "hosts")])


def test_a_fingerprint_is_what_ssh_keygen_shows(tmp_path, key):
    shown = subprocess.check_output(["ssh-keygen", "-lf", tmp_path / "key.pub"], text=True)
    assert fingerprint(key) == shown.split()[1]


@pytest.mark.parametrize("name", ["gate", "[gate]:2222", "10.0.0.7", "[::1]:22022"])
def test_hashed_names_are_found_as_ssh_keygen_finds_them(tmp_path, hosts, key, name):
    find = hosts(f"{name} {key} a comment\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", tmp_path / "hosts"], check=True, capture_output=True)
    assert name not in (tmp_path / "hosts").read_text()
    assert find(name).keys == {key: str(tmp_path / "hosts")}
    assert not find("other").keys


@pytest.mark.parametrize(
    ("patterns", "name", "found"),
    [
        ("gate,10.0.0.7", "10.0.0.7", True),
        ("GATE", "gate", True),
        ("*.shop.example", "pi.shop.example", True),
        ("*.shop.example,!pi.*", "pi.shop.example", False),
        ("pi?", "pi4", True),
        ("pi?", "pi", False),
        ("[gate]:2222", "[gate]:2222", True),
        ("[gate]:2222", "gate", False),
        ("gate", "[gate]:2222", False),
    ],
)
def test_patterns(hosts, key, patterns, name, found):
    assert (key in hosts(f"{patterns} {key}\n")(name).keys) is found


def test_markers_comments_and_broken_lines(tmp_path, hosts, key):
    good = public_line(make_key(tmp_path / "good"))
    find = hosts(
        f"# gate {key}\n\ngate\ngate ssh-ed25519 nonsense\n|1|x|y {key}\n@cert-authority * {key}\n"
        f"@revoked gate {key}\ngate {good}\n"
    )
    assert set(find("gate").keys) == {good}
    assert set(find("gate").revoked) == {key}


def test_the_name_carries_the_port_unless_it_is_the_usual_or_there_is_an_alias():
    assert known_name("gate", 22) == "gate"
    assert known_name("gate", 2222) == "[gate]:2222"
    assert known_name("10.0.0.7", 2222, "gate") == "gate"


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 ä", " AAAA", "ssh-rsa AAAAC3Nz"])
def test_what_is_no_key_line(text):
    assert not is_host_key(text)

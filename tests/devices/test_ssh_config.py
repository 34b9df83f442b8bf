"""The user's OpenSSH configuration becomes explicit facts, or is refused by the name of what cannot be honoured."""

import getpass
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshd import certify, make_key, public_line

from nas.devices.ssh_config import Options, SshConfig
from nas.devices.ssh_keys import Login
from nas.errors import RequestError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of the test's own, and no agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path


@pytest.fixture
def route(home):
    """Write a configuration and return the way to a host by it."""

    def find(text, host="pi4", **options):
        (home / ".ssh" / "config").write_text(text)
        return SshConfig().route(host, Options(**options))

    return find


def where(stops):
    return [(stop.user, stop.host, stop.port) for stop in stops]


def test_without_a_configuration_it_is_as_ssh_would_have_it(home):
    key = make_key(home / ".ssh" / "id_ed25519")
    (stop,) = SshConfig().route("10.0.0.7", Options())
    assert (stop.host, stop.port, stop.user) == ("10.0.0.7", 22, getpass.getuser())
    assert stop.logins == (Login(str(key)),)


PLAIN = "Host pi4\n HostName 10.0.0.7\n Port 2222\n User pi\n IdentityFile ~/.ssh/shop\n"


def test_an_alias_gives_address_port_user_and_key(home, route):
    key = make_key(home / ".ssh" / "shop")
    (stop,) = route(PLAIN)
    assert where([stop]) == [("pi", "10.0.0.7", 2222)]
    assert stop.logins == (Login(str(key)),)


def test_explicit_options_beat_the_configuration(home, route):
    key = make_key(home / "mine")
    (stop,) = route(PLAIN + " ProxyJump gate\n", user="root", port=22, key=str(key), jump="none")
    assert where([stop]) == [("root", "10.0.0.7", 22)]
    assert stop.logins == (Login(str(key)),)


def test_another_file_can_be_named(home):
    (home / "other").write_text("Host pi4\n  User other\n")
    assert SshConfig(home / "other").route("pi4", Options())[0].user == "other"
    with pytest.raises(RequestError, match="No such file"):
        SshConfig(home / "absent")


def test_jumps_are_resolved_through_the_configuration_themselves(route):
    text = "Host pi4\n ProxyJump ops@gate,inner:2200\nHost gate\n HostName gate.example\n Port 2022\n User nobody\n"
    text += "Host inner\n HostName 172.16.0.1\n User in\n"
    assert where(route(text, user="pi")) == [
        ("ops", "gate.example", 2022),
        ("in", "172.16.0.1", 2200),
        ("pi", "pi4", 22),
    ]


def test_a_jump_host_may_lie_behind_another(route):
    text = "Host pi4\n ProxyJump inner\nHost inner\n ProxyJump outer\nHost *\n User me\n"
    assert [stop.name for stop in route(text)] == ["outer", "inner", "pi4"]


def test_a_jump_for_all_hosts_does_not_apply_to_itself(route):
    assert [stop.name for stop in route("Host *\n ProxyJump gate\n User me\n")] == ["gate", "pi4"]


def test_a_jump_to_another_port_of_the_same_address_is_a_jump(route):
    assert [stop.port for stop in route("", host="nat", jump="nat:2201", port=2202)] == [2201, 2202]
    with pytest.raises(RequestError, match="leads in a circle"):
        route("", host="nat", jump="nat")


def test_a_way_in_a_circle_is_refused(route):
    with pytest.raises(RequestError, match="leads in a circle"):
        route("Host pi4\n ProxyJump a\nHost a\n ProxyJump b\nHost b\n ProxyJump a\n")


@pytest.mark.parametrize(
    ("jump", "expected"),
    [
        ("gate", ("me", "gate", 22)),
        ("ops@gate:2200", ("ops", "gate", 2200)),
        ("ssh://ops@gate:2200", ("ops", "gate", 2200)),
        ("[::1]:2200", ("me", "::1", 2200)),
        ("a@b@gate", ("a@b", "gate", 22)),
        ("gate:port", None),
        ("", []),
    ],
)
def test_how_a_jump_is_written(route, jump, expected):
    if expected is None:
        with pytest.raises(RequestError, match="USER@"):
            route("", jump=jump)
    else:
        assert where(route("Host *\n User me\n", jump=jump))[:-1] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("ProxyCommand nc %h %p", "ProxyCommand nc pi4 22"),
        ("KnownHostsCommand /bin/x", "KnownHostsCommand"),
        ("PKCS11Provider /lib/x.so", "PKCS11Provider"),
        ("CanonicalizeHostname yes", "CanonicalizeHostname"),
        ("BindAddress 10.0.0.1", "BindAddress"),
        ("BindInterface eth0", "BindInterface"),
        ("PubkeyAuthentication no", "PubkeyAuthentication"),
        ("RevokedHostKeys /etc/revoked", "RevokedHostKeys"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(route, line, named):
    with pytest.raises(RequestError, match=f"wants `{named}.* for pi4, which cannot be honoured here; .*--ssh-config"):
        route(f"Host pi4\n {line}\n")
    route(f"Host other\n {line}\n")


def test_a_proxy_command_of_a_jump_host_is_refused_too(route):
    with pytest.raises(RequestError, match=r"ProxyCommand .* for gate"):
        route("Host pi4\n ProxyJump gate\nHost gate\n ProxyCommand nc %h %p\n")


def test_as_in_openssh_the_first_of_jump_and_command_counts(route):
    assert len(route("Host pi4\n ProxyJump gate\nMatch host pi4\n ProxyCommand nc\n")) == 2
    assert len(route("Host pi4\n ProxyCommand none\nHost *\n ProxyJump gate\n")) == 1
    with pytest.raises(RequestError, match="ProxyCommand"):
        route("Host pi4\n ProxyCommand nc\nHost *\n ProxyJump gate\n")


@pytest.mark.parametrize("criteria", ["exec touch\\ CANARY", 'host pi4 exec "touch CANARY"', "!exec false", "tagged x"])
def test_a_match_that_cannot_be_judged_is_refused_where_it_applies_and_never_run(route, home, criteria):
    text = f"Match {criteria.replace('CANARY', str(home / 'canary'))}\n User x\n"
    with pytest.raises(RequestError, match="wants `Match "):
        route(text)
    assert not (home / "canary").exists()
    if "host" in criteria:
        assert route(text, host="other")


def test_a_match_that_can_be_judged_is(route):
    text = (
        f"Match originalhost pi4 localuser {getpass.getuser()}\n User a\nMatch !host pi4\n User b\nMatch all\n Port 9\n"
    )
    assert where(route(text)) == [("a", "pi4", 9)]
    assert where(route(text, host="pi5")) == [("b", "pi5", 9)]


def test_includes_are_read_in_place(home, route):
    (home / ".ssh" / "conf.d").mkdir()
    (home / ".ssh" / "conf.d" / "a").write_text("Host pi4\n User included\n")
    (home / ".ssh" / "conf.d" / "b").write_text("Host pi5\n User other\n")
    assert route("Include conf.d/*\nPort 2222\nHost pi4\n User late\n")[0].user == "included"
    assert route("Include conf.d/*\nPort 2222\nHost pi4\n User late\n")[0].port == 2222
    assert route("Include absent\nHost pi4\n User late\n")[0].user == "late"
    with pytest.raises(RequestError, match=r"config:2 has an Include within `Host pi4`"):
        route("Host pi4\n Include conf.d/*\n")
    (home / ".ssh" / "conf.d" / "a").write_text("Include conf.d/a\n")
    with pytest.raises(RequestError, match="included too deeply"):
        route("Include conf.d/*\n")


@pytest.mark.parametrize("text", ["Host 'pi4\n", "Match host\n", "nonsense\n", "Host pi4\n Port many\n", "\udcff\n"])
def test_a_broken_file_is_one_sentence(home, text):
    (home / ".ssh" / "config").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RequestError, match=r"\.ssh/config"):
        SshConfig().route("pi4", Options())


@given(st.text(alphabet="HostMach ProxyJumpInclude=\"'%!*\n\t#pi4", max_size=60))
def test_any_text_is_understood_or_refused(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any-config"
    file.write_text(text)
    try:
        SshConfig(file).route("pi4", Options())
    except RequestError as error:
        assert str(error)


def test_several_keys_and_their_certificates(home, route):
    one, two, three = (make_key(home / ".ssh" / name) for name in ("one", "two", "three"))
    make_key(home / "ca")
    beside = certify(one, home / "ca")
    elsewhere = shutil.move(certify(two, home / "ca"), home / "elsewhere-cert.pub")
    text = f"IdentityFile {one}\nIdentityFile %d/.ssh/two\nIdentityFile {three}\nIdentityFile ~/.ssh/absent\n"
    (stop,) = route(text + "CertificateFile ~/elsewhere-cert.pub\n")
    assert stop.logins == (Login(str(one), str(beside)), Login(str(two), str(elsewhere)), Login(str(three)))


def test_the_agent_is_used_as_the_configuration_says(home, route, ssh_agent):
    key = make_key(home / ".ssh" / "id_ed25519")
    mine, others = Login(str(key), use_agent=True), Login(use_agent=True)
    assert route("")[0].logins == (mine, others)
    assert route("IdentitiesOnly yes\n")[0].logins == (mine,)
    assert route("", key=str(key))[0].logins == (mine,)
    assert route("IdentityAgent none\n")[0].logins == (Login(str(key)),)
    assert route(f"IdentityAgent {ssh_agent.socket}\n")[0].logins == (mine, others)
    with pytest.raises(RequestError, match=r"IdentityAgent /run/other.*SSH_AUTH_SOCK=/run/other"):
        route("IdentityAgent /run/other\n")


def test_known_hosts_are_looked_up_by_name_port_and_alias(home, route):
    keys = [public_line(make_key(home / name)) for name in ("a", "b", "c")]
    lines = zip(("[10.0.0.7]:2222", "aliased", "10.0.0.7"), keys, strict=True)
    (home / ".ssh" / "known_hosts").write_text("".join(f"{name} {key}\n" for name, key in lines))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", home / ".ssh" / "known_hosts"], check=True, capture_output=True)
    assert list(route("HostName 10.0.0.7\nPort 2222\n")[0].known.keys) == keys[:1]
    assert list(route("HostName 10.0.0.7\nPort 2222\nHostKeyAlias aliased\n")[0].known.keys) == keys[1:2]
    assert list(route("HostName 10.0.0.7\n")[0].known.keys) == keys[2:]
    (home / "hosts").write_text(f"pi4 {keys[0]}\n")
    assert list(route("UserKnownHostsFile ~/.ssh/absent %d/hosts\n")[0].known.keys) == keys[:1]
    assert not route("UserKnownHostsFile none\nGlobalKnownHostsFile none\n")[0].known.keys

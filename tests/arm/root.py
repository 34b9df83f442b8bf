"""An aarch64 Debian bookworm on this computer: a few unpacked packages, and qemu-user to run them.

``python -m tests.arm.root`` makes it ready; what is there already is kept. Needs root and apt.
"""

from __future__ import annotations

import hashlib
import os
import platform
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(os.environ.get("NAS_ARM_ROOT", "/var/cache/edge-nas/arm"))
"""Owned by root and outside /tmp: sshd accepts nothing else for ChrootDirectory."""
MIRROR = os.environ.get("DEBIAN_MIRROR", "")
"""Where Debian's packages are; by default, where this computer's apt has them from."""
SUITE = "bookworm"
PACKAGES = ("python3-minimal", "libpython3.11-stdlib", "libstdc++6", "dash", "coreutils")
"""What a Pi with a fresh system has of Python, and no pip; apt adds what they depend on."""
USER = pwd.getpwnam("nobody")
"""An ordinary user that every computer has."""
SYS = {
    "firmware/devicetree/base/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "class/thermal/thermal_zone0/temp": "48312",
    "class/thermal/thermal_zone0/type": "cpu-thermal",
    "devices/platform/soc/soc:firmware/get_throttled": "0",
    **{f"devices/system/cpu/cpu{n}/cpufreq/scaling_governor": "performance" for n in range(4)},
    **{f"devices/system/cpu/cpu{n}/cpufreq/cpuinfo_cur_freq": "1500000" for n in range(4)},
    "devices/system/cpu/possible": "0-3",
    "devices/system/cpu/present": "0-3",
    "devices/system/cpu/online": "0-3",
}
"""A Pi-like /sys. The real one tells of an x86 processor, over which onnxruntime's look at the processor fails."""
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_RECIPE = hashlib.sha256("\n".join((SUITE, *PACKAGES, *SYS, "1")).encode()).hexdigest()


class Unready(RuntimeError):
    """Why there can be no Arm system here, in one sentence."""


def main() -> None:
    started = time.monotonic()
    try:
        make_ready()
    except Unready as reason:
        sys.exit(f"make test-arm: {reason}")
    say(f"the Arm system is ready in {FOLDER}: {time.monotonic() - started:.1f} s")


def make_ready() -> Path:
    """Make sure that the system is there and its programs run; return its root.

    Raises:
        Unready: It cannot be made here.
    """
    if os.getuid() != 0:
        raise Unready("An Arm system behind OpenSSH's ChrootDirectory needs root here; run it as root (sudo).")
    root, stamp = FOLDER / "root", FOLDER / "recipe"
    FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not stamp.is_file() or stamp.read_text() != _RECIPE:
        stamp.unlink(missing_ok=True)
        _unpack(_debs(), root)
        _lay_out(root)
        stamp.write_text(_RECIPE)
    _expect_emulator()
    return root


@contextmanager
def proc_mounted(root: Path) -> Iterator[None]:
    """Give the system its /proc for a while."""
    _run("mount", "-t", "proc", "-o", "nosuid,nodev,noexec", "proc", root / "proc")
    try:
        yield
    finally:
        _run("umount", "--lazy", root / "proc")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _debs() -> list[Path]:
    """Fetch the packages and what they depend on, verified by apt, with a state of its own."""
    state = FOLDER / "apt"
    shutil.rmtree(state, ignore_errors=True)  # older versions of the packages
    for name in ("lists/partial", "archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not keyring.is_file():
        raise Unready(f"{keyring} is missing; install debian-archive-keyring.")
    (state / "sources.list").write_text(f"deb [signed-by={keyring}] {MIRROR or _mirror()} {SUITE} main\n")
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "-",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    say(f"fetching the aarch64 packages of Debian {SUITE}")
    _run(*apt, "update")
    _run(*apt, "--yes", "--no-install-recommends", "--download-only", "install", *PACKAGES)
    return sorted((state / "archives").glob("*.deb"))


def _mirror() -> str:
    words = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Identifier: Packages"]
    for line in subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines():
        origin, _, address = line.partition(" ")
        if origin == "Debian" and "security" not in address:
            return address
    raise Unready("This computer's apt has no Debian mirror; name one with DEBIAN_MIRROR=URL.")


def _unpack(debs: list[Path], root: Path) -> None:
    if root.is_dir():
        if os.path.ismount(root / "proc"):
            raise Unready(f"{root / 'proc'} is still mounted, by another run perhaps; umount it, then start again.")
        shutil.rmtree(root)
    (root / "usr").mkdir(mode=0o755, parents=True)
    for name in ("bin", "sbin", "lib"):  # packages of this release still ship both; the system has one
        (root / "usr" / name).mkdir()
        (root / name).symlink_to(f"usr/{name}")
    say(f"unpacking {len(debs)} packages")
    for deb in debs:
        packed = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        _run("tar", "-x", "--keep-directory-symlink", "-C", root, "-f", "-", stdin=packed.stdout)
        if packed.wait() != 0:
            raise Unready(f"{deb} is damaged; delete it and start again.")


def _lay_out(root: Path) -> None:
    """Add what packages would make at their installation, and what a kernel would show."""
    (root / "bin/sh").unlink(missing_ok=True)
    (root / "bin/sh").symlink_to("dash")
    shell = root / USER.pw_shell.lstrip("/")
    shell.parent.mkdir(parents=True, exist_ok=True)
    if not shell.exists():
        shell.symlink_to("/bin/sh")  # sshd starts the shell that this computer's own list of users names
    for name in ("proc", "sys", "dev", "tmp", "etc", USER.pw_dir.lstrip("/")):
        (root / name).mkdir(parents=True, exist_ok=True)
    os.chown(root / USER.pw_dir.lstrip("/"), USER.pw_uid, USER.pw_gid)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text(f"nobody:x:{USER.pw_uid}:{USER.pw_gid}::{USER.pw_dir}:/bin/sh\n")
    for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
        node = root / "dev" / name
        node.unlink(missing_ok=True)
        os.mknod(node, 0o020666, os.makedev(1, minor))
        node.chmod(0o666)
    for name, text in SYS.items():
        path = root / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _expect_emulator() -> None:
    """See that the kernel hands aarch64 programs to qemu; tell it to, if nobody has yet."""
    if platform.machine() == "aarch64":
        return
    if not (_BINFMT / "register").exists():
        _run("mount", "-t", "binfmt_misc", "binfmt_misc", _BINFMT)
    if not (_BINFMT / "qemu-aarch64").exists():
        rule = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
        if not rule.is_file():
            raise Unready("qemu for aarch64 programs is missing; install qemu-user-static.")
        (_BINFMT / "register").write_bytes(rule.read_bytes().strip())
    found = subprocess.run(
        ["chroot", FOLDER / "root", "/usr/bin/python3", "-c", "import platform; print(platform.machine())"],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.stdout.strip() != "aarch64":
        raise Unready(f"aarch64 programs do not run here ({found.stderr.strip()[-200:]}); look at {_BINFMT}.")


def _run(*words: object, **options: object) -> None:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise Unready(f"`{' '.join(map(str, words[:3]))} …` failed: {done.stderr.strip()[-400:]}")


if __name__ == "__main__":
    main()

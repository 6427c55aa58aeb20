"""The jail of the release binary: every system call number, what /proc says, what memory holds."""
import ctypes
import os
import pathlib
import re
import subprocess

import pytest

from perilune import BINARY, SANITIZED, SECRET_KEY, eventually, memory_of

pytestmark = [pytest.mark.cli, pytest.mark.skipif(SANITIZED, reason="the sanitizer build relaxes the jail by name")]

# What a runner may ask of the kernel (x86-64), by measurement; all else ends it.
ALLOWED = {
    "brk", "munmap", "mremap", "mmap", "mprotect", "clock_gettime", "gettimeofday", "time", "getrandom", "futex",
    "rt_sigreturn", "restart_syscall", "exit_group",
}


def test_every_system_call(tmp_path):
    got = {}
    for n in range(461):
        r = subprocess.run([str(BINARY), "jail-test", str(n)], capture_output=True, text=True, timeout=20)
        m = re.match(r"^(\d+) (\S+) (allowed|killed)", r.stdout)
        assert m, (n, r.stdout, r.stderr, r.returncode)
        assert int(m[1]) == n
        got[m[2] if m[2] != "?" else f"#{n}"] = m[3]
    allowed = {name for name, what in got.items() if what == "allowed"}
    print(f"461 system calls tried, {len(allowed)} allowed: {' '.join(sorted(allowed))}")
    assert allowed == ALLOWED, allowed ^ ALLOWED
    for name in ("open", "openat", "socket", "connect", "clone", "fork", "execve", "ptrace", "kill", "tgkill", "read",
                 "prctl", "setrlimit", "io_uring_setup", "userfaultfd", "memfd_create", "unlink", "clone3", "ioctl"):
        assert got.get(name) == "killed", (name, got.get(name))


# Nobody else may look into a runner: it is not dumpable.
looks_inside = pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into a runner")


@pytest.fixture
def warm(server):
    """Runners that have closed their jail: the spare that replaces a used one is forked in the background."""
    name = server.make_function("return { main = function(e) if e.s then time.sleep(e.s) end return 1 end }", Timeout=30)
    assert server.invoke(name)[0] == 1

    def settled():
        pids = server.runners()
        status = [pathlib.Path(f"/proc/{pid}/status").read_text() for pid in pids]
        return len(pids) > 2 and all("Seccomp:\t2" in s for s in status) and pids
    return eventually(settled)


def test_status_of_a_runner(server, warm):
    for pid in warm:
        status = dict(l.split(":\t", 1) for l in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in l)
        assert status["Seccomp"].strip() == "2"
        assert status["NoNewPrivs"].strip() == "1"
        assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max processes\s+0\s+0", limits) and re.search(r"Max core file size\s+0\s+0", limits)
        assert re.search(r"Max file size\s+0\s+0", limits)
        if os.geteuid() == 0:
            assert status["Uid"].split()[0] != "0", "a server started as root gives root up"
        assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"


@looks_inside
def test_descriptors_are_the_channels(server, warm):
    for pid in warm:
        links = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert all("eventfd" in l for l in links.values()) and len(links) == 1, links
        env = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        assert env.rstrip(b"\0") == b"TZ=UTC0", env


@looks_inside
def test_memory_holds_no_secret(server, warm):
    master = (server.data / "master.key").read_bytes()
    assert len(master) >= 32
    needles = [SECRET_KEY.encode(), master[:32], master[:32].hex().encode()]
    for pid in warm:
        size = 0
        for block in memory_of(pid):
            size += len(block)
            for needle in needles:
                assert needle not in block, f"runner {pid} holds a secret of the core"
        assert size > 1 << 20, "its memory was really read"
    # the search can find what is there: the core itself holds the root secret
    assert any(SECRET_KEY.encode() in b for b in memory_of(server.proc.pid))


def test_layers_are_shown(server):
    status, body = server.healthz()
    assert status == 200
    for layer in (b"no_new_privs", b"seccomp", b"rlimits", b"descriptors"):
        assert layer in body, body

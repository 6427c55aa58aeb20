"""Runs a command as a systemd unit would, where there is no systemd to do it: as another user when we are root, without new
privileges, with the unit's limits and its filter of system calls, and, as far as this machine lets us, a file system that is
read-only but for the places named.

    unit_box.py UNIT [--writable DIR]… COMMAND ARG…

What the unit says and this does not do (namespaces of /proc and devices, address families) narrows the server further; a
line on standard error names the parts that were applied.
"""
import ctypes
import os
import pathlib
import resource
import subprocess
import sys

PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24
CLONE_NEWNS = 0x00020000
SCMP_ACT_ALLOW = 0x7FFF0000


def settings(unit):
    """[(name, value), …] of the [Service] section."""
    lines, section = [], None
    for line in pathlib.Path(unit).read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            lines.append(tuple(line.split("=", 1)))
    return lines


def expand(names):
    """System calls of a filter's words, sets (@…) opened."""
    calls, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if not name.startswith("@"):
            calls.add(name)
            continue
        out = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True).stdout
        todo += [w for line in out.splitlines()[1:] if not line.strip().startswith("#") for w in line.split()]
    return calls


def allowed(unit):
    """What the unit's SystemCallFilter lets pass."""
    calls = set()
    for name, value in settings(unit):
        if name == "SystemCallFilter":
            calls = calls - expand(value[1:].split()) if value.startswith("~") else calls | expand(["@default", *value.split()])
    return calls


def limit_calls(unit):
    lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    lib.seccomp_init.restype = ctypes.c_void_p
    lib.seccomp_load.argtypes = [ctypes.c_void_p]
    lib.seccomp_rule_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
    errno = dict(settings(unit))["SystemCallErrorNumber"]
    assert errno == "EPERM"
    ctx = lib.seccomp_init(0x00050000 | 1)
    for name in allowed(unit):
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            assert lib.seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 0) == 0, name
    assert lib.seccomp_load(ctx) == 0


def only_writable(libc, folders):
    """ProtectSystem=strict, PrivateMounts: False where we may not."""
    if libc.unshare(CLONE_NEWNS) != 0:
        return False
    mount = lambda *args: subprocess.run(["mount", *args], capture_output=True, check=True)
    try:
        mount("--make-rprivate", "/")
        for folder in folders:
            mount("--bind", folder, folder)
        mount("-o", "remount,bind,ro", "/")
    except subprocess.CalledProcessError:
        return False
    return True


def main(unit, *rest):
    rest, writable = list(rest), []
    while rest[0] == "--writable":
        writable.append(rest[1])
        rest = rest[2:]
    given, done = dict(settings(unit)), ["user" if os.getuid() else "own user"]
    libc = ctypes.CDLL(None, use_errno=True)
    calls = allowed(unit)  # before anything is out of reach
    if os.getuid() == 0:
        if only_writable(libc, writable):
            done.append("ProtectSystem")
        for cap in range(64):
            libc.prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    for name in ("NOFILE", "CORE"):
        value = int(given["Limit" + name])
        try:
            resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, value))
            done.append("Limit" + name)
        except ValueError:
            pass  # lower here already
    os.umask(int(given["UMask"], 8))
    if given["NoNewPrivileges"] == "yes":
        assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        done.append("NoNewPrivileges")
    limit_calls(unit)
    done.append(f"SystemCallFilter ({len(calls)} calls)")
    print("unit_box: " + ", ".join(done), file=sys.stderr, flush=True)
    os.execv(rest[0], rest)


if __name__ == "__main__":
    main(*sys.argv[1:])

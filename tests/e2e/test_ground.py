"""The ground: set-up script, layers check, lint's inputs, size and contents of the binary, install, demo's script."""
import json
import os
import re
import subprocess

import pytest

from perilune import BINARY, SANITIZED, TOP

pytestmark = pytest.mark.cli
SETUP = TOP / "packaging" / "setup.sh"


# --- set-up: a PATH of stand-ins tells it what is installed and who runs it ---------------------------


@pytest.fixture
def machine(tmp_path):
    def make(installed, uid=0, known=True, apt_status=0):
        tools = tmp_path / "bin"
        tools.mkdir(exist_ok=True)

        def tool(name, text):
            path = tools / name
            path.write_text("#!/bin/bash\n" + text)
            path.chmod(0o755)
        calls = tmp_path / "calls"
        calls.write_text("")
        have = " ".join(installed)
        tool("id", f"echo {uid}\n")
        tool("dpkg-query", f'for p in {have} ""; do [ "${{!#}}" = "$p" ] && echo "ii " && exit 0; done; exit 1\n')
        tool("apt-cache", f"exit {0 if known else 1}\n")
        tool("apt-get", f'echo "apt-get $*" >> {calls}\n[ "$1" = update ] || exit {apt_status}\n')
        env = dict(os.environ, PATH=f"{tools}:/usr/bin:/bin")
        r = lambda *groups: subprocess.run([str(SETUP), *groups], env=env, capture_output=True, text=True, timeout=60)
        return r, lambda: calls.read_text().splitlines()
    return make


def packages_of(machine, *groups):
    run, _ = machine([], uid=1000)
    line = [l for l in run(*groups).stderr.splitlines() if "apt-get install" in l][0]
    return line.split()[line.split().index("--no-install-recommends") + 1:]


def test_setup_as_root_installs_only_what_is_missing(machine):
    every = packages_of(machine, "build")
    assert "gcc" in every and "make" in every and "libluajit2-5.1-dev" in every and "luajit" not in every
    missing = {"liblmdb-dev", "libzip-dev"}
    run, calls = machine([p for p in every if p not in missing])
    r = run("build")
    assert r.returncode == 0, r.stderr
    assert len(calls()) == 1
    words = calls()[0].split()
    assert words[:2] == ["apt-get", "install"] and {"--no-remove", "--no-install-recommends"} <= set(words)
    assert {w for w in words[2:] if not w.startswith("-")} == missing


def test_setup_twice(machine):
    run, calls = machine(packages_of(machine))
    for _ in range(2):
        r = run()
        assert r.returncode == 0 and "nothing to install" in r.stdout
    assert calls() == []


def test_setup_keeps_the_other_luajit(machine):
    every = packages_of(machine)
    run, calls = machine([p for p in every if "luajit" not in p] + ["libluajit-5.1-dev"])
    assert run().returncode == 0 and calls() == []


def test_setup_reads_the_lists_when_a_package_is_unknown(machine):
    run, calls = machine([], known=False)
    assert run("build").returncode == 0
    assert [c.split()[1] for c in calls()] == ["update", "install"]


def test_setup_says_when_it_fails(machine):
    run, calls = machine([], apt_status=100)
    assert run("build").returncode != 0
    assert [c.split()[1] for c in calls()] == ["install", "update", "install"]


def test_setup_as_an_ordinary_user(machine):
    run, calls = machine(["gcc"], uid=1000)
    r = run("build", "test")
    assert r.returncode == 1 and calls() == []
    lines = [l for l in r.stderr.splitlines() if l.strip().startswith("apt-get install")]
    assert len(lines) == 1 and "--no-remove" in lines[0] and " gcc " not in lines[0] + " "
    run, _ = machine(packages_of(machine), uid=1000)
    assert run().returncode == 0
    assert run("nonsense").returncode == 2


# --- layers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path, include, ok", [
    ("base/a.c", "base/b.h", True), ("svc/a.c", "net/http.h", True), ("api/a.c", "svc/x.h", True), ("cli/a.c", "runner/x.h", True),
    ("net/a.c", "store/x.h", False), ("auth/a.h", "proc/x.h", False), ("base/a.c", "net/x.h", False), ("svc/a.def", "api/x.h", False),
    ("api/a.c", "runner/x.h", False), ("svc/a.c", "x.h", False), ("svc/a.c", "../net/x.h", False), ("svc/a.c", "nowhere/x.h", False),
    ("strange/a.c", "base/x.h", False),
])
def test_layers(tmp_path, path, include, ok):
    file = tmp_path / "core" / path
    file.parent.mkdir(parents=True)
    file.write_text(f'/* text */\n#include <stdio.h>\n  #  include "{include}"\n')
    (tmp_path / "core" / "main.c").write_text('#include "cli/cli.h"\n')  # may see everything
    r = subprocess.run(["sh", str(TOP / "tests" / "layers.sh"), str(tmp_path / "core")], capture_output=True, text=True)
    assert (r.returncode == 0) == ok, r.stdout + r.stderr
    if not ok:
        assert f"{path}:" in r.stdout


# --- the binary -------------------------------------------------------------------------------------


@pytest.mark.skipif(SANITIZED, reason="the sanitizer build is neither small nor stripped")
def test_the_binary_is_small_and_stripped():
    assert BINARY.stat().st_size <= 2 << 20
    sections = subprocess.run(["objdump", "-h", str(BINARY)], capture_output=True, text=True, check=True).stdout
    assert ".debug_info" not in sections and ".gnu_debuglink" in sections
    assert (BINARY.parent / "perilune.debug").stat().st_size > BINARY.stat().st_size


def test_what_the_binary_is_linked_with():
    libraries = subprocess.run(["ldd", str(BINARY)], capture_output=True, text=True, check=True).stdout
    assert "libcurl" not in libraries and "not found" not in libraries
    for name in ("libluajit", "libuv", "liblmdb", "libcrypto", "libjansson", "libexpat", "libzip", "libseccomp"):
        assert name in libraries


def test_what_it_carries():
    listed = subprocess.run(["strings", "-n", "8", str(BINARY)], capture_output=True, text=True, check=True).stdout
    for file in [*TOP.glob("lua/*.lua"), *TOP.glob("blueprints/*/blueprint.lua")]:
        assert str(file.relative_to(TOP)) in listed, file
    if not SANITIZED:  # that build keeps its debugging information
        assert str(TOP) not in listed, "no path of the machine that built it"


# --- make -------------------------------------------------------------------------------------------


def test_compile_commands(tmp_path):
    out = subprocess.run(["sh", str(TOP / "packaging" / "compile_commands.sh"), 'gcc -DX="a\\b"', "core/main.c", "core/base/str.c"],
                         capture_output=True, text=True, check=True, cwd=TOP).stdout
    doc = json.loads(out)
    assert [d["file"] for d in doc] == ["core/main.c", "core/base/str.c"]
    assert doc[0]["command"] == 'gcc -DX="a\\b" -c core/main.c' and doc[0]["directory"] == str(TOP)


def test_embed_takes_any_bytes(tmp_path):
    (tmp_path / "a.lua").write_bytes(bytes(range(256)) * 3)
    (tmp_path / "b.lua").write_bytes(b"")
    source = subprocess.run(["sh", str(TOP / "packaging" / "embed.sh"), "a.lua", "b.lua"], cwd=tmp_path, capture_output=True, text=True,
                            check=True).stdout
    main = '#include <stdio.h>\nint main(void) { for (const struct embed_entry *e = embed_table; e->path; e++) { ' \
           'printf("%s %d ", e->path, (int)(e->end - e->begin)); fwrite(e->begin, 1, (size_t)(e->end - e->begin), stdout); } }\n'
    (tmp_path / "t.c").write_text(source + main)
    subprocess.run(["gcc", f"-I{TOP}/core", "-o", "t", "t.c"], cwd=tmp_path, check=True)
    out = subprocess.run(["./t"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert out == b"a.lua 768 " + bytes(range(256)) * 3 + b"b.lua 0 "


def test_documents_name_files_that_exist():
    files = [str(p.relative_to(TOP)) for top in ("core", "lua", "blueprints", "tests", "packaging") for p in (TOP / top).rglob("*")]
    examples = {"function.lua", "hello.lua"}
    for doc in [TOP / "README.md", TOP / "CONTRIBUTING.md", *TOP.glob("*/README.md")]:
        for word in re.findall(r"`([a-z0-9_/.-]+\.(?:c|h|def|sh|py|lua|md))`", doc.read_text()):
            assert word in examples or any(f == word or f.endswith("/" + word) for f in files), f"{doc.relative_to(TOP)}: {word}"

"""What is written from the table of commands: help, manual page, completions, and what they say of mistakes."""
import json
import re
import shutil
import subprocess

import pytest

from perilune import BINARY, TOP

pytestmark = pytest.mark.cli
SHELLS = ("bash", "zsh", "fish")


def run(*args, check=True, **more):
    r = subprocess.run([str(BINARY), *args], capture_output=True, text=True, timeout=30, **more)
    assert not check or r.returncode == 0, r.stderr
    return r


def commands():
    """{command: [flags]} as help has them."""
    names = re.findall(r"^  ((?:[a-z-]+ )?[a-z-]+?)(?= {2,}| \[?[A-Z])", run("help").stdout.split("\nCommands that talk")[0], re.M)
    assert len(names) > 20 and "bucket ls" in names and "serve" in names
    return {name: re.findall(r"^  (?:-\w, )?(--[a-z-]+)", run("help", *name.split()).stdout, re.M) for name in names if name != "help"}


@pytest.fixture(scope="module")
def table():
    return commands()


def test_every_command_and_flag_is_in_the_manual(table):
    page = run("man").stdout.replace("\\-", "-")
    for name, flags in table.items():
        section = re.search(rf'^\.SS "perilune {name}[ "].*?(?=^\.S[SH] )', page, re.M | re.S)
        assert section, name
        for flag in flags:
            assert flag in section[0] or flag in page.split(".SH COMMON FLAGS")[1], (name, flag)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_flag_is_completed(table, shell):
    script = run("completions", shell).stdout
    for name, flags in table.items():
        for word in name.split():
            assert word in script, word
        for flag in flags:
            if shell == "fish":
                assert re.search(rf"at '{name}'\" -l {flag[2:]}\b", script), (name, flag)
            else:
                part = re.search(rf"^    '{name}'\).*?;;", script, re.M | re.S)
                assert part and flag in part[0], (name, flag)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_reads_its_script(shell, tmp_path):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(run("completions", shell).stdout)
    r = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True)
    assert r.returncode == 0 and not r.stderr, r.stderr


def test_the_manual_is_clean(tmp_path):
    page = tmp_path / "perilune.1"
    page.write_text(run("man").stdout)
    checkers = [["mandoc", "-T", "lint", str(page)], ["groff", "-man", "-Tutf8", "-ww", "-z", str(page)]]
    for checker in [c for c in checkers if shutil.which(c[0])]:
        r = subprocess.run(checker, capture_output=True, text=True)
        assert r.returncode == 0 and not r.stdout + r.stderr, r.stdout + r.stderr


def complete(script, line, cwd, path):
    """What bash offers at the end of the line."""
    words = line.split(" ")
    ask = (f"source {script}; COMP_WORDS=({' '.join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; "
           "_perilune; printf '%s\\n' \"${COMPREPLY[@]}\"")
    r = subprocess.run(["bash", "--norc", "-c", ask], cwd=cwd, capture_output=True, text=True, timeout=30,
                       env={"PATH": f"{path}:/usr/bin:/bin", "PERILUNE_ENDPOINT": "http://127.0.0.1:1", "HOME": str(cwd)})
    assert r.returncode == 0 and not r.stderr, r.stderr
    return r.stdout.split()


def test_completions_in_bash(tmp_path):
    script = tmp_path / "perilune.bash"
    script.write_text(run("completions", "bash").stdout)
    (tmp_path / "a-file.lua").write_text("")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/perilune").symlink_to(BINARY)

    def offered(line):
        return complete(script, line, tmp_path, tmp_path / "bin")

    assert offered("perilune dep") == ["deploy"]
    assert {"bucket", "logs", "help"} <= set(offered("perilune "))
    assert offered("perilune bucket l") == ["ls"]
    assert set(offered("perilune blueprint ")) == {"list", "show", "new", "remove"}
    assert offered("perilune deploy --dry") == ["--dry-run"]
    assert offered("perilune --endpoint http://x logs f --fol") == ["--follow"]
    assert offered("perilune deploy a-") == ["a-file.lua"]
    assert offered("perilune logs f --level wa") == ["warn"]
    assert offered("perilune completions z") == ["zsh"]
    assert offered("perilune help dep") == ["deploy"]
    assert "--max-runners" in offered("perilune serve --max")
    assert offered("perilune invoke no-server-no-name") == []


def test_near_words_are_suggested():
    for line, guess in (("delpoy x", "perilune deploy"), ("bucket lss", "perilune bucket ls"), ("blueprnt list", "perilune blueprint"),
                        ("logs x --folow", "--follow"), ("list --jsn", "--json")):
        r = run(*line.split(), check=False)
        assert r.returncode == 2 and f"did you mean {guess}" in r.stderr.replace("'", ""), r.stderr
    r = run("frobnicate", check=False)
    assert r.returncode == 2 and "did you mean" not in r.stderr and "perilune help" in r.stderr


def test_init_makes_a_project(tmp_path):
    there = tmp_path / "deep" / "My.Shop 2"
    made = json.loads(run("init", str(there), "--json").stdout)
    assert made["name"] == "My-Shop-2" and made["path"] == str(there)
    files = {str(p.relative_to(there)) for p in there.rglob("*") if p.is_file()}
    assert files == set(made["files"])
    assert files >= {"function.lua", "handler.lua", "event.json", "spec/handler_spec.lua", ".luarc.json", ".luacheckrc", "README.md", ".gitignore"}
    assert 'name = "My-Shop-2"' in (there / "function.lua").read_text()
    assert not [p for p in there.rglob("*") if p.is_file() and "@NAME@" in p.read_text()]
    json.loads((there / ".luarc.json").read_text()), json.loads((there / "event.json").read_text())
    types = {p.name for p in (there / ".perilune-types").iterdir()}
    assert types == {p.name for p in (TOP / "lua/meta").glob("*.lua")} | {"test.lua"}
    spec_module = (TOP / "lua/spec/run.lua").read_text()
    defined = set(re.findall(r"^function test\.(\w+)", (there / ".perilune-types/test.lua").read_text(), re.M))
    assert defined == set(re.findall(r"^(?:function )?test\.(\w+)(?: =|\()", spec_module, re.M))
    if shutil.which("luacheck"):
        r = subprocess.run(["luacheck", "--no-color", "."], cwd=there, capture_output=True, text=True)
        assert r.returncode == 0, r.stdout


def test_init_overwrites_nothing(tmp_path):
    (tmp_path / "handler.lua").write_text("-- mine")
    r = run("init", str(tmp_path), check=False)
    assert r.returncode == 5 and "handler.lua exists already" in r.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["handler.lua"] and (tmp_path / "handler.lua").read_text() == "-- mine"
    assert run("init", str(tmp_path / "handler.lua" / "x"), check=False).returncode == 5
    assert run("init", str(tmp_path / "new"), "--name", "no spaces", check=False).returncode == 2


def test_install_brings_them(tmp_path):
    subprocess.run(["make", "-s", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr", f"BUILD={BINARY.parent.relative_to(TOP)}"], cwd=TOP, check=True,
                   capture_output=True, timeout=300)
    for path in ("bin/perilune", "share/man/man1/perilune.1", "share/bash-completion/completions/perilune",
                 "share/zsh/site-functions/_perilune", "share/fish/vendor_completions.d/perilune.fish"):
        assert (tmp_path / "usr" / path).stat().st_size > 1000, path

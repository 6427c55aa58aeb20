"""perilune dev: edit and see."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.request

import pytest

from perilune import BINARY, eventually

pytestmark = pytest.mark.cli


class Dev:
    """perilune dev in a folder, its output in a file."""

    def __init__(self, folder, *flags):
        self.folder, self.out = folder, folder.parent / f"{folder.name}.out"
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PERILUNE_"))}
        with open(self.out, "wb") as out:
            self.proc = subprocess.Popen([str(BINARY), "dev", str(folder), *flags], stdout=out, stderr=out, env=env, start_new_session=True)

    def text(self):
        return self.out.read_text()

    def wait_for(self, pattern, after=0, timeout=10):
        """The match of the pattern behind that place of the output."""
        def found():
            assert self.proc.poll() is None or re.search(pattern, self.text()[after:]), self.text()
            return re.search(pattern, self.text()[after:])
        return eventually(found, timeout, 0.005)

    def url(self):
        return self.wait_for(r"its URL: (\S+)")[1]

    def get(self, query=""):
        return json.loads(urllib.request.urlopen(self.url() + query, timeout=10).read())

    def save(self, path, text):
        """Writes a file; the place in the output before that."""
        place = len(self.text())
        (self.folder / path).write_text(text)
        return place

    def descendants(self):
        found, todo = [], [self.proc.pid]
        while todo:
            for task in pathlib.Path(f"/proc/{todo.pop()}/task").glob("*/children"):
                todo += (more := [int(pid) for pid in task.read_text().split()])
                found += more
        return found

    def end(self, sig=signal.SIGINT, timeout=10):
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
        return self.proc.wait(timeout)


@pytest.fixture
def dev(tmp_path):
    made = []

    def make(folder=None, *flags):
        if folder is None:
            folder = tmp_path / "shop"
            subprocess.run([str(BINARY), "init", str(folder)], check=True, capture_output=True)
        made.append(Dev(folder, *flags))
        return made[-1]

    yield make
    for d in made:
        d.end(signal.SIGTERM)


def test_edit_and_see(dev):
    d = dev()
    assert d.get("?name=Ada") == {"greeting": "Hello, Ada", "count": 1}
    d.wait_for(r"shop  greeted \{.*Ada.*\}")
    d.wait_for(r"shop  \d+\.\d+ ms, \d+ MB, cold start")
    source = (d.folder / "handler.lua").read_text()

    took = []
    for word in ("now", "then", "again"):  # the quickest counts: others use this machine too
        started = time.monotonic()
        d.save("handler.lua", source.replace('", "', f'" {word}, "'))
        eventually(lambda: d.get()["greeting"] == f"Hello {word}, world", 20, 0.01)
        took.append(time.monotonic() - started)
    assert min(took) < 1, f"a save is seen at once: {took}"

    place = d.save("handler.lua", source + "\nlocal x = = 1\n")
    line = source.count("\n") + 2
    d.wait_for(rf"handler\.lua:{line}: .*\n.*the version before it keeps serving", place)
    assert d.get()["greeting"] == "Hello again, world"

    place = d.save("handler.lua", "local M\nM.x = 1\n" + source)
    d.wait_for(r"handler\.lua:2: attempt to index local 'M'.*\n.*keeps serving", place)
    assert d.get()["greeting"] == "Hello again, world"

    place = d.save("handler.lua", source)
    d.wait_for("reloaded", place)
    place = d.save("function.lua", "return { nam = 1 }")
    d.wait_for(r"unknown member 'nam'.*\n.*keeps serving", place)
    assert d.get()["greeting"] == "Hello, world"

    (d.folder / "lib").mkdir()  # a folder that was not there, and files moved into place
    d.save("lib/words.lua", "return 'Good day'")
    (d.folder / "handler.lua.new").write_text(source.replace('os.getenv("GREETING")', 'require "words"'))
    d.save("function.lua", f"""return {{ name = "shop", permissions = {{ {{ "perilune:*", "*" }} }}, triggers = {{ {{ url = true }} }} }}""")
    (d.folder / "handler.lua.new").rename(d.folder / "handler.lua")
    eventually(lambda: d.get()["greeting"] == "Good day, world", 20, 0.01)
    d.save("lib/words.lua", "return 'Good night'")
    eventually(lambda: d.get()["greeting"] == "Good night, world", 20, 0.01)

    children = d.descendants()
    assert len(children) >= 3
    assert d.end() == 0
    assert not (d.folder / ".perilune").exists()
    eventually(lambda: not [pid for pid in children if pathlib.Path(f"/proc/{pid}").exists()], 20)


def test_errors_of_runs_are_shown_with_their_line(dev):
    d = dev()
    d.url()
    place = d.save("handler.lua", "return { main = function()\n  error('no luck')\nend }")
    d.wait_for("reloaded", place)
    with pytest.raises(urllib.error.HTTPError):
        d.get()
    d.wait_for(r"handler\.lua:2: no luck", place)


def test_starts_broken_and_mends(dev, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "function.lua").write_text('return { name = "broken", triggers = { { url = true } } }')
    (folder / "handler.lua").write_text("return {")
    d = dev(folder)
    d.wait_for(r"handler\.lua:1: .*\n.*not deployed yet")
    d.save("handler.lua", "return { main = function() return { fine = true } end }")
    assert d.get() == {"fine": True}


def test_killed_it_leaves_no_process(dev):
    d = dev()
    d.url()
    children = d.descendants()
    assert d.end(signal.SIGKILL) == -signal.SIGKILL
    eventually(lambda: not [pid for pid in children if pathlib.Path(f"/proc/{pid}").exists()], 10)
    again = Dev(d.folder)  # what was left behind is no hindrance
    assert again.get()["count"] == 1
    assert again.end(signal.SIGTERM) == 0


def test_one_a_folder_and_several_functions(dev, tmp_path):
    for name in ("one", "two"):
        (tmp_path / "many" / name).mkdir(parents=True)
        (tmp_path / "many" / name / "function.lua").write_text(f'return {{ name = "{name}", triggers = {{ {{ url = true }} }} }}')
        (tmp_path / "many" / name / "handler.lua").write_text(f"return {{ main = function() return {{ me = '{name}' }} end }}")
    d = dev(tmp_path / "many", "--keep")
    urls = [d.wait_for(rf"{name}  its URL: (\S+)")[1] for name in ("one", "two")]
    assert [json.loads(urllib.request.urlopen(u).read())["me"] for u in urls] == ["one", "two"]
    other = Dev(tmp_path / "many")
    assert other.proc.wait(10) == 5 and "another 'perilune dev'" in other.text()
    assert d.end() == 0 and (tmp_path / "many/.perilune/dev/data/meta.mdb").exists()


def test_usage(tmp_path):
    r = subprocess.run([str(BINARY), "dev", str(tmp_path)], capture_output=True, text=True, timeout=20)
    assert r.returncode == 2 and "perilune init" in r.stderr and not list(tmp_path.iterdir())
    r = subprocess.run([str(BINARY), "dev", str(tmp_path / "none")], capture_output=True, text=True, timeout=20)
    assert r.returncode == 3

"""tests/turns.py: what runs beside others, what alone, and that a failure anywhere is the run's and is counted once."""
import json
import subprocess
import sys

import pytest

from perilune import TOP

BESIDE = ["test_a.py", "test_b.py", "test_c.py", "test_clock.py", "test_minute.py"]  # the last two wait
FILES = {**dict.fromkeys(BESIDE, 1), "test_limits.py": 2, "test_hostile.py": 1, "test_model.py": 1}
BAD = ["test_a.py", "test_limits.py", "test_model.py"]  # one of each part
CODE = """
import json, pathlib, time
import pytest
@pytest.mark.http
@pytest.mark.parametrize("n", range({count}))
def test_one(n):
    began = time.monotonic()
    if {name!r} in {beside!r}:  # those that begin together see each other
        pathlib.Path({out!r} + {name!r}).touch()
        while len(list(pathlib.Path({out!r}).parent.glob("outtest_*"))) < {processes} and time.monotonic() < began + 20:
            time.sleep(0.01)
    with open({out!r}, "a") as f:
        f.write(json.dumps([{name!r}, n, began, time.monotonic()]) + "\\n")
    assert {name!r} not in {bad!r}
"""


def run(folder, *flags, processes=1):
    """Exit code, last line, and [file, test, began, ended] of each test."""
    out = folder / "out"
    (folder / "conftest.py").write_text((TOP / "tests/conftest.py").read_text())
    for name, count in FILES.items():
        (folder / name).write_text(CODE.format(name=name, count=count, out=str(out), bad=BAD, beside=BESIDE, processes=processes))
    r = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *flags, str(folder)], cwd=folder, capture_output=True,
                       text=True, timeout=120, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(TOP / "tests"), "WIRE_LOG": str(folder)})
    assert r.returncode == 1 and r.stdout.splitlines()[-1].startswith("4 failed, 5 passed in "), r.stdout
    assert [l.split("nginx ")[1] for l in r.stdout.splitlines() if l.startswith("cases per client: ")] == ["0, http 5, cli 0"], r.stdout
    runs = [json.loads(line) for line in out.read_text().splitlines()]
    assert [name for name, *_ in runs[-4:]] == ["test_hostile.py", "test_limits.py", "test_limits.py", "test_model.py"]
    return runs


@pytest.mark.parametrize("processes", [2, 3])
def test_alone_means_alone_and_last_is_last(tmp_path, processes):
    runs = run(tmp_path, "-n", str(processes), "--dist", "loadfile", processes=processes)
    for name, _, began, _ in runs[-4:]:
        before = [r for r in runs if r[2] < began]
        assert all(ended <= began for *_, ended in before), f"{name} had company"
    beside = sorted(runs[:5], key=lambda r: r[2])
    assert sorted(r[0] for r in beside) == BESIDE
    assert beside[processes - 1][2] < beside[0][3], "that many begin at once"
    if processes == 3:
        assert len([r for r in beside[:3] if r[0] in BESIDE[3:]]) == 1, "one of them has what waits"


def test_in_one_process_the_order_is_the_same(tmp_path):
    run(tmp_path)

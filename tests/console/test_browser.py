"""The console in Debian's Chromium: the cases of browser.mjs."""
import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import pictures  # noqa: E402
from perilune import ACCESS_KEY, BINARY, BUILD, SANITIZED, SECRET_KEY, TOP, Server, free_port  # noqa: E402

INSTALLED = TOP / BUILD / "console-tests"
CHROMIUM = "/usr/bin/chromium"
SCRIPTS = sorted(HERE.glob("*.mjs"))
ONLY = os.environ.get("CONSOLE_CASES", "").split()
CASES = [name for script in SCRIPTS for name in re.findall(r"^ {2,4}async (\w+)\(\{", script.read_text(), re.M) if not ONLY or name in ONLY]


def missing():
    """Why the cases cannot run here; None when they can."""
    for program in ("node", "npm", CHROMIUM):
        if not shutil.which(program):
            return f"{program} is not installed"
    INSTALLED.mkdir(parents=True, exist_ok=True)
    lock, done = (HERE / "package-lock.json").read_bytes(), INSTALLED / "installed"
    if not done.exists() or done.read_bytes() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, INSTALLED / name)
        r = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=INSTALLED, capture_output=True, text=True, timeout=300)
        if r.returncode:
            return f"npm ci: {r.stderr.strip().splitlines()[-1] if r.stderr.strip() else r.returncode}"
        done.write_bytes(lock)
    for script in SCRIPTS:
        shutil.copy(script, INSTALLED / script.name)
    return None


def console_link(server, url):
    r = subprocess.run([str(BINARY), "console-link", "--endpoint", server.url], capture_output=True, text=True,
                       env=dict(server.env, AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY))
    assert r.returncode == 0, r.stderr
    return re.fullmatch(rf"{re.escape(url)}/#link=([\w-]+)\n", r.stdout)[1]


@pytest.fixture(scope="module")
def results():
    reason = missing()
    if reason:
        pytest.skip(reason)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = Server("--console-listen", f"127.0.0.1:{port}")
    try:
        env = dict(os.environ, CONSOLE=url, LINK=console_link(server, url), SLOW="5" if SANITIZED else "1",
                   PICTURE=base64.b64encode(pictures.png(320, 200)).decode(),
                   AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
        r = subprocess.run(["node", "browser.mjs", *ONLY], cwd=INSTALLED, env=env, capture_output=True, text=True, timeout=3000)
        sys.stderr.write(r.stderr)
        assert r.returncode == 0, r.stderr
        code = server.stop()
        assert code == 0, server.stderr()
    finally:
        server.close()
    return {row["name"]: row for row in map(json.loads, r.stdout.splitlines())}


@pytest.mark.parametrize("name", CASES)
def test_case(results, name):
    assert not results[name]["error"], results[name]["error"]

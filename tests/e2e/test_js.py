"""The AWS SDK for JavaScript: the cases of tests/js/clients.mjs."""
import json
import os
import re
import shutil
import subprocess

import pytest

from perilune import ACCESS_KEY, BUILD, SECRET_KEY, TOP, make_zip

HANDLER = """
return { main = function(event)
  print("seen " .. event.n)
  return { twice = event.n * 2 }
end }
"""
SOURCE, INSTALLED = TOP / "tests" / "js", TOP / BUILD / "js"
CASES = re.findall(r"^  async (\w+)\(", (SOURCE / "clients.mjs").read_text(), re.M)


def install():
    """What the lock file names, once; the reason when it cannot be had."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "node and npm are not installed"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if int(version.strip("v\n").split(".")[0]) < 20:
        return f"the SDK needs node 20, this is {version.strip()}"
    INSTALLED.mkdir(parents=True, exist_ok=True)
    lock, done = (SOURCE / "package-lock.json").read_bytes(), INSTALLED / "installed"
    if not done.exists() or done.read_bytes() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, INSTALLED / name)
        r = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=INSTALLED, capture_output=True, text=True, timeout=300)
        if r.returncode:
            return f"npm ci: {r.stderr.strip().splitlines()[-1] if r.stderr.strip() else r.returncode}"
        done.write_bytes(lock)
    shutil.copy(SOURCE / "clients.mjs", INSTALLED / "clients.mjs")
    return None


@pytest.fixture(scope="module")
def results(server, tmp_path_factory):
    reason = install()
    if reason:
        pytest.skip(reason)
    package = tmp_path_factory.mktemp("js") / "function.zip"
    package.write_bytes(make_zip(HANDLER))
    env = dict(os.environ, ENDPOINT=server.url, ROLE=server.make_role(), ZIP=str(package), AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
    r = subprocess.run(["node", "clients.mjs"], cwd=INSTALLED, env=env, capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stderr
    found = {}
    for line in r.stdout.splitlines():
        result = json.loads(line)
        found[result["name"]] = result
    return found


@pytest.mark.js
@pytest.mark.parametrize("name", CASES)
def test_js(results, name):
    assert results[name]["ok"], f"{results[name]['error']}\n{results[name].get('answer')}"

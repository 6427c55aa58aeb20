"""Fixtures, and the stock commands on this machine."""
import functools
import shutil
import subprocess

import pytest

from perilune import Server


@pytest.fixture(scope="module")
def server():
    """One server for all tests of a file."""
    with Server() as s:
        yield s
        code = s.stop()
        assert code == 0, f"exit {code}:\n{s.stderr()}"
        assert "AddressSanitizer" not in s.stderr() and "runtime error" not in s.stderr(), s.stderr()


@pytest.fixture
def own_server():
    """A server that the test may kill; call it with flags."""
    made = []

    def make(*flags, **more):
        made.append(Server(*flags, **more))
        return made[-1]

    yield make
    for s in made:
        s.close()


@functools.lru_cache(None)
def aws_programs():
    """The stock CLIs on this machine: {mark: path}."""
    found = {}
    for path in ("/usr/bin/aws", shutil.which("aws"), "/usr/local/bin/aws"):
        if not path or not shutil.which(path):
            continue
        r = subprocess.run([path, "--version"], capture_output=True, text=True)
        text = r.stdout + r.stderr
        if r.returncode == 0 and "aws-cli/" in text:
            found.setdefault("aws_v" + text.split("aws-cli/")[1][0], path)
    return found

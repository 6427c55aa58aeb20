"""Fixtures, and the count of cases per client at the end of the run."""
import collections
import functools
import shutil
import subprocess

import pytest

from perilune import Server

MARKS = ("boto3", "aws_v1", "aws_v2", "rclone", "s3cmd", "js", "nginx", "http", "cli")


def pytest_configure(config):
    for mark in MARKS:
        config.addinivalue_line("markers", f"{mark}: driven through that client")


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


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    report.clients = [m for m in MARKS if item.get_closest_marker(m)]


def pytest_terminal_summary(terminalreporter):
    counts = collections.Counter()
    for report in terminalreporter.stats.get("passed", []):
        if report.when == "call":
            counts.update(getattr(report, "clients", []))
    terminalreporter.write_line("cases per client: " + ", ".join(f"{m} {counts[m]}" for m in MARKS))
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"skipped: {report.nodeid}: {reason}")

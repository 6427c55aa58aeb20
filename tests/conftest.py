"""What all suites share, and the count of cases per client at the end of the run."""
import collections
import os
import pathlib
import shutil
import sys
import tempfile

import pytest

import turns
from turns import pytest_collection_modifyitems  # noqa: F401  a hook

sys.path.insert(0, str(pathlib.Path(__file__).parent / "fault"))  # powercut.py
sys.path.insert(0, str(pathlib.Path(__file__).parent / "wire"))  # wire.py, model.py

MARKS = ("boto3", "aws_v1", "aws_v2", "rclone", "s3cmd", "js", "nginx", "http", "cli")


def pytest_configure(config):
    """What servers and clients say to each other in this run goes to BUILD/wire; wire/test_model.py reads it."""
    for mark in MARKS:
        config.addinivalue_line("markers", f"{mark}: driven through that client")
    if "WIRE_LOG" not in os.environ:
        top = pathlib.Path(__file__).resolve().parent.parent
        log = pathlib.Path(os.environ.get("PERILUNE_BUILD", top / os.environ.get("BUILD", "build"))) / "wire"
        shutil.rmtree(log, ignore_errors=True)
        log.with_suffix(".turns").unlink(missing_ok=True)
        if log.parent.is_dir():
            log.mkdir()
            os.environ["WIRE_LOG"] = str(log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return turns.scheduler(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    report.clients = [m for m in MARKS if item.get_closest_marker(m)]  # -n: travels with the report


def pytest_terminal_summary(terminalreporter):
    counts = collections.Counter()
    for report in terminalreporter.stats.get("passed", []):
        if report.when == "call":
            counts.update(getattr(report, "clients", []))
    terminalreporter.write_line("cases per client: " + ", ".join(f"{m} {counts[m]}" for m in MARKS))
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"skipped: {report.nodeid}: {reason}")


@pytest.fixture
def fast_dir():
    """A folder in memory where there is one: hundreds of cuts are written there. It stays after a failure
    when POWERCUT_KEEP is set."""
    base = "/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None
    path = pathlib.Path(tempfile.mkdtemp(prefix="perilune-cuts-", dir=base))
    yield path
    if not os.environ.get("POWERCUT_KEEP"):
        shutil.rmtree(path, ignore_errors=True)

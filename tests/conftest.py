"""What all suites share."""
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


def pytest_configure():
    """What servers and clients say to each other in this run goes to BUILD/wire; wire/test_model.py reads it."""
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


@pytest.fixture
def fast_dir():
    """A folder in memory where there is one: hundreds of cuts are written there. It stays after a failure
    when POWERCUT_KEEP is set."""
    base = "/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None
    path = pathlib.Path(tempfile.mkdtemp(prefix="perilune-cuts-", dir=base))
    yield path
    if not os.environ.get("POWERCUT_KEEP"):
        shutil.rmtree(path, ignore_errors=True)

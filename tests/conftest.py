"""What all suites share."""
import os
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "fault"))  # powercut.py


@pytest.fixture
def fast_dir():
    """A folder in memory where there is one: hundreds of cuts are written there. It stays after a failure
    when POWERCUT_KEEP is set."""
    base = "/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None
    path = pathlib.Path(tempfile.mkdtemp(prefix="perilune-cuts-", dir=base))
    yield path
    if not os.environ.get("POWERCUT_KEEP"):
        shutil.rmtree(path, ignore_errors=True)

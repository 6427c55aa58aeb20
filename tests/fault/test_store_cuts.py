"""Power cuts of the store alone: every cut opens, and whatever was acknowledged before it is there whole."""
import os
import pathlib
import subprocess

import powercut

BUILD = pathlib.Path(os.environ.get("PERILUNE_BUILD", pathlib.Path(__file__).parents[2] / "build"))
SHIM, DRIVER = BUILD / "fault" / "shim.so", BUILD / "fault" / "store_driver"
CUTS = int(os.environ.get("POWERCUT_CUTS", "200"))
SEED = os.environ.get("POWERCUT_SEED", "1")
JOBS = int(os.environ.get("POWERCUT_JOBS", "150"))


def run(*args, **more):
    env = dict(os.environ, ASAN_OPTIONS="verify_asan_link_order=0", **more)
    return subprocess.run([str(a) for a in args], env=env, text=True, capture_output=True, timeout=120)


class Promises:
    """What the driver was told, by position."""

    def __init__(self, path):
        self.tried, self.acked, self.deleted, self.gone = {}, {}, {}, {}
        kinds = {"try": self.tried, "ack": self.acked, "del": self.deleted, "gone": self.gone}
        for line in path.read_text().splitlines():
            kind, position, number = line.split()
            kinds[kind][int(number)] = int(position)
        self.moments = sorted([*self.acked.values(), *self.gone.values()])

    def check(self, found, position):
        def by(which):
            return {n for n, at in which.items() if at <= position}
        missing = by(self.acked) - by(self.deleted) - found
        assert not missing, f"acknowledged and missing: {sorted(missing)}"
        back = found & by(self.gone)
        assert not back, f"deleted and there again: {sorted(back)}"
        early = found - by(self.tried)
        assert not early, f"there before they were submitted: {sorted(early)}"


class Run:
    """One run of the driver under the shim, and the check of a cut of it."""

    def __init__(self, folder):
        log, acks, data = folder / "log", folder / "acks", folder / "data"
        wrote = run(DRIVER, "write", data, acks, log, JOBS, SEED, LD_PRELOAD=str(SHIM), POWERCUT_DIR=str(data),
                    POWERCUT_LOG=str(log))
        assert wrote.returncode == 0, wrote.stderr
        self.promises, self.log, self.seen = Promises(acks), powercut.Log(log), []

    def check(self, folder, position, describe):
        looked = run(DRIVER, "check", folder)
        assert looked.returncode == 0, f"{describe}: {looked.stderr}"
        found = {int(n) for n in looked.stdout.split()}
        try:
            self.promises.check(found, position)
        except AssertionError as e:
            raise AssertionError(f"{describe}: {e}") from None
        self.seen.append(len(found))


def test_cuts(fast_dir):
    r = Run(fast_dir)
    assert len(r.promises.acked) == JOBS and len(r.promises.gone) > JOBS / 10
    powercut.cut_many(r.log, CUTS, SEED, str(fast_dir), r.check, r.promises.moments)
    assert len(r.seen) == CUTS
    assert min(r.seen) < JOBS / 5 and max(r.seen) > JOBS / 2, "the cuts are not spread over the run"


def test_first_start(fast_dir):
    """From nothing to the first job, every record twice: a half-made folder still opens."""
    r = Run(fast_dir)
    first = r.log.count_before(min(r.promises.tried.values()))
    powercut.cut_at(r.log, 2 * list(range(first + 10)), SEED, str(fast_dir), r.check)
    assert len(r.seen) > 60

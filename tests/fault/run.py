#!/usr/bin/python3
"""All faults at their full size, with a line of figures each: `make fault`, an hour and a half on two quiet cores.

    run.py [D1 D4 …]      all, or those; SCALE=0.1 makes every number of rounds a tenth

Each row is a test of the suite told by its environment to go on for longer, or a target of the Makefile. The lines are
printed at the end and kept in build/fault/figures.txt. STRICT_LIMITS=1 also judges times, which only a machine that
does nothing else can keep."""
import os
import pathlib
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", "build"))
FIGURES = TOP / BUILD / "fault/figures.txt"
SCALE = float(os.environ.get("SCALE", "1"))


def rounds(n):
    return str(max(1, round(n * SCALE)))


# name, what it is, tests or a make target, environment
ROWS = [
    ("D1", "kill -9 of the group, events", ["tests/e2e/test_crash.py::test_events"], {"CRASH_KILLS": rounds(1000), "CRASH_EVENTS": rounds(100000)}),
    ("D2", "kill -9 of busy runners", ["tests/e2e/test_runners.py"],
     {"RUNNER_KILLS": rounds(5000), "RUNNER_SWAPS": rounds(1000), "RUNNER_FUNCTIONS": rounds(10000), "RUNNER_PLACES": "256"}),
    *[("D3", f"power cuts, seed {seed}", ["tests/fault/test_store_cuts.py", "tests/e2e/test_powercut.py"],
       {"POWERCUT_CUTS": str(max(4, int(rounds(2000)))), "POWERCUT_SEED": str(seed), "POWERCUT_LOAD_S": "6"}) for seed in (1, 2, 3)],
    ("D4", "the disk fails", ["tests/e2e/test_disk.py", "-k", "fail"], {"DISK_ROUNDS": rounds(20)}),
    ("D5", "the disk and the map are full", ["tests/e2e/test_disk.py", "-k", "full"], {"DISK_ROUNDS": rounds(20)}),
    ("D6", "kill -9 of the group, uploads", ["tests/e2e/test_crash.py::test_uploads"], {"CRASH_KILLS": rounds(1000)}),
    ("D6", "kills and power cuts amid multipart uploads", ["tests/e2e/test_multipart_faults.py"],
     {"MULTIPART_KILLS": rounds(50), "MULTIPART_UPLOADS": "64", "MULTIPART_CUTS": str(max(4, int(rounds(500)))), "MULTIPART_LOAD_S": "3"}),
    ("D7", "SIGTERM under load, SIGSTOP", ["tests/e2e/test_stop.py"], {"STOP_CYCLES": rounds(500), "STOP_S": str(max(2, 30 * SCALE))}),
    ("D8", "backups under load", ["tests/e2e/test_backup.py"], {"BACKUPS": rounds(100)}),
    ("H", "hostile functions among healthy ones", ["tests/e2e/test_hostile.py"],
     {"HOSTILE_ROUNDS": rounds(100), "HOSTILE_MORE": rounds(10), "HOSTILE_AT_ONCE": "16"}),
    ("D9", "retries, ages, destinations under a test clock", "fault-clock", {}),
    ("D10", "the queue as a state machine", "fault-sim", {}),
]


def has_target(name):
    return subprocess.run(["make", "-n", name], cwd=TOP, capture_output=True).returncode == 0


def run(name, what, job, env):
    env = {**os.environ, **env, "FAULT_FIGURES": str(FIGURES), "PERILUNE_BUILD": str(TOP / BUILD)}
    if isinstance(job, str):
        command = ["make", job, f"SCALE={SCALE:g}"]
    else:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-s", "-x", *job]
    print(f"--- {name}: {what}: {' '.join(f'{k}={v}' for k, v in env.items() if k not in os.environ)}", flush=True)
    began = time.monotonic()
    code = subprocess.run(command, cwd=TOP, env=env).returncode
    result = "ok" if code == 0 else f"FAILED ({code})"
    print(f"--- {name}: {result} after {time.monotonic() - began:.0f} s", flush=True)
    return code == 0


def main():
    chosen, failed = sys.argv[1:], []
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text("")
    if unknown := set(chosen) - {name for name, *_ in ROWS}:
        sys.exit(f"there is no {', '.join(sorted(unknown))}")
    for name, what, job, env in ROWS:
        if chosen and name not in chosen:
            continue
        if isinstance(job, list) and not (TOP / job[0].split("::")[0]).exists() or isinstance(job, str) and not has_target(job):
            print(f"--- {name}: {what}: not here yet")
        elif not run(name, what, job, env):
            failed.append(name)
    print(f"\nscale {SCALE:g}, load {os.getloadavg()[0]:.1f}:\n{FIGURES.read_text()}", end="")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

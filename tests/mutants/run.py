"""Sabotage: every patch here breaks one line, and the quick tests that it names must notice.

    tests/mutants/run.py [NAME…]      all patches, or those of these names

One copy of the tree, in build/mutants/tree, is patched, built, tested and mended again, so that each
sabotage costs one compilation and one link. First the named tests are run on the copy as it is: a test
that fails anyway proves nothing and is left out. A patch begins with two lines, "What:" and "Tests:"; a test is
"unit:test_kv", "sim" (tests/sim, 20 seeds) or a pytest path. Caught means that one of them failed twice, or did not end in time.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
TREE = TOP / "build/mutants/tree"
JOBS = str(os.cpu_count() or 1)
LIMIT_S = 150  # one test


def copy_tree():
    """What git knows or would take; files that are the same keep their time, so that little is built again."""
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=TOP, check=True, capture_output=True, text=True).stdout.split("\n")
    wanted = {n for n in names if n and (TOP / n).is_file()}
    for name in wanted:
        source, target = TOP / name, TREE / name
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
        os.utime(target)
    for path in TREE.rglob("*"):
        inside = path.relative_to(TREE)
        if path.is_file() and inside.parts[0] != "build" and str(inside) not in wanted and not {"__pycache__", "node_modules"} & set(inside.parts):
            path.unlink()


def build(tests):
    """The program and the unit tests among these; the compiler's complaint, or None."""
    targets = ["all", "fault-tools", *(f"build/unit/{t[5:]}" for t in tests if t.startswith("unit:")), *(["build/sim/sim"] if "sim" in tests else [])]
    r = subprocess.run(["make", "-s", f"-j{JOBS}", *targets], cwd=TREE, capture_output=True, text=True)
    return None if r.returncode == 0 else r.stderr[-2000:]


def attempt(test):
    """True, or what was wrong."""
    command = [f"build/unit/{test[5:]}"] if test.startswith("unit:") else \
        ["build/sim/sim", "--steps", "60000", "--jobs", JOBS] if test == "sim" else \
        ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-x", test]
    env = {k: v for k, v in os.environ.items() if k not in ("BUILD", "PERILUNE_BIN", "MAKEFLAGS", "MAKELEVEL")}
    with open(TREE / "build/test.log", "w") as log:
        proc = subprocess.Popen(command, cwd=TREE, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            code = proc.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(proc.pid, 9)
            proc.wait()
            return "did not end"
    return True if code == 0 else "failed"


def passes(test, times=3):
    """True when it passes once in so many attempts (some look at the clock, and the machine may be busy)."""
    for _ in range(times):
        result = attempt(test)
        if result is True:
            return True
    return result


def patch(path, *flags):
    r = subprocess.run(["patch", "-p1", "-s", "--no-backup-if-mismatch", *flags, "-i", str(path)], cwd=TREE, capture_output=True, text=True)
    return r.returncode == 0


class Mutant:
    def __init__(self, path):
        head = dict(line.split(": ", 1) for line in path.read_text().split("\n\n", 1)[0].split("\n"))
        self.path, self.name, self.what, self.tests = path, path.stem, head["What"], head["Tests"].split()

    def run(self):
        """What became of it."""
        if not patch(self.path):
            subprocess.run(["find", "core", "-name", "*.rej", "-delete"], cwd=TREE)
            copy_tree()
            return "does not apply"
        try:
            wrong = build(self.tests)
            if wrong:
                print(wrong)
                return "does not build"
            for test in self.tests:
                result = passes(test, 2)
                if result is not True:
                    return f"caught: {test} {result}"
            return "MISSED"
        finally:
            if not patch(self.path, "-R"):
                copy_tree()


def main():
    mutants = [Mutant(p) for p in sorted(HERE.glob("*.patch")) if not sys.argv[1:] or p.stem in sys.argv[1:]]
    began = time.monotonic()
    TREE.mkdir(parents=True, exist_ok=True)
    copy_tree()
    tests = sorted({t for m in mutants for t in m.tests})
    wrong = build(tests)
    if wrong:
        sys.exit(f"the tree does not build:\n{wrong}")
    unfit = set()
    for test in tests:
        result = passes(test)
        if result is not True:
            print(f"{test} {result} without any sabotage:\n{(TREE / 'build/test.log').read_text()[-2000:]}")
            unfit.add(test)
    print(f"{len(tests) - len(unfit)} of {len(tests)} tests pass on the tree as it is ({time.monotonic() - began:.0f} s); "
          f"now {len(mutants)} sabotages", flush=True)
    for m in mutants:
        m.tests = [t for t in m.tests if t not in unfit]
    missed = 0
    for m in mutants:
        start = time.monotonic()
        result = m.run()
        missed += not result.startswith("caught")
        print(f"{m.name:28} {result:60} {time.monotonic() - start:5.1f} s   {m.what}", flush=True)
    print(f"{len(mutants) - missed} of {len(mutants)} caught in {time.monotonic() - began:.0f} s")
    sys.exit(1 if missed else 0)


main()

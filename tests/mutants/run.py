"""Sabotage: every patch here breaks one line, and the quick tests that it names must notice.

    tests/mutants/run.py [-n TREES] [NAME…]      all patches, or those of these names

Copies of the tree, build/mutants/0 and so on (as many as there are processors, at most two), are patched,
built, tested and mended again, so that each sabotage costs one compilation and the links. First the named
tests are run on a copy as it is: a test that fails anyway proves nothing and is left out. A patch begins with
two lines, "What:" and "Tests:"; a test is "unit:test_kv", "sim" (tests/sim, 20 seeds) or a pytest path.
Caught means that one of them failed twice, or did not end in time.
"""
import argparse
import concurrent.futures
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
LIMIT_S = 150  # one test
KEPT = {"__pycache__", "node_modules"}


class Tree:
    """A copy of the sources with a build of its own; one sabotage at a time."""

    def __init__(self, number):
        self.top = TOP / "build/mutants" / str(number)
        self.top.mkdir(parents=True, exist_ok=True)
        self.env = {k: v for k, v in os.environ.items() if k not in ("BUILD", "PERILUNE_BIN", "MAKEFLAGS", "MAKELEVEL")}
        # where there is ccache, what one tree has compiled serves the others
        self.env.update(CCACHE_BASEDIR=str(self.top), CCACHE_NOHASHDIR="1")
        self.copy()

    def copy(self):
        """What git knows or would take; files that are the same keep their time, so that little is built again."""
        names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=TOP, check=True, capture_output=True,
                               text=True).stdout.split("\n")
        wanted = {n for n in names if n and (TOP / n).is_file()}
        for name in wanted:
            source, target = TOP / name, self.top / name
            if target.is_file() and target.read_bytes() == source.read_bytes():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
            os.utime(target)
        for path in self.top.rglob("*"):
            inside = path.relative_to(self.top)
            if path.is_file() and inside.parts[0] != "build" and str(inside) not in wanted and not KEPT & set(inside.parts):
                path.unlink()

    def build(self, tests):
        """The program and the unit tests among these; the compiler's complaint, or None."""
        targets = ["all", "fault-tools", *(f"build/unit/{t[5:]}" for t in tests if t.startswith("unit:"))]
        targets += ["build/sim/sim"] if "sim" in tests else []
        r = subprocess.run(["make", "-s", "-j2", *targets], cwd=self.top, env=self.env, capture_output=True, text=True)
        return None if r.returncode == 0 else r.stderr[-2000:]

    def attempt(self, test):
        """True, or what was wrong."""
        command = [f"build/unit/{test[5:]}"] if test.startswith("unit:") else \
            ["build/sim/sim", "--steps", "60000", "--jobs", "2"] if test == "sim" else \
            ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-x", test]
        with open(self.top / "build/test.log", "w") as log:
            proc = subprocess.Popen(command, cwd=self.top, env=self.env, stdout=log, stderr=log, start_new_session=True)
            try:
                code = proc.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(proc.pid, 9)
                proc.wait()
                return "did not end"
        return True if code == 0 else "failed"

    def passes(self, test, times=3):
        """True when it passes once in so many attempts (some look at the clock, and the machine may be busy)."""
        for _ in range(times):
            result = self.attempt(test)
            if result is True:
                return True
        return result

    def patch(self, path, *flags):
        r = subprocess.run(["patch", "-p1", "-s", "--no-backup-if-mismatch", *flags, "-i", str(path)], cwd=self.top, capture_output=True,
                           text=True)
        return r.returncode == 0


class Mutant:
    def __init__(self, path):
        head = dict(line.split(": ", 1) for line in path.read_text().split("\n\n", 1)[0].split("\n"))
        self.path, self.name, self.what, self.tests = path, path.stem, head["What"], head["Tests"].split()

    def run(self, tree):
        """What became of it."""
        if not tree.patch(self.path):
            subprocess.run(["find", "core", "-name", "*.rej", "-delete"], cwd=tree.top)
            tree.copy()
            return "does not apply"
        try:
            wrong = tree.build(self.tests)
            if wrong:
                print(wrong)
                return "does not build"
            for test in self.tests:
                result = tree.passes(test, 2)
                if result is not True:
                    return f"caught: {test} {result}"
            return "MISSED"
        finally:
            if not tree.patch(self.path, "-R"):
                tree.copy()


def each(trees, items, work):
    """(item, work(tree, item)) as they end; a tree has one at a time."""
    free = queue.SimpleQueue()
    for tree in trees:
        free.put(tree)

    def one(item):
        tree = free.get()
        try:
            return work(tree, item)
        finally:
            free.put(tree)

    with concurrent.futures.ThreadPoolExecutor(len(trees)) as pool:
        calls = {pool.submit(one, item): item for item in items}
        for call in concurrent.futures.as_completed(calls):
            yield calls[call], call.result()


def unfit(trees, tests):
    """The tests that fail on the tree as it is."""
    def judge(tree, test):
        result = tree.passes(test)
        return None if result is True else f"{test} {result} without any sabotage:\n{(tree.top / 'build/test.log').read_text()[-2000:]}"

    bad = set()
    for test, complaint in each(trees, tests, judge):
        if complaint:
            print(complaint)
            bad.add(test)
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    mutants = [Mutant(p) for p in sorted(HERE.glob("*.patch")) if not args.names or p.stem in args.names]
    strange = set(args.names) - {m.name for m in mutants}
    if strange or not mutants:
        sys.exit(f"no such patch: {' '.join(sorted(strange))}")
    began = time.monotonic()
    tests = sorted({t for m in mutants for t in m.tests})
    trees = [Tree(i) for i in range(min(args.n, len(mutants)))]
    for tree in trees:
        wrong = tree.build(tests)
        if wrong:
            sys.exit(f"the tree does not build:\n{wrong}")
    bad = unfit(trees, tests)
    print(f"{len(tests) - len(bad)} of {len(tests)} tests pass on the tree as it is ({time.monotonic() - began:.0f} s); "
          f"now {len(mutants)} sabotages", flush=True)
    for m in mutants:
        m.tests = [t for t in m.tests if t not in bad]
    missed = 0

    def sabotage(tree, m):
        start = time.monotonic()
        return m.run(tree), time.monotonic() - start

    for m, (result, took) in each(trees, mutants, sabotage):
        missed += not result.startswith("caught")
        print(f"{m.name:28} {result:60} {took:5.1f} s   {m.what}", flush=True)
    print(f"{len(mutants) - missed} of {len(mutants)} caught in {time.monotonic() - began:.0f} s")
    sys.exit(1 if missed else 0)


main()

"""What all clients of this run said and were told, against botocore's models; and how long the servers' loops took. Runs
last: see wire/README.md."""
import collections
import json
import os
import pathlib

import pytest

import model
import wire

TURN_MAX_MS = 20


def test_every_exchange_fits_the_models():
    folder = os.environ.get("WIRE_LOG")
    if not folder or not pathlib.Path(folder).is_dir():
        pytest.skip("nothing was recorded")
    models, seen, findings = model.Models(), collections.Counter(), {}
    for e in wire.exchanges(folder):
        operation, bad = model.check(models, e)
        seen[operation] += 1
        for b in bad:
            key = f"{operation} {e.status}: {b}"
            findings.setdefault(key, [0, f"{e.method} {e.path} ({e.source})"])[0] += 1
    known = {op: n for op, n in seen.items() if op}
    print(f"model check: {sum(known.values())} exchanges of {len(known)} operations, {seen[None]} of none")
    assert known, "no exchange was read"
    assert not findings, "\n".join(f"{n} × {key} as in {where}" for key, (n, where) in sorted(findings.items()))


def test_no_turn_of_a_loop_was_long():
    """Of every server that was stopped in this run: 20 ms on the processor, and all its clients have waited."""
    log = pathlib.Path(os.environ.get("WIRE_LOG", "/nonexistent") + ".turns")
    if not log.exists():
        pytest.skip("nothing was recorded")
    turns = sorted((json.loads(line) for line in log.read_text().splitlines()), key=lambda t: -t["ms"])
    shown = [f"{t['ms']:.1f} ms: {t['test'][:100]}" for t in turns]
    print(f"{len(turns)} servers; the longest turns: " + "; ".join(shown[:3]))
    assert not [t for t in turns if t["ms"] > TURN_MAX_MS], "\n".join(s for s, t in zip(shown, turns) if t["ms"] > TURN_MAX_MS)

"""What all clients of this run said and were told, against botocore's models. Runs last: see wire/README.md."""
import collections
import os
import pathlib

import pytest

import model
import wire


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

"""perilune test: busted's grammar in the real runtime."""
import json
import re
import shutil
import subprocess

import pytest

from perilune import BINARY, TOP

pytestmark = pytest.mark.cli


def run(*args, cwd=None, check=None):
    r = subprocess.run([str(BINARY), "test", *args], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert check is None or r.returncode == check, r.stdout + r.stderr
    return r


@pytest.fixture(scope="module")
def grammar(tmp_path_factory):
    """The results of tests/lua/grammar_spec.lua by name, and what people read."""
    project = tmp_path_factory.mktemp("grammar")
    (project / "spec").mkdir()
    shutil.copy(TOP / "tests/lua/grammar_spec.lua", project / "spec/grammar_spec.lua")
    tests = json.loads(run("--json", cwd=project, check=1).stdout)["tests"]
    assert len(tests) > 40
    return tests, run(cwd=project, check=1).stdout


def test_each_test_ends_as_its_name_says(grammar):
    kinds = {"fails": "failure", "errors": "error", "waits": "pending"}
    for test in grammar[0]:
        words = re.search(r"\b(fails|errors|waits)\b", test["name"])
        assert test["status"] == kinds.get(words and words[1], "success"), test


def test_failures_are_readable(grammar):
    tests, text = grammar
    by_name = {t["name"].split(" ", 1)[1]: t for t in tests}
    assert by_name["fails equal"]["message"] == "Expected objects to be equal.\nPassed in:\n(number) 2\nExpected:\n(number) 1"
    assert "*[b] = {\n   *[c] = {\n      [1] = 1\n      [2] = 2\n     *[3] = 4" in by_name["fails same"]["message"]
    assert by_name["fails in my words"]["message"].startswith("my own words\n")
    assert "'\\255\\000x'" in by_name["fails with bytes"]["message"]
    assert "(values list) (string) 'b'" in by_name["fails by arguments"]["message"]
    assert by_name["errors plainly"]["message"].endswith("attempt to index local 'x' (a nil value)")
    assert by_name["errors plainly"]["trace"][0].startswith("spec/grammar_spec.lua:")
    assert by_name["errors with a table"]["message"] == "down here"
    line = next(n for n, code in enumerate((TOP / "tests/lua/grammar_spec.lua").read_text().split("\n"), 1) if '"fails equal"' in code)
    assert by_name["fails equal"]["failed_at"] == f"spec/grammar_spec.lua:{line}"
    assert f"Failure → spec/grammar_spec.lua @ {line}\nassertions fails equal\nspec/grammar_spec.lua:{line}: Expected objects" in text
    assert re.match(r"[●◼✱◌]{40,}\n\d+ successes / \d+ failures / \d+ errors / 3 pending : \d+\.\d+ seconds\n", text)
    assert "\033" not in text


def test_a_new_project_passes(tmp_path):
    subprocess.run([str(BINARY), "init", str(tmp_path / "shop")], check=True, capture_output=True)
    r = run(str(tmp_path / "shop"), check=0)
    assert "4 successes / 0 failures / 0 errors / 0 pending" in r.stdout
    r = run(str(tmp_path / "shop/spec/handler_spec.lua"), "--filter", "each", "-v", check=0)
    assert "1 success /" in r.stdout and "the greeting counts each name apart" in r.stdout


def test_what_kills_a_runner_costs_one_test(tmp_path):
    (tmp_path / "bad_spec.lua").write_text("""
        it("loops", function() while true do end end)
        it("goes on", function() assert.is_true(true) end)
        it("eats", function() local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1e6) .. i end end)
        it("goes on again", function() assert(true) end)""")
    (tmp_path / "wrong_spec.lua").write_text("\ndescribe('x', function( end")
    (tmp_path / "import_spec.lua").write_text("require 'nothing.here'")
    doc = json.loads(run(str(tmp_path), "--limit", "500ms", "--json", check=1).stdout)
    got = {t["name"]: (t["status"], t["message"] if "message" in t else "") for t in doc["tests"]}
    assert got["loops"] == ("error", "Task timed out after 0.50 seconds")
    assert got["eats"][0] == "error" and got["goes on"][0] == got["goes on again"][0] == "success"
    assert got["wrong_spec.lua"][1].startswith("wrong_spec.lua:2: ")
    assert "module 'nothing.here' not found" in got["import_spec.lua"][1]
    assert doc["errors"] == 4 and doc["successes"] == 2


def test_usage(tmp_path):
    assert "holds no specs" in run(str(tmp_path), check=1).stderr
    assert "No such file" in run(str(tmp_path / "none"), check=3).stderr
    assert "--limit" in run(str(tmp_path), "--limit", "soon", check=2).stderr


def test_specs_have_no_more_than_functions(tmp_path):
    (tmp_path / "jail_spec.lua").write_text("""
        it("is jailed", function()
          assert.is_nil(os.execute)
          assert.is_nil(io.open)
          assert.has_error(function() require "ffi" end)
          assert.is_nil(rawget(_G, "dofile"))
        end)""")
    run(str(tmp_path), check=0)


def test_every_host_call_is_played():
    calls = set(re.findall(r'^X\(\w+, "([\w.]+)"', (TOP / "core/svc/hostcall.def").read_text(), re.M))
    plays = set(re.findall(r'^plays\["([\w.]+)"\]', "".join(p.read_text() for p in (TOP / "lua/spec").glob("*.lua")), re.M))
    # the package is really read, what is opened comes whole, and an answer that nobody streams is not written
    assert calls - plays == {"package.read", "s3.read", "response.write"} and plays <= calls

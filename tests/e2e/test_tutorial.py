"""The tutorial, with each stock aws command on this machine."""
import subprocess

import pytest

from conftest import aws_programs
from perilune import TOP

AWS = [pytest.param(path, marks=getattr(pytest.mark, mark), id=mark) for mark, path in sorted(aws_programs().items())]


@pytest.mark.parametrize("aws", AWS)
def test_tutorial(server, aws):
    r = subprocess.run([str(TOP / "tests/e2e/tutorial.sh"), aws], env=server.aws_env(), capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stdout + r.stderr
    assert r.stdout.startswith("tutorial: aws-cli/"), r.stdout


def test_there_is_a_stock_command():
    assert AWS, "no aws command was found: install awscli"

"""Lua given as a function's body, run in the real runtime by a role that may do everything."""
import pytest

from perilune import unique

ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@pytest.fixture(scope="module")
def role(server):
    return server.make_role(ALL)


@pytest.fixture(scope="module")
def lua(server, role):
    """Runs the body of `function(e, context)` and gives what it returns."""
    def run(body, event=None, code=None, role=role, error=None, **more):
        name = server.make_function(code or "return { main = function(e, context)\n" + body + "\nend }", role=role, **more)
        value, failed, _ = server.invoke(name, event)
        if error:
            assert failed and error in value["errorMessage"], value
        else:
            assert failed is None, value
        run.name = name
        return value
    return run


@pytest.fixture(scope="module")
def bucket(server):
    name = unique("bucket")
    server.client("s3").create_bucket(Bucket=name)
    return name

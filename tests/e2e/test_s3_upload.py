"""The s3-upload handler on pictures whole, broken and strange, called directly with the event of each."""
import copy
import json
import struct
import urllib.parse

import pytest

import pictures
from perilune import TOP, unique

pytestmark = pytest.mark.cli
FOLDER = TOP / "blueprints" / "s3-upload"
EVENT = json.loads((FOLDER / "event.json").read_text())


@pytest.fixture(scope="module")
def look(server):
    name, bucket = unique("look"), EVENT["Records"][0]["s3"]["bucket"]["name"]
    server.cli("blueprint", "new", "s3-upload", "--name", name, "--set", f"bucket={bucket}", "--set", "prefix=none/", "--yes")
    # The role covers the prefix only: what the function may see lies below it.
    server.client("iam").put_role_policy(RoleName=f"{name}-role", PolicyName="test", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}]}))
    s3 = server.client("s3")

    def call(key, body, size=None):
        if body is not None:
            s3.put_object(Bucket=bucket, Key=key, Body=body)
        event = copy.deepcopy(EVENT)
        event["Records"][0]["s3"]["object"].update(key=urllib.parse.quote_plus(key, "/"), size=len(body or b"") if size is None else size)
        out, error, _ = server.invoke(name, event)
        assert error is None, out
        return out["objects"][0]
    call.name = name
    return call


def test_the_example_is_what_it_says(look, server):
    expected = json.loads((FOLDER / "expected.json").read_text())
    want = expected["objects"][0]
    body = pictures.png(want["width"], want["height"])
    assert len(body) == want["size"]
    bucket = EVENT["Records"][0]["s3"]["bucket"]["name"]
    server.client("s3").put_object(Bucket=bucket, Key=want["key"], Body=body)
    out, error, _ = server.invoke(look.name, EVENT)
    assert error is None and out == expected


@pytest.mark.parametrize("kind", pictures.KINDS)
@pytest.mark.parametrize("width, height", [(1, 1), (255, 256), (1023, 3)])
def test_dimensions(look, kind, width, height):
    body = pictures.KINDS[kind](width, height)
    got = look(f"some folder/{width}ü.{kind}", body)
    assert got == {"key": f"some folder/{width}ü.{kind}", "size": len(body), "type": kind, "width": width, "height": height}


def webp(kind, data):
    body = b"WEBP" + kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("name, body, want", [
    ("lossy webp", webp(b"VP8 ", b"\x30\x01\x00\x9d\x01\x2a" + struct.pack("<HH", 800 | 1 << 14, 600)), ("webp", 800, 600)),
    ("extended webp", webp(b"VP8X", b"\x10\0\0\0" + (69999).to_bytes(3, "little") + (299).to_bytes(3, "little")), ("webp", 70000, 300)),
    ("unknown webp", webp(b"VP9 ", bytes(10)), ("webp", None, None)),
    ("cut webp", pictures.webp(5, 5)[:20], ("webp", None, None)),
    ("gif87", b"GIF87a" + struct.pack("<HH", 10, 20), ("gif", 10, 20)),
    ("cut gif", b"GIF89a\x01", ("gif", None, None)),
    ("large png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 100000, 70000), ("png", 100000, 70000)),
    ("png without header", b"\x89PNG\r\n\x1a\n\0\0\0\0IEND" + bytes(12), ("png", None, None)),
    ("cut png", pictures.png(5, 5)[:18], ("png", None, None)),
    ("jpeg with a profile", pictures.jpeg(700, 300, before=[b"x" * 65000] * 5), ("jpeg", 700, 300)),
    ("jpeg at a piece's edge", pictures.jpeg(33, 44, before=[b"x" * (65536 - 20 - 4 - 69 - 4 - n) for n in (0,)]), ("jpeg", 33, 44)),
    ("jpeg with fill bytes", b"\xff\xd8\xff\xff\xff\xe0\0\x02\xff\xc2\0\x0b\x08\0\x07\0\x09\x01\x01\x11\0", ("jpeg", 9, 7)),
    ("jpeg without a frame", b"\xff\xd8\xff\xe0\0\x02\xff\xda\0\x02data\xff\xd9", ("jpeg", None, None)),
    ("jpeg of nonsense", b"\xff\xd8\xff\xe0\0\x02nonsense", ("jpeg", None, None)),
    ("jpeg with an impossible length", b"\xff\xd8\xff\xe0\0\x01\xff\xc0", ("jpeg", None, None)),
    ("cut jpeg", pictures.jpeg(5, 5)[:30], ("jpeg", None, None)),
    ("jpeg that never ends", b"\xff\xd8" + (b"\xff\xe1\xff\xff" + bytes(65533)) * 80, ("jpeg", None, None)),
    ("text", b"not a picture at all", ("other", None, None)),
    ("one byte", b"\xff", ("other", None, None)),
    ("nothing", b"", ("other", None, None)),
    ("html in a png's clothes", b"<html>\x89PNG", ("other", None, None)),
], ids=lambda v: v.replace(" ", "-") if isinstance(v, str) else "")
def test_strange(look, name, body, want):
    got = look(f"none/{name}", body)
    assert (got["type"], got.get("width"), got.get("height")) == want
    assert got["size"] == len(body)


def test_gone_before_it_was_read(look):
    assert look("none/never there", None, size=100)["type"] == "gone"


def test_replaced_by_a_shorter_one(look, server):
    assert look("none/shorter", b"\xff\xd8\xff", size=1000)["type"] in ("jpeg", "other")
    assert look("none/empty now", b"", size=1000)["type"] in ("gone", "other")


def test_an_event_without_records(look, server):
    out, error, _ = server.invoke(look.name, {})
    assert error is None and out == {"objects": []}

"""The listener against bytes that no good client sends, over raw sockets.

Every refused request is followed by a good one on the same connection: after an error not a byte more may
be understood, so the good one must stay unanswered.
"""
import concurrent.futures
import random
import re
import time

import pytest

from perilune import unique

pytestmark = pytest.mark.http

H = "Host: x\r\n"
G = "GET /healthz HTTP/1.1\r\n"
GOOD = G + H + "\r\n"

REFUSED = {
    # blanks and folds
    "blank before colon": (400, G + "Host : x\r\n\r\n"),
    "tab before colon": (400, G + "Host\t: x\r\n\r\n"),
    "blank before first header": (400, G + " Host: x\r\n\r\n"),
    "folded line": (400, G + H + "A: b\r\n c\r\n\r\n"),
    "folded with tab": (400, G + H + "A: b\r\n\tc\r\n\r\n"),
    "double space before target": (400, "GET  /healthz HTTP/1.1\r\n" + H + "\r\n"),
    "double space after target": (400, "GET /healthz  HTTP/1.1\r\n" + H + "\r\n"),
    "blank at line end": (400, "GET /healthz HTTP/1.1 \r\n" + H + "\r\n"),
    # line ends
    "bare LF in request line": (400, "GET /healthz HTTP/1.1\n" + H + "\r\n"),
    "bare LF in header": (400, G + "Host: x\n\r\n"),
    "bare LF at end": (400, G + H + "\n"),
    "all LF": (400, "GET /healthz HTTP/1.1\nHost: x\n\n"),
    "bare CR": (400, G + "Host: x\rA: b\r\n\r\n"),
    "CR CR LF": (400, G + "Host: x\r\r\n\r\n"),
    # bytes
    "NUL in value": (400, G + H + "A: b\0c\r\n\r\n"),
    "control byte": (400, G + H + "A: b\x01c\r\n\r\n"),
    "DEL": (400, G + H + "A: b\x7f\r\n\r\n"),
    "name is no token": (400, G + H + "A(b): c\r\n\r\n"),
    "empty name": (400, G + H + ": c\r\n\r\n"),
    "no colon": (400, G + H + "nocolon\r\n\r\n"),
    "high byte in name": (400, G + H + "\xe9: c\r\n\r\n"),
    "method is no token": (400, "G@T /healthz HTTP/1.1\r\n" + H + "\r\n"),
    "TLS hello": (400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    # Host
    "no Host": (400, G + "\r\n"),
    "two Hosts": (400, G + H + H + "\r\n"),
    "empty Host": (400, G + "Host:\r\n\r\n"),
    "Host with user": (400, G + "Host: u@x\r\n\r\n"),
    # version
    "version 1.2": (400, "GET /healthz HTTP/1.2\r\n" + H + "\r\n"),
    "version 2.0": (400, "GET /healthz HTTP/2.0\r\n" + H + "\r\n"),
    "version 0.9": (400, "GET /healthz\r\n\r\n"),
    "lower-case version": (400, "GET /healthz http/1.1\r\n" + H + "\r\n"),
    "HTTP/2 preface": (400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    # framing
    "TE on 1.0": (400, "POST /healthz HTTP/1.0\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "two TE": (400, "POST /healthz HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "TE then CL": (400, "POST /healthz HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    "CL then TE": (400, "POST /healthz HTTP/1.1\r\n" + H + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "TE gzip": (501, "POST /healthz HTTP/1.1\r\n" + H + "Transfer-Encoding: gzip\r\n\r\n"),
    "TE gzip, chunked": (501, "POST /healthz HTTP/1.1\r\n" + H + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "TE xchunked": (501, "POST /healthz HTTP/1.1\r\n" + H + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "TE vertical tab": (400, "POST /healthz HTTP/1.1\r\n" + H + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "two CL": (400, "POST /healthz HTTP/1.1\r\n" + H + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    "CL list": (400, "POST /healthz HTTP/1.1\r\n" + H + "Content-Length: 1, 1\r\n\r\nx"),
    "CL signed": (400, "POST /healthz HTTP/1.1\r\n" + H + "Content-Length: +1\r\n\r\nx"),
    "CL negative": (400, "POST /healthz HTTP/1.1\r\n" + H + "Content-Length: -1\r\n\r\nx"),
    "CL hex": (400, "POST /healthz HTTP/1.1\r\n" + H + "Content-Length: 0x1\r\n\r\nx"),
    "CL empty": (400, "POST /healthz HTTP/1.1\r\n" + H + "Content-Length:\r\n\r\n"),
    "CL overflow": (400, "POST /healthz HTTP/1.1\r\n" + H + "Content-Length: 18446744073709551617\r\n\r\nx"),
    # target
    "fragment": (400, "GET /healthz#x HTTP/1.1\r\n" + H + "\r\n"),
    "raw high byte": (400, "GET /h\xe9 HTTP/1.1\r\n" + H + "\r\n"),
    "no slash": (400, "GET healthz HTTP/1.1\r\n" + H + "\r\n"),
    "star for GET": (400, "GET * HTTP/1.1\r\n" + H + "\r\n"),
    "CONNECT": (405, "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n"),
    # caps
    "target over 16 KiB": (414, "GET /" + "a" * 16384 + " HTTP/1.1\r\n" + H + "\r\n"),
    "head over 32 KiB": (431, G + H + "A: " + "a" * 32768 + "\r\n\r\n"),
    "101 headers": (431, G + H + "".join(f"A{i}: b\r\n" for i in range(100)) + "\r\n"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_and_closed(server, case):
    status, request = REFUSED[case]
    with server.raw(request + GOOD) as c:
        got = c.answer()
        assert got and got[0] == status, got
        assert got[1]["connection"] == "close"
        assert "x-amzn-requestid" in got[1] or "x-amz-request-id" in got[1]
        assert b"<html" not in got[2].lower()
        assert c.closed()


def test_pieces_make_no_difference(server):
    """The same verdicts when every byte comes alone."""
    for case in ("folded line", "bare LF in header", "TE then CL", "NUL in value"):
        status, request = REFUSED[case]
        with server.raw() as c:
            for ch in request:
                c.send(ch)
            assert c.answer()[0] == status
            assert c.closed()
    with server.raw() as c:
        for ch in GOOD:
            c.send(ch)
        assert c.answer()[0] == 200


def test_pipelining_and_keep_alive(server):
    with server.raw(GOOD * 50) as c:
        for _ in range(50):
            status, headers, body = c.answer()
            assert status == 200 and headers.get("connection") != "close" and body
        c.send("\r\n" + GOOD)  # one empty line between requests is forgiven
        assert c.answer()[0] == 200


def test_connection_close_ends_it(server):
    with server.raw(G + H + "Connection: close\r\n\r\n" + GOOD) as c:
        status, headers, _ = c.answer()
        assert status == 200 and headers["connection"] == "close"
        assert c.closed()


def test_http_1_0(server):
    with server.raw("GET /healthz HTTP/1.0\r\n\r\n" + GOOD) as c:
        assert c.answer()[0] == 200
        assert c.closed()
    with server.raw("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + GOOD) as c:
        assert c.answer()[1]["connection"] == "keep-alive"
        assert c.answer()[0] == 200


def test_absolute_form(server):
    with server.raw(f"GET http://127.0.0.1:{server.port}/healthz HTTP/1.1\r\n" + H + "\r\n") as c:
        assert c.answer()[0] == 200


def test_options_star_upgrade_and_head(server):
    with server.raw("OPTIONS * HTTP/1.1\r\n" + H + "\r\n" + G + H + "Upgrade: websocket\r\nConnection: upgrade\r\n\r\nHEAD /healthz HTTP/1.1\r\n" + H + "\r\n" + GOOD) as c:
        assert c.head()[0] == 204
        assert c.answer()[0] == 200
        status, headers = c.head()
        assert status == 200 and int(headers["content-length"]) > 0
        assert c.answer()[0] == 200, "a HEAD's answer has no body"


def test_good_edges_of_the_caps(server):
    with server.raw("GET /healthz?" + "a" * (16384 - 10) + " HTTP/1.1\r\n" + H + "\r\n" + G + H + "A: " + "a" * 30000 + "\r\n\r\n"
                    + G + H + "".join(f"A{i}: b\r\n" for i in range(99)) + "\r\n") as c:
        assert [c.answer()[0] for _ in range(3)] == [200, 200, 200]


# --- chunked bodies -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(server):
    name = unique("chunks")
    server.client("s3").create_bucket(Bucket=name)
    return name


def head_of(method, path, headers):
    return f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"


@pytest.fixture(scope="module")
def chunk_head(server, bucket):
    """botocore signs a Content-Length for every PUT; a body without one is signed by hand."""
    return lambda key: head_of("PUT", f"/{bucket}/{key}", {**server.sign_by_hand("PUT", f"/{bucket}/{key}"), "Transfer-Encoding": "chunked"})


GOOD_CHUNKS = {
    "one": ("5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "several": ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
    "none": ("0\r\n\r\n", b""),
    "hex": ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
    "leading zeros": ("0000005\r\nhello\r\n00\r\n\r\n", b"hello"),
    "extension": ("5;a=b\r\nhello\r\n0;c\r\n\r\n", b"hello"),
    "trailer": ("5\r\nhello\r\n0\r\nX-Amz-Meta-Late: x\r\nContent-Length: 9\r\n\r\n", b"hello"),
    "large": ("%x\r\n%s\r\n0\r\n\r\n" % (70000, "z" * 70000), b"z" * 70000),
}
BAD_CHUNKS = {
    "no size": "\r\nhello\r\n0\r\n\r\n",
    "not hex": "g\r\nhello\r\n0\r\n\r\n",
    "signed": "+5\r\nhello\r\n0\r\n\r\n",
    "0x": "0x5\r\nhello\r\n0\r\n\r\n",
    "blank": " 5\r\nhello\r\n0\r\n\r\n",
    "nine digits": "000000005\r\nhello\r\n0\r\n\r\n",
    "huge": "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "data too long": "4\r\nhello\r\n0\r\n\r\n",
    "data too short": "6\r\nhello\r\n0\r\n\r\n",
    "bare LF": "5\nhello\n0\n\n",
    "LF in extension": "5;a\nb\r\nhello\r\n0\r\n\r\n",
    "no CRLF after data": "5\r\nhello0\r\n\r\n",
}


@pytest.mark.parametrize("case", GOOD_CHUNKS)
def test_chunks(server, bucket, chunk_head, case):
    body, want = GOOD_CHUNKS[case]
    key = unique("good")
    with server.raw(chunk_head(key) + body + GOOD) as c:
        status, headers, text = c.answer()
        assert status == 200, text
        assert c.answer()[0] == 200, "the next request begins where the body ends"
    got = server.client("s3").get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == want and got["Metadata"] == {}, "trailers are not headers"


@pytest.mark.parametrize("case", BAD_CHUNKS)
def test_bad_chunks(server, bucket, chunk_head, case):
    key = unique("bad")
    with server.raw(chunk_head(key) + BAD_CHUNKS[case] + GOOD) as c:
        got = c.answer()
        if got:
            assert got[0] == 400 and got[1]["connection"] == "close", got
            assert c.closed()
    assert f"<Key>{key}" not in server.signed("GET", f"/{bucket}?prefix=bad")[2].decode()


def test_body_cut_short_stores_nothing(server, bucket):
    key = unique("short")
    headers = server.sign("PUT", f"/{bucket}/{key}", headers={"Content-Length": "100"}, sha256="UNSIGNED-PAYLOAD")
    with server.raw(head_of("PUT", f"/{bucket}/{key}", headers) + "x" * 99):
        time.sleep(0.05)
    time.sleep(0.05)
    assert key not in server.signed("GET", f"/{bucket}?prefix=short")[2].decode()


def test_unread_body_does_not_become_a_request(server, bucket):
    """An answer given from the head alone: what follows is the body, whatever it looks like."""
    smuggled = "PUT /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    path = f"/{unique('none')}/k"
    headers = server.sign("PUT", path, headers={"Content-Length": str(len(smuggled))}, sha256="UNSIGNED-PAYLOAD")
    with server.raw(head_of("PUT", path, headers) + smuggled + GOOD) as c:
        assert c.answer()[0] == 404
        nxt = c.answer()
        assert nxt is None or (nxt[0] == 200 and b"status" in nxt[2]), nxt


# --- many at once -------------------------------------------------------------------------------------


def test_idle_and_half_open_connections_disturb_nobody(server):
    idle = [server.raw() for _ in range(200)]
    half = [server.raw("GET /healthz HTTP/1.1\r\nHo") for _ in range(200)]
    try:
        began = time.monotonic()
        for _ in range(50):
            assert server.healthz()[0] == 200
        assert time.monotonic() - began < 5
        half[0].send("st: x\r\n\r\n")
        assert half[0].answer()[0] == 200
    finally:
        for c in idle + half:
            c.close()


def test_storm_of_rubbish(server):
    """Random bytes on many connections: an error or silence, never a crash."""
    rng = random.Random(7)

    def one(seed):
        r = random.Random(seed)
        data = r.randbytes(r.randrange(1, 3000))
        if r.random() < 0.5:
            data = (GOOD.encode() * 3)[:r.randrange(200)] + data
        with server.raw(data + b"\r\n\r\n") as c:
            for _ in range(4):
                got = c.answer()
                if got is None:
                    return
                assert got[0] in (200, 400, 403, 405, 414, 431, 501), got

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one, [rng.randrange(1 << 30) for _ in range(200)]))
    assert server.healthz()[0] == 200


def test_every_answer_has_an_id_and_a_length(server):
    seen = set()
    for request in (GOOD, "GET /nothing HTTP/1.1\r\n" + H + "\r\n", "POST / HTTP/1.1\r\n" + H + "Content-Length: 0\r\n\r\n",
                    "GET /2015-03-31/functions HTTP/1.1\r\n" + H + "\r\n", "GET /url/none/ HTTP/1.1\r\n" + H + "\r\n"):
        with server.raw(request) as c:
            status, headers, body = c.answer()
            id = headers.get("x-amzn-requestid") or headers.get("x-amz-request-id")
            assert id and re.fullmatch(r"[0-9a-f-]{36}", id) and id not in seen, (request, headers)
            seen.add(id)
            assert "date" in headers and "content-length" in headers
            assert "set-cookie" not in headers

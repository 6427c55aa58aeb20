"""Reads what wire.c wrote: the requests that a server got and the answers it gave, in pairs.

Bodies are what the client meant: chunked and aws-chunked framing is taken off. A body whose bytes were
not all kept is None. Connections that speak no HTTP, or stop in the middle, end there silently: those
are the business of the tests that made them.
"""
import pathlib
import re
import struct
import urllib.parse
from dataclasses import dataclass, field

HEAD = struct.Struct("<IIII")
OPEN, IN, OUT, CLOSE = 1, 2, 3, 4


@dataclass
class Exchange:
    """One request and its final answer."""
    method: str
    path: str                     # as sent
    query: dict                   # name: value; "" without one
    headers: dict                 # names in lower case
    body: bytes | None
    status: int = 0
    answer_headers: dict = field(default_factory=dict)
    answer: bytes | None = b""
    source: str = ""              # file:connection, for messages

    @property
    def service(self):
        """Of the credential scope; "" for an unsigned request."""
        credential = self.query.get("X-Amz-Credential", "")
        if "Credential=" in self.headers.get("authorization", ""):
            credential = self.headers["authorization"].split("Credential=", 1)[1].split(",")[0]
        parts = credential.strip().split("/")
        if len(parts) >= 5:
            return parts[-2]
        return "s3" if "AWSAccessKeyId" in self.query else ""


class Lost(Exception):
    """The stream ends, or what was asked for has not been kept."""


class Stream:
    """The bytes of one direction, some of them only counted."""

    def __init__(self):
        self.parts = []  # (length, bytes kept)
        self.part = self.at = 0

    def add(self, length, kept):
        if length:
            self.parts.append((length, kept))

    def take(self, n):
        """n bytes, or None when they passed but were not kept."""
        out, whole = [], True
        while n:
            if self.part == len(self.parts):
                raise Lost
            length, kept = self.parts[self.part]
            here = min(n, length - self.at)
            piece = kept[self.at:self.at + here]
            whole = whole and len(piece) == here
            out.append(piece)
            self.at += here
            n -= here
            if self.at == length:
                self.part, self.at = self.part + 1, 0
        return b"".join(out) if whole else None

    def until(self, mark, limit=65536):
        """Bytes before the mark; both are consumed."""
        got = bytearray()
        while len(got) <= limit and self.part < len(self.parts):
            length, kept = self.parts[self.part]
            piece = kept[self.at:self.at + 4096]
            if not piece:
                raise Lost
            begin, before = max(0, len(got) - len(mark) + 1), len(got)
            got += piece
            at = got.find(mark, begin)
            self.at += at + len(mark) - before if at >= 0 else len(piece)
            if self.at == length:
                self.part, self.at = self.part + 1, 0
            if at >= 0:
                return bytes(got[:at])
        raise Lost

    def rest(self):
        out, whole = [], True
        while self.part < len(self.parts):
            length, kept = self.parts[self.part]
            whole = whole and len(kept) == length
            out.append(kept[self.at:])
            self.part, self.at = self.part + 1, 0
        return b"".join(out) if whole else None


def read_head(stream):
    """(first line's three parts, headers) of a message."""
    lines = stream.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    first = lines[0].split(" ", 2)
    if len(first) < 2:
        raise Lost
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise Lost
        headers[name.lower()] = value.strip()
    return first, headers


def read_chunked(stream):
    out, whole = [], True
    while True:
        size = int(stream.until(b"\r\n").split(b";")[0], 16)
        if size == 0:
            while stream.until(b"\r\n"):
                pass
            return b"".join(out) if whole else None
        piece = stream.take(size)
        whole = whole and piece is not None
        out.append(piece or b"")
        stream.take(2)


def read_body(stream, headers):
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return read_chunked(stream)
    return stream.take(int(headers.get("content-length") or 0))


def without_aws_chunks(body):
    """The payload of an aws-chunked body; its trailers are dropped."""
    inner = Stream()
    inner.add(len(body), body)
    out = []
    try:
        while True:
            size = int(inner.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                return b"".join(out)
            out.append(inner.take(size))
            inner.take(2)
    except (Lost, ValueError):
        return None


def pairs(asked, told, source):
    """The exchanges of one connection."""
    try:
        while True:
            (method, target, *_), headers = read_head(asked)
            if "://" in target.split("?")[0]:
                target = "/" + target.split("://", 1)[1].partition("/")[2]
            path, _, query = target.partition("?")
            bucket = re.fullmatch(r"(.+)\.buckets\.test(:\d+)?", headers.get("host", ""))
            if bucket:  # below the --domain of the tests
                path = f"/{bucket[1]}{path}"
            made = Exchange(method, path, dict(urllib.parse.parse_qsl(query, keep_blank_values=True)), headers, None, source=source)
            (version, status, *_), made.answer_headers = read_head(told)
            while version.startswith("HTTP/") and status[:1] == "1":
                (version, status, *_), made.answer_headers = read_head(told)
            made.status = int(status)
            if method == "HEAD" or made.status in (204, 304):
                made.answer = b""
            elif "content-length" in made.answer_headers or "transfer-encoding" in made.answer_headers:
                made.answer = read_body(told, made.answer_headers)
            else:
                made.answer = told.rest()
            cut = None
            try:
                made.body = read_body(asked, headers)
                if made.body and headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
                    made.body = without_aws_chunks(made.body)
            except (Lost, ValueError) as e:
                cut = e  # answered before the body was there
            yield made
            if cut:
                return
    except (Lost, ValueError):
        return


def exchanges(folder):
    """All of them, a connection after the other, in the order in which the connections ended."""
    for path in sorted(pathlib.Path(folder).glob("*"), key=lambda p: p.stat().st_mtime):
        data = path.read_bytes()
        at, open_ = 0, {}

        def ended(number):
            asked, told = open_.pop(number)
            return pairs(asked, told, f"{path.name}:{number}")

        while at + HEAD.size <= len(data):
            kind, number, length, kept = HEAD.unpack_from(data, at)
            at += HEAD.size
            if kind == OPEN:
                open_[number] = (Stream(), Stream())
            elif number in open_ and kind in (IN, OUT):
                open_[number][kind - IN].add(length, data[at:at + kept])
            elif number in open_:
                yield from ended(number)
            at += kept
        for number in list(open_):
            yield from ended(number)

"""Uploads wrapped as aws-chunked, made by hand: signed chunks, signed chunks with a signed trailer, and
unsigned chunks with a trailer."""
import base64
import hashlib
import hmac
import re
import zlib

from perilune import REGION, SECRET_KEY

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
FORMS = (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER)


def crc_table(poly):
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ poly if i & 1 else i >> 1
        table.append(i)
    return table


CRC32C, CRC64NVME = crc_table(0x82F63B78), crc_table(0x9A6C9329AC4BC9B5)


def crc(data, table, width):
    v = ones = (1 << width) - 1
    for b in data:
        v = v >> 8 ^ table[(v ^ b) & 255]
    return (v ^ ones).to_bytes(width // 8, "big")


ALGORITHMS = {
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "crc32c": lambda data: crc(data, CRC32C, 32),
    "crc64nvme": lambda data: crc(data, CRC64NVME, 64),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}


def checksum(algorithm, data):
    return base64.b64encode(ALGORITHMS[algorithm](data)).decode()


class Upload:
    """The headers and the body of one PUT. trailer: (name, value) pairs, announced in x-amz-trailer unless
    `announce` says otherwise; pieces: the chunks' sizes, the last one repeated."""

    def __init__(self, server, path, data, form, pieces=(65536,), trailer=(), announce=None, headers=(), length=None,
                 inside_chunked=False, line_end="\r\n", secret_key=SECRET_KEY, trailer_signature=True):
        self.form, self.data, self.pieces, self.trailer, self.line_end = form, data, pieces, list(trailer), line_end
        self.trailer_signature = trailer_signature
        size = len(self.encode(None))
        h = {"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": str(len(data) if length is None else length)}
        names = ",".join(n for n, _ in self.trailer) if announce is None else announce
        if names:
            h["X-Amz-Trailer"] = names
        h.update({"Transfer-Encoding": "chunked"} if inside_chunked else {"Content-Length": str(size)})
        h.update(headers)
        self.headers = server.sign("PUT", path, b"", headers=h, sha256=form, secret_key=secret_key)
        self.path, self.inside_chunked = path, inside_chunked
        lower = {k.lower(): v for k, v in self.headers.items()}
        self.stamp = lower["x-amz-date"]
        self.signature = re.search("Signature=([0-9a-f]{64})", lower["authorization"])[1]
        self.scope = f"{self.stamp[:8]}/{REGION}/s3/aws4_request"
        key = b"AWS4" + secret_key.encode()
        for part in self.scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        self.body = self.encode(key)

    def chunks(self):
        at, i = 0, 0
        while at < len(self.data):
            n = self.pieces[min(i, len(self.pieces) - 1)]
            yield self.data[at:at + n]
            at, i = at + n, i + 1
        yield b""

    def link(self, key, kind, data):
        """The next signature of the chain."""
        if key is None:
            return "0" * 64
        middle = [hashlib.sha256(b"").hexdigest()] if kind == "PAYLOAD" else []
        text = "\n".join([f"AWS4-HMAC-SHA256-{kind}", self.stamp, self.scope, self.signature, *middle, hashlib.sha256(data).hexdigest()])
        self.signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return self.signature

    def encode(self, key):
        out, signed = [], self.form != UNSIGNED_TRAILER
        for chunk in self.chunks():
            ext = f";chunk-signature={self.link(key, 'PAYLOAD', chunk)}" if signed else ""
            out += [f"{len(chunk):x}{ext}\r\n".encode(), chunk, b"\r\n" if chunk else b""]
        out += [f"{name}:{value}{self.line_end}".encode() for name, value in self.trailer]
        if self.form == SIGNED_TRAILER and self.trailer_signature:
            lines = "".join(f"{n}:{v}\n" for n, v in self.trailer)
            out.append(f"x-amz-trailer-signature:{self.link(key, 'TRAILER', lines.encode())}\r\n".encode())
        return b"".join([*out, b"\r\n"])

    def head(self):
        return "".join([f"PUT {self.path} HTTP/1.1\r\n", *(f"{k}: {v}\r\n" for k, v in self.headers.items()), "\r\n"]).encode()

    def wire(self, body=None):
        """The bytes behind the head."""
        body = self.body if body is None else body
        if not self.inside_chunked:
            return body
        parts = [body[i:i + 7000] for i in range(0, len(body), 7000)]
        return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"

    def send(self, server, body=None):
        """(status, headers, body) of the answer."""
        with server.raw(self.head() + self.wire(body)) as c:
            return c.answer()

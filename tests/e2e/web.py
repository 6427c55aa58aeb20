"""Local web servers for outbound requests, plain and TLS, well and badly behaved."""
import contextlib
import gzip
import http.server
import json
import pathlib
import socket
import ssl
import struct
import subprocess
import threading
import time
import zlib


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status=200, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def echo(self):
        n = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(n)
        self.server.seen.append(self.path)
        seen = {"method": self.command, "path": self.path, "body": body.decode("latin-1"), "port": self.client_address[1],
                "headers": [[k.lower(), v] for k, v in self.headers.items()]}
        self.reply(200, json.dumps(seen).encode(), [("Content-Type", "application/json"), ("X-Twice", "a"), ("X-Twice", "b"),
                                                    ("Set-Cookie", "session=1; Path=/")])

    def redirect(self):
        _, _, status, where = self.path.split("/", 3)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(self.path)
        self.reply(int(status), b"moved", [("Location", where.replace("%2F", "/"))])

    def loop(self):
        self.server.seen.append(self.path)
        self.reply(302, b"", [("Location", f"/loop/{int(self.path.split('/')[2]) + 1}")])

    def big(self):
        n = int(self.path.split("/")[2])
        self.reply(200, b"x" * n)

    def chunked(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(int(self.path.split("/")[2])):
            self.wfile.write(b"400\r\n" + b"y" * 1024 + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def endless(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"4000\r\n" + b"z" * 0x4000 + b"\r\n")
        self.server.cut.set()

    def bomb(self):
        once = gzip.compress(b"\0" * 1024 * 1024 * 64)
        self.reply(200, once, [("Content-Encoding", "gzip")])

    def zipped(self):
        how = self.path.split("/")[2]
        body = gzip.compress(b"plain text") if how == "gzip" else zlib.compress(b"plain text")
        self.reply(200, body, [("Content-Encoding", how)])

    def slow(self):
        self.server.waiting.set()
        with contextlib.suppress(OSError):
            self.connection.settimeout(30)
            if self.connection.recv(1) == b"":
                self.server.cut.set()

    def drip(self):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b".")
                time.sleep(0.05)

    def half(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True

    def reset(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def headers_many(self):
        self.reply(200, b"", [(f"X-{i}", "v") for i in range(150)])

    def headers_long(self):
        self.reply(200, b"", [("X-Long", "v" * 70000)])

    def garbage(self):
        self.wfile.write(b"220 mail.example ESMTP\r\n")
        self.close_connection = True

    def status(self):
        self.reply(int(self.path.split("/")[2]), b"said so")

    def do(self):
        name = self.path.split("?")[0].split("/")[1] or "echo"
        getattr(self, {"redirect": "redirect"}.get(name, name.replace("-", "_")), self.echo)()

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = do


class Web(http.server.ThreadingHTTPServer):
    """`with Web() as w`: w.url; w.seen are the paths that came."""
    daemon_threads = True

    def __init__(self, tls=None, host="127.0.0.1"):
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), Handler)
        self.seen, self.cut, self.waiting = [], threading.Event(), threading.Event()
        self.tls = tls
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls[0], tls[1])
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server_address[1]
        self.url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_):
        pass

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def certificates(folder):
    """A CA, and certificates of it: {name: (certificate, key)} with 'ca', 'good', 'expired', 'other' (a foreign name),
    'self' (not of the CA)."""
    folder = pathlib.Path(folder)

    def run(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, cwd=folder)

    def key(name):
        run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / f"{name}.key")
        return folder / f"{name}.key"

    def selfsigned(name, *more):
        run("req", "-x509", "-new", "-key", key(name), "-days", "2", "-subj", f"/CN={name}", "-out", folder / f"{name}.crt", *more)

    selfsigned("ca")
    selfsigned("self", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    (folder / "ca.index").write_text("")
    (folder / "ca.serial").write_text("01\n")
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/ca.index\nserial={folder}/ca.serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=p\ncopy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n")
    for name, san, start, end in (("good", "IP:127.0.0.1,DNS:localhost,DNS:named.test", "20200101000000Z", "20991231000000Z"),
                                  ("expired", "IP:127.0.0.1,DNS:localhost", "20200101000000Z", "20210101000000Z"),
                                  ("other", "DNS:elsewhere.test", "20200101000000Z", "20991231000000Z")):
        run("req", "-new", "-key", key(name), "-subj", f"/CN={name}", "-addext", f"subjectAltName={san}", "-out", folder / f"{name}.csr")
        run("ca", "-batch", "-notext", "-config", folder / "ca.cnf", "-cert", folder / "ca.crt", "-keyfile", folder / "ca.key",
            "-startdate", start, "-enddate", end, "-in", folder / f"{name}.csr", "-out", folder / f"{name}.crt")
    return {name: (str(folder / f"{name}.crt"), str(folder / f"{name}.key")) for name in ("ca", "self", "good", "expired", "other")}

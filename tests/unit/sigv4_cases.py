#!/usr/bin/python3
"""Writes sigv4_cases.inc: requests signed by botocore, for test_sigv4.c to verify.

The clock and the random source are fixed, so that the same botocore writes the same file. Run it
again only to add cases: /usr/bin/python3 tests/unit/sigv4_cases.py > tests/unit/sigv4_cases.inc
"""
import datetime
import hashlib
import random
from urllib.parse import quote, urlencode, urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


class Clock(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return cls(2026, 11, 23, 11, 32, 4)


class FixedDatetime:
    datetime = Clock


botocore.auth.datetime = FixedDatetime
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
EMPTY = hashlib.sha256(b"").hexdigest()
rng = random.Random(1969)


def c(text):
    out = []
    for b in text.encode():
        ch = chr(b)
        out.append("\\" + ch if ch in '"\\' else ch if 32 <= b < 127 and ch != "?" else f"\\{b:03o}")
    return '"' + "".join(out) + '"'


def emit(note, service, req, payload):
    url = urlsplit(req.url)
    # botocore leaves the host to the HTTP client
    lines = [f"Host:{url.netloc}"] + [f"{k}:{v}" for k, v in req.headers.items()]
    print(f"/* {note} */\n{{{c(service)}, {c(req.method)}, {c(url.path or '/')}, {c(url.query)},")
    print(" " + "\n ".join(c(line + "\n") for line in lines) + f",\n {c(payload)}}},")


def signed(note, service, method, url, headers=None, data=b""):
    kind = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    req = AWSRequest(method=method, url=url, headers=headers or {}, data=data)
    req.context["payload_signing_enabled"] = True
    kind(KEYS, service, "eu-west-1").add_auth(req)
    emit(note, service, req, hashlib.sha256(data).hexdigest())


def presigned(note, service, method, url, expires):
    kind = botocore.auth.S3SigV4QueryAuth if service == "s3" else botocore.auth.SigV4QueryAuth
    req = AWSRequest(method=method, url=url, headers={}, data=b"")
    kind(KEYS, service, "eu-west-1", expires=expires).add_auth(req)
    emit(note, service, req, "UNSIGNED-PAYLOAD" if service == "s3" else EMPTY)


H = "http://127.0.0.1:1969"
signed("plain", "lambda", "GET", f"{H}/2015-03-31/functions/")
signed("no path at all", "sts", "POST", H, {"Content-Type": "application/x-www-form-urlencoded"},
       b"Action=GetCallerIdentity&Version=2011-06-15")
arn = quote("arn:aws:lambda:us-east-1:000000000000:function:f:prod", safe="")
signed("an ARN in the path", "lambda", "POST", f"{H}/2015-03-31/functions/{arn}/invocations?Qualifier=prod",
       {"X-Amz-Invocation-Type": "Event", "X-Amz-Client-Context": "e30="}, b'{"a":1}')
signed("dots and empty segments", "lambda", "GET", f"{H}/a/./b//c/../d/")
signed("above the root", "lambda", "GET", f"{H}/../..")
signed("blanks in headers", "lambda", "GET", f"{H}/x",
       {"X-Amz-Meta-A": "  two  blanks   inside  ", "X-Custom": "a\tb \t c", "X-Empty": ""})
signed("case of header names", "logs", "POST", f"{H}/", {"x-AMZ-target": "Logs_20140328.FilterLogEvents"}, b"{}")
signed("an S3 key with everything", "s3", "PUT", f"{H}/b/" + quote("a b+c/d//e/../ü%20&=?#~*'().txt", safe="/~"),
       {"x-amz-meta-name": "v", "Content-MD5": "1B2M2Y8AsgTpgAmyPhCfg=="}, b"body")
signed("an S3 key that ends in a slash", "s3", "GET", f"{H}/bucket/dir/")
signed("a list", "s3", "GET", f"{H}/b?list-type=2&prefix=a%2Fb%20c&delimiter=%2F&encoding-type=url")
signed("a sub-resource without a value", "s3", "GET", f"{H}/b?notification")
signed("names out of order, one twice, one a prefix of another", "s3", "GET",
       f"{H}/b?b=2&a=2&a=1&a-b=1&a%2Fb=1&A=9&=7&%C3%BC=1")
signed("another host", "s3", "HEAD", "http://some.host.example:8080/b/k", {"Range": "bytes=0-9"})
presigned("presigned GET", "s3", "GET", f"{H}/b/k%20x?response-content-type=text%2Fplain", 600)
presigned("presigned PUT, a week", "s3", "PUT", f"{H}/b/dir/" + quote("ü"), 604800)
presigned("presigned STS", "sts", "GET", f"{H}/?Action=GetCallerIdentity&Version=2011-06-15", 60)

ALPHABET = "aZ09-._~ /+%&=?#:@!$'()*,;[]{}|\\^`\"<>éü日🌙"
for i in range(24):
    word = lambda n: "".join(rng.choice(ALPHABET) for _ in range(rng.randint(1, n)))
    service = rng.choice(["s3", "lambda"])
    path = "/" + quote(word(12), safe="/~" if service == "s3" else "~")
    query = urlencode([(word(4), word(6)) for _ in range(rng.randint(0, 4))], quote_via=quote, safe="-_.~")
    headers = {f"X-Amz-{rng.randint(0, 99)}-x": " ".join(rng.choice(["a", "", "b,c", "\t"]) for _ in range(4)) for _ in range(2)}
    signed(f"random {i}", service, rng.choice(["GET", "PUT", "POST"]), H + path + ("?" + query if query else ""),
           headers, word(20).encode())

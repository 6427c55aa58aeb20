"""Uploads one file through the S3 API and waits for the log line it causes, with a stock client.

demo.py URL CREDENTIALS BUCKET FUNCTION FILE KEY. The time printed runs from the start of the upload
to the answer of the FilterLogEvents call that holds the line.
"""
import configparser
import json
import mimetypes
import os
import sys
import time

import boto3
from botocore.config import Config


for name in [n for n in os.environ if n.startswith("AWS_")]:
    del os.environ[name]  # another cloud's profile, proxy or region


def main(url, credentials, bucket, function, path, key):
    keys = configparser.ConfigParser(interpolation=None)
    keys.read(credentials)
    common = dict(endpoint_url=url, region_name="us-east-1", config=Config(retries={"max_attempts": 0}),
                  aws_access_key_id=keys["default"]["aws_access_key_id"],
                  aws_secret_access_key=keys["default"]["aws_secret_access_key"])
    s3, logs = boto3.client("s3", **common), boto3.client("logs", **common)
    group = f"/aws/lambda/{function}"

    def messages(since):
        try:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
            return [e["message"].rstrip("\n") for page in pages for e in page["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return []

    s3.head_bucket(Bucket=bucket)  # opens the connections and loads the models: not what is timed
    messages(int(time.time() * 1000))
    with open(path, "rb") as f:
        body = f.read()
    since, began = int(time.time() * 1000), time.monotonic()
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=mimetypes.guess_type(path)[0] or "application/octet-stream")
    answered = time.monotonic()
    print(f"demo: uploaded {path} as s3://{bucket}/{key} ({len(body)} bytes)", flush=True)
    while time.monotonic() < answered + 15:
        seen = messages(since)
        lines = [m for m in seen if json.dumps(key, ensure_ascii=False)[1:-1] in m]
        if lines:
            now = time.monotonic()
            print("demo: its log line, as FilterLogEvents gives it:\n")
            print("  " + lines[-1] + "\n")
            print(f"demo: {(now - began) * 1000:.0f} ms from the upload's start to the line"
                  f" ({(now - answered) * 1000:.0f} ms after its answer)")
            return 0
        time.sleep(0.002)
    print("demo: no log line within 15 s; what the log holds:\n  " + "\n  ".join(seen or ["nothing"]), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

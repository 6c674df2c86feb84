#!/usr/bin/env python3
"""What Spaces answered with success is there after the sandbox was killed (SIGKILL) amid writes:
objects with metadata and tags, deletions, and parts of uploads. Ends at the first loss.

  crash.py <kplan> [rounds]

Needs boto3. It serves a sandbox of its own in a temporary folder.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BUCKET, WRITERS = "crash", 6
steps = 0


def kept(what, found, expected):
    global steps
    if found != expected:
        print(f"FAILED: {what}\n  expected: {expected}\n  found:    {found}", file=sys.stderr)
        sys.exit(1)
    steps += 1


class Sandbox:
    """A served sandbox, and a client of its Spaces."""

    def __init__(self, kplan, folder):
        self.kplan, self.folder, self.key = kplan, folder, None
        self.start()
        body = {"name": "crash", "grants": [{"bucket": "", "permission": "fullaccess"}]}
        request = urllib.request.Request(
            self.said["DIGITALOCEAN_API_URL"] + "/v2/spaces/keys",
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.said['DIGITALOCEAN_TOKEN']}",
                "Content-Type": "application/json",
            },
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.key = json.load(direct.open(request, timeout=30))["key"]

    def start(self):
        self.process = subprocess.Popen(
            [self.kplan, "sandbox"], cwd=self.folder, stdout=subprocess.PIPE, text=True
        )
        self.said = {}
        while "SPACES_ENDPOINT_URL" not in self.said:
            line = self.process.stdout.readline()
            if not line:
                sys.exit("the sandbox did not start")
            name, _, value = line.partition("=")
            self.said[name] = value.split()[0] if value else ""

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.said["SPACES_ENDPOINT_URL"],
            aws_access_key_id=self.key["access_key"],
            aws_secret_access_key=self.key["secret_key"],
            config=Config(
                region_name="fra1",
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                proxies={},
            ),
        )


class Answered:
    """What was answered with success."""

    def __init__(self):
        self.objects, self.deleted, self.parts = {}, [], []

    def write(self, s3, prefix):
        """Writes until the sandbox is gone."""
        number = 0
        try:
            while True:
                number += 1
                key, body = f"{prefix}/{number}", os.urandom(random.choice([10, 1000, 200_000]))
                at = {"Bucket": BUCKET, "Key": key}
                put = s3.put_object(Body=body, Metadata={"key": key}, Tagging="tag=1", **at)
                digest = hashlib.md5(body).hexdigest()
                if number % 5 == 0:
                    s3.delete_object(VersionId=put["VersionId"], **at)
                    self.deleted.append((key, put["VersionId"]))
                else:
                    self.objects[key] = (put["VersionId"], digest)
                if number % 3 == 0:
                    upload = s3.create_multipart_upload(**at)["UploadId"]
                    part = s3.upload_part(UploadId=upload, PartNumber=1, Body=body, **at)
                    self.parts.append((key, upload, part["ETag"]))
        except (BotoCoreError, ClientError, OSError):
            return

    def check(self, s3):
        for key, (version, digest) in self.objects.items():
            got = s3.get_object(Bucket=BUCKET, Key=key, VersionId=version)
            kept(f"{key}: bytes", hashlib.md5(got["Body"].read()).hexdigest(), digest)
            kept(f"{key}: metadata", (got["Metadata"], got["TagCount"]), ({"key": key}, 1))
        for key, version in self.deleted:
            try:
                s3.head_object(Bucket=BUCKET, Key=key, VersionId=version)
                kept(f"{key}: deleted", "there", "gone")
            except ClientError as error:
                kept(f"{key}: deleted", error.response["Error"]["Code"], "404")
        for key, upload, etag in self.parts:
            at = {"Bucket": BUCKET, "Key": key, "UploadId": upload}
            kept(f"{key}: part", s3.list_parts(**at)["Parts"][0]["ETag"], etag)
            parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
            s3.complete_multipart_upload(MultipartUpload=parts, **at)


def main():
    kplan, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder:
        sandbox = Sandbox(kplan, folder)
        s3 = sandbox.client()
        s3.create_bucket(Bucket=BUCKET)
        versioned = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versioned)
        try:
            for number in range(rounds):
                answered, writing = Answered(), []
                for writer in range(WRITERS):
                    to = (sandbox.client(), f"{number}/{writer}")
                    writing.append(threading.Thread(target=answered.write, args=to))
                for thread in writing:
                    thread.start()
                time.sleep(random.uniform(0.5, 1.5))
                sandbox.kill()
                for thread in writing:
                    thread.join()
                sandbox.start()
                answered.check(sandbox.client())
                print(
                    f"+ killed: {len(answered.objects)} objects, {len(answered.deleted)} deletions"
                    f" and {len(answered.parts)} parts are as answered"
                )
        finally:
            sandbox.kill()
    print(f"{steps} steps, no surprise")


if __name__ == "__main__":
    main()

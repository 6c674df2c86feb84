#!/usr/bin/env python3
"""boto3, a client nobody here wrote, against the sandbox's Spaces: all it can say that
DigitalOcean documents for them, and what is refused. Ends at the first surprise.

  DIGITALOCEAN_API_URL       what `kplan sandbox` printed
  DIGITALOCEAN_ACCESS_TOKEN  its token
  SPACES_ENDPOINT_URL        its Spaces endpoint

Needs boto3. Run it against the sandbox only. It leaves nothing behind when nothing surprised it.
"""

import base64
import concurrent.futures
import datetime
import hashlib
import http.client
import io
import json
import os
import secrets
import sys
import time
import urllib.parse
import urllib.request
import zlib
from unittest import mock

import boto3
import botocore.auth
from boto3.s3.transfer import TransferConfig
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

API, TOKEN, ENDPOINT = (
    os.environ.get(name) or sys.exit(f"{name} is not set")
    for name in ("DIGITALOCEAN_API_URL", "DIGITALOCEAN_ACCESS_TOKEN", "SPACES_ENDPOINT_URL")
)
for url in (API, ENDPOINT):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "localhost"):
        print(f"refused: {url} is not a sandbox", file=sys.stderr)
        sys.exit(2)
AUTHORITY = urllib.parse.urlsplit(ENDPOINT).netloc
EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
MIB = 1024 * 1024
RUN = secrets.token_hex(4)
steps = 0


def surprise(what, expected, found):
    print(f"FAILED: {what}\n  expected: {expected}\n  found:    {found}", file=sys.stderr)
    sys.exit(1)


def done(what):
    global steps
    steps += 1
    print(f"+ {what}")


def same(what, found, expected):
    if found != expected:
        surprise(what, expected, found)
    done(what)


def ok(what, call, *args, **kwargs):
    try:
        answer = call(*args, **kwargs)
    except ClientError as error:
        surprise(what, "success", error)
    done(what)
    return answer


def bad(what, code, call, *args, **kwargs):
    """The call is refused with an error code, or with a status where an answer has no body."""
    try:
        answer = call(*args, **kwargs)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        status = str(error.response["ResponseMetadata"]["HTTPStatusCode"])
        if code not in (found, status):
            surprise(what, code, error)
        done(f"{what}: {code}")
        return error
    surprise(what, code, answer)


def plain(method, path, headers=None, body=None):
    """A request as a browser or curl sends it: nothing is signed."""
    connection = http.client.HTTPConnection(AUTHORITY, timeout=30)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text


def visit(url, method="GET", body=None, headers=None):
    parts = urllib.parse.urlsplit(url)
    return plain(method, f"{parts.path}?{parts.query}", headers, body)


def error_code(text):
    return text.decode().partition("<Code>")[2].partition("</Code>")[0]


def digitalocean(method, path, body=None):
    request = urllib.request.Request(
        API + path,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def new_key(*grants):
    grants = [{"bucket": bucket, "permission": permission} for bucket, permission in grants]
    key = digitalocean("POST", "/v2/spaces/keys", {"name": "boto", "grants": grants})["key"]
    return key["access_key"], key["secret_key"]


def forget_key(key):
    digitalocean("DELETE", f"/v2/spaces/keys/{key[0]}")


def client(key, region="fra1", **settings):
    settings.setdefault("s3", {"addressing_style": "path"})
    config = Config(
        region_name=region,
        signature_version=settings.pop("signature_version", "s3v4"),
        retries={"total_max_attempts": 1},
        proxies={},
        **settings,
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=ENDPOINT,
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        config=config,
    )


def name(what):
    return f"boto-{what}-{RUN}"


def make(s3, what):
    bucket = name(what)
    ok(f"a bucket {what}", s3.create_bucket, Bucket=bucket)
    return bucket


def read(s3, bucket, key, **more):
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def buckets(s3, full):
    bucket = make(s3, "buckets")
    where = {"LocationConstraint": "fra1"}
    again = dict(Bucket=bucket, CreateBucketConfiguration=where)
    bad("the same again", "BucketAlreadyOwnedByYou", s3.create_bucket, **again)
    same("its region", s3.get_bucket_location(Bucket=bucket)["LocationConstraint"], "fra1")
    head = ok("its head", s3.head_bucket, Bucket=bucket)
    same("where it is", head["BucketRegion"], "fra1")
    names = [b["Name"] for b in s3.list_buckets()["Buckets"]]
    same("it is listed", bucket in names, True)
    bad(
        "a region that is not the endpoint's",
        "InvalidLocationConstraint",
        s3.create_bucket,
        Bucket=name("elsewhere"),
        CreateBucketConfiguration={"LocationConstraint": "nyc3"},
    )
    for wrong in ("Bad_Name", "ab", "-a-b", "a..b", "192.168.1.1", "x" * 64):
        bad(f"the name {wrong[:12]}", "InvalidBucketName", s3.create_bucket, Bucket=wrong)
    bad("a bucket nobody has", "NoSuchBucket", s3.list_objects_v2, Bucket=name("nobody"))
    bad("its head", "404", s3.head_bucket, Bucket=name("nobody"))
    ams3 = client(full, "ams3")
    bad("another region's endpoint", "NoSuchBucket", ams3.list_objects_v2, Bucket=bucket)
    bad("its head there", "404", ams3.head_bucket, Bucket=bucket)
    names = [b["Name"] for b in ams3.list_buckets()["Buckets"]]
    same("it is not listed there", bucket in names, False)
    mars = client(full, "mars1")
    bad("no region", "InvalidLocationConstraint", mars.create_bucket, Bucket=name("mars"))
    ok("an object in it", s3.put_object, Bucket=bucket, Key="k", Body=b"x")
    bad("not empty", "BucketNotEmpty", s3.delete_bucket, Bucket=bucket)
    ok("emptied", s3.delete_object, Bucket=bucket, Key="k")
    ok("deleted", s3.delete_bucket, Bucket=bucket)
    bad("gone", "404", s3.head_bucket, Bucket=bucket)
    bad("gone for this too", "NoSuchBucket", s3.delete_bucket, Bucket=bucket)


def objects(s3):
    bucket = make(s3, "objects")
    expires = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)
    said = dict(
        ContentType="text/plain; charset=utf-8",
        CacheControl="max-age=60",
        ContentDisposition='attachment; filename="a.txt"',
        ContentEncoding="identity",
        ContentLanguage="de",
        Metadata={"note": "one", "Mixed-Case": "two"},
    )
    odd = "a b+c/ü%&=?#[].txt"
    put = ok("an object", s3.put_object, Bucket=bucket, Key=odd, Body=b"hello", Expires=expires, **said)
    etag = '"5d41402abc4b2a76b9719d911017c592"'
    same("its entity tag", put["ETag"], etag)
    for what, answer in (
        ("get", s3.get_object(Bucket=bucket, Key=odd)),
        ("head", s3.head_object(Bucket=bucket, Key=odd)),
    ):
        for field in said:
            expected = said[field]
            if field == "Metadata":
                expected = {"note": "one", "mixed-case": "two"}
            same(f"{what}: {field}", answer[field], expected)
        same(f"{what}: Expires", answer["ExpiresString"], "Tue, 06 May 2031 07:08:09 GMT")
        same(f"{what}: length", answer["ContentLength"], 5)
        same(f"{what}: entity tag", answer["ETag"], etag)
    same("its bytes", read(s3, bucket, odd), b"hello")
    over = s3.get_object(Bucket=bucket, Key=odd, ResponseContentType="x/y", ResponseCacheControl="no-store")
    same("an overridden type", (over["ContentType"], over["CacheControl"]), ("x/y", "no-store"))
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    same("it is listed", (listed["Key"], listed["Size"], listed["ETag"]), (odd, 5, etag))
    same("its storage class", listed["StorageClass"], "STANDARD")
    ok("the one storage class", s3.put_object, Bucket=bucket, Key="s", Body=b"", StorageClass="STANDARD")
    bad("another", "InvalidStorageClass", s3.put_object, Bucket=bucket, Key="s", StorageClass="GLACIER")
    same("nothing in it", s3.head_object(Bucket=bucket, Key="s")["ContentLength"], 0)
    same("an empty object", read(s3, bucket, "s"), b"")
    bad("no object", "NoSuchKey", s3.get_object, Bucket=bucket, Key="none")
    bad("no object's head", "404", s3.head_object, Bucket=bucket, Key="none")
    bad("a key too long", "KeyTooLongError", s3.put_object, Bucket=bucket, Key="k" * 1025)
    ok("deleting what is not there", s3.delete_object, Bucket=bucket, Key="none")
    copies(s3, bucket, odd, said)
    tags(s3, bucket)
    return bucket


def copies(s3, bucket, odd, said):
    source = {"Bucket": bucket, "Key": odd}
    copied = ok("a copy", s3.copy_object, Bucket=bucket, Key="copy", CopySource=source)
    same("its entity tag", copied["CopyObjectResult"]["ETag"], '"5d41402abc4b2a76b9719d911017c592"')
    head = s3.head_object(Bucket=bucket, Key="copy")
    same("its headers stay", head["CacheControl"], said["CacheControl"])
    same("its metadata stay", head["Metadata"]["note"], "one")
    new = dict(MetadataDirective="REPLACE", Metadata={"new": "1"}, ContentType="a/b")
    ok("a copy onto itself", s3.copy_object, Bucket=bucket, Key="copy", CopySource=f"{bucket}/copy", **new)
    head = s3.head_object(Bucket=bucket, Key="copy")
    same("other metadata", (head["Metadata"], head["ContentType"]), ({"new": "1"}, "a/b"))
    same("no old headers", head.get("CacheControl"), None)
    onto = dict(Bucket=bucket, Key="copy", CopySource=f"{bucket}/copy")
    bad("a copy that changes nothing", "InvalidRequest", s3.copy_object, **onto)
    bad("a copy of nothing", "NoSuchKey", s3.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/none")
    nowhere = f"{name('nobody')}/k"
    bad("a copy from nowhere", "NoSuchBucket", s3.copy_object, Bucket=bucket, Key="c", CopySource=nowhere)


def tags(s3, bucket):
    ok("tags in a header", s3.put_object, Bucket=bucket, Key="t", Body=b"x", Tagging="a=1&b=two%20words")
    found = s3.get_object_tagging(Bucket=bucket, Key="t")["TagSet"]
    expected = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "two words"}]
    same("tags", found, expected)
    same("their number", s3.get_object(Bucket=bucket, Key="t")["TagCount"], 2)
    ok("a copy with tags", s3.copy_object, Bucket=bucket, Key="t2", CopySource=f"{bucket}/t")
    same("the copy's tags", s3.get_object_tagging(Bucket=bucket, Key="t2")["TagSet"], expected)
    other = {"TagSet": [{"Key": "c", "Value": ""}]}
    ok("other tags", s3.put_object_tagging, Bucket=bucket, Key="t", Tagging=other)
    same("read back", s3.get_object_tagging(Bucket=bucket, Key="t")["TagSet"], other["TagSet"])
    ok("no tags", s3.delete_object_tagging, Bucket=bucket, Key="t")
    same("none left", s3.get_object_tagging(Bucket=bucket, Key="t")["TagSet"], [])
    twice = {"TagSet": [{"Key": "c", "Value": "1"}, {"Key": "c", "Value": "2"}]}
    bad("a tag twice", "InvalidTag", s3.put_object_tagging, Bucket=bucket, Key="t", Tagging=twice)
    many = {"TagSet": [{"Key": str(n), "Value": ""} for n in range(11)]}
    bad("too many tags", "BadRequest", s3.put_object_tagging, Bucket=bucket, Key="t", Tagging=many)
    bad("tags of nothing", "NoSuchKey", s3.get_object_tagging, Bucket=bucket, Key="none")


class Streamed(botocore.auth.S3SigV4Auth):
    """Signs a body that is sent in chunks with a checksum behind it, as over TLS."""

    def payload(self, request):
        return "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def send_streamed(full, path, body, checksum, query=None):
    headers = {
        "Content-Encoding": "aws-chunked",
        "X-Amz-Decoded-Content-Length": str(len(body)),
        "X-Amz-Trailer": "x-amz-checksum-crc32",
        "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "Content-Type": "text/plain",
    }
    request = AWSRequest("PUT", ENDPOINT + path, headers=headers, params=query or {})
    Streamed(Credentials(*full), "s3", "fra1").add_auth(request)
    chunks = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % (len(body), body, checksum)
    target = path + ("?" + urllib.parse.urlencode(query) if query else "")
    sent = dict(request.headers.items())
    sent["Content-Length"] = str(len(chunks))
    return plain("PUT", target, sent, chunks)


def crc32(body):
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big"))


def checksums(s3, full):
    bucket = make(s3, "checksums")
    put = dict(Bucket=bucket, Key="k", Body=b"hello")
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        ok(f"{algorithm} by the client", s3.put_object, ChecksumAlgorithm=algorithm, **put)
        wrong = base64.b64encode(b"\0" * {"CRC32": 4, "SHA1": 20, "SHA256": 32}[algorithm])
        given = {f"Checksum{algorithm}": wrong.decode()}
        bad(f"a wrong {algorithm}", "BadDigest", s3.put_object, **given, **put)
    md5 = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    ok("a right MD5", s3.put_object, ContentMD5=md5, **put)
    other = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    bad("a wrong MD5", "BadDigest", s3.put_object, ContentMD5=other, **put)
    same("what was refused is not there", read(s3, bucket, "k"), b"hello")
    path = f"/{bucket}/streamed"
    same("a checksum behind the body", send_streamed(full, path, b"hello", crc32(b"hello"))[0], 200)
    head = s3.head_object(Bucket=bucket, Key="streamed")
    same("how it was sent is forgotten", head.get("ContentEncoding"), None)
    same("its bytes", read(s3, bucket, "streamed"), b"hello")
    status, _, text = send_streamed(full, path, b"other", crc32(b"hello"))
    same("a wrong one behind it", (status, error_code(text)), (400, "BadDigest"))
    same("it changed nothing", read(s3, bucket, "streamed"), b"hello")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    query = {"partNumber": "1", "uploadId": upload}
    path = f"/{bucket}/parts"
    status = send_streamed(full, path, b"hello", crc32(b"hello"), query)[0]
    same("a checksum behind a part", status, 200)
    status, _, text = send_streamed(full, path, b"other", crc32(b"hello"), query)
    same("a wrong one behind a part", (status, error_code(text)), (400, "BadDigest"))
    old = client(full, request_checksum_calculation="when_required", response_checksum_validation="when_required")
    ok("a client that sends none", old.put_object, Bucket=bucket, Key="old", Body=b"x")
    unsigned = client(full, s3={"addressing_style": "path", "payload_signing_enabled": False})
    ok("a body that is not signed", unsigned.put_object, Bucket=bucket, Key="unsigned", Body=b"x")


def ranges(s3, bucket):
    body = bytes(range(100))
    s3.put_object(Bucket=bucket, Key="r", Body=body)
    for asked, start, end in (
        ("bytes=0-9", 0, 10),
        ("bytes=90-", 90, 100),
        ("bytes=-5", 95, 100),
        ("bytes=50-1000", 50, 100),
        ("bytes=-1000", 0, 100),
    ):
        got = s3.get_object(Bucket=bucket, Key="r", Range=asked)
        same(f"{asked}: bytes", got["Body"].read(), body[start:end])
        same(f"{asked}: which", got["ContentRange"], f"bytes {start}-{end - 1}/100")
        same(f"{asked}: status", got["ResponseMetadata"]["HTTPStatusCode"], 206)
        head = s3.head_object(Bucket=bucket, Key="r", Range=asked)
        same(f"{asked}: head", head["ContentLength"], end - start)
    bad("beyond the end", "InvalidRange", s3.get_object, Bucket=bucket, Key="r", Range="bytes=100-")
    bad("beyond the end, 416", "416", s3.get_object, Bucket=bucket, Key="r", Range="bytes=100-")


def conditions(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="c", Body=b"x")["ETag"]
    at = dict(Bucket=bucket, Key="c")
    modified = s3.head_object(**at)["LastModified"]
    day = datetime.timedelta(days=1)
    for call in (s3.get_object, s3.head_object):
        ok("if it is this", call, IfMatch=etag, **at)
        bad("if it is another", "412", call, IfMatch='"0"', **at)
        ok("if it is not another", call, IfNoneMatch='"0"', **at)
        bad("if it is not this", "304", call, IfNoneMatch=etag, **at)
        ok("if it changed since yesterday", call, IfModifiedSince=modified - day, **at)
        bad("if it changed since then", "304", call, IfModifiedSince=modified, **at)
        ok("if it did not change since then", call, IfUnmodifiedSince=modified, **at)
        bad("if it did not change since yesterday", "412", call, IfUnmodifiedSince=modified - day, **at)
    new = dict(Bucket=bucket, Key=f"new-{RUN}", Body=b"1")
    ok("if there is none", s3.put_object, IfNoneMatch="*", **new)
    bad("if there is still none", "PreconditionFailed", s3.put_object, IfNoneMatch="*", **new)
    ok("over this", s3.put_object, Body=b"y", IfMatch=etag, **at)
    bad("over what is not there any more", "PreconditionFailed", s3.put_object, Body=b"z", IfMatch=etag, **at)
    same("it stayed", read(s3, **{"bucket": bucket, "key": "c"}), b"y")
    etag = s3.head_object(**at)["ETag"]
    copy = dict(Bucket=bucket, Key="c2", CopySource=f"{bucket}/c")
    ok("a copy of this", s3.copy_object, CopySourceIfMatch=etag, **copy)
    bad("a copy of another", "PreconditionFailed", s3.copy_object, CopySourceIfMatch='"0"', **copy)
    bad("a copy unless this", "PreconditionFailed", s3.copy_object, CopySourceIfNoneMatch=etag, **copy)
    since = modified - day
    bad("a copy of the old", "PreconditionFailed", s3.copy_object, CopySourceIfUnmodifiedSince=since, **copy)


def presigned(s3, full, bucket):
    s3.put_object(Bucket=bucket, Key="p q/ü", Body=b"secret", ContentType="a/b")

    def sign(operation, valid=60, **params):
        return s3.generate_presigned_url(operation, Params=params, ExpiresIn=valid)

    url = sign("get_object", Bucket=bucket, Key="p q/ü")
    same("a link", visit(url)[::2], (200, b"secret"))
    same("its range", visit(url, headers={"Range": "bytes=0-2"})[::2], (206, b"sec"))
    typed = sign("get_object", Bucket=bucket, Key="p q/ü", ResponseContentType="c/d")
    same("a link with a type", visit(typed)[1]["content-type"], "c/d")
    same("its type is signed", visit(typed.replace("c%2Fd", "e%2Ff"))[0], 403)
    status, _, text = visit(url.replace("p%20q", "other"))
    same("a link to another key", (status, error_code(text)), (403, "SignatureDoesNotMatch"))
    same("a link for another method", visit(url, "PUT", b"x")[0], 403)
    same("a link without a signature", visit(url.split("?")[0])[0], 403)
    upload = sign("put_object", Bucket=bucket, Key="put", ContentType="e/f", Metadata={"a": "b"})
    headers = {"Content-Type": "e/f", "x-amz-meta-a": "b"}
    same("an upload", visit(upload, "PUT", b"up", headers)[0], 200)
    same("its metadata", s3.head_object(Bucket=bucket, Key="put")["Metadata"], {"a": "b"})
    same("its type is signed", visit(upload, "PUT", b"up", {**headers, "Content-Type": "x/y"})[0], 403)
    same("a head", visit(sign("head_object", Bucket=bucket, Key="put"), "HEAD")[0], 200)
    same("a list", visit(sign("list_objects_v2", Bucket=bucket))[0], 200)
    same("a deletion", visit(sign("delete_object", Bucket=bucket, Key="put"), "DELETE")[0], 204)
    too_long = sign("get_object", valid=604801, Bucket=bucket, Key="p q/ü")
    status, _, text = visit(too_long)
    same("longer than a week", (status, error_code(text)), (400, "AuthorizationQueryParametersError"))
    with at_another_time(datetime.timedelta(hours=-2)):
        old = sign("get_object", Bucket=bucket, Key="p q/ü")
        late = sign("get_object", valid=10800, Bucket=bucket, Key="p q/ü")
    status, _, text = visit(old)
    same("an expired link", (status, error_code(text)), (403, "AccessDenied"))
    same("one that has not", visit(late)[0], 200)
    stranger = client((full[0], "wrong")).generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "p q/ü"}
    )
    same("a wrong secret's link", error_code(visit(stranger)[2]), "SignatureDoesNotMatch")


def at_another_time(shift):
    """Lets the client sign for another time."""
    here = datetime.datetime.now(datetime.timezone.utc) + shift
    if hasattr(botocore.auth, "get_current_datetime"):
        return mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: here.replace(tzinfo=None))
    frozen = mock.Mock(wraps=datetime.datetime)
    frozen.utcnow.return_value = here.replace(tzinfo=None)
    frozen.now.return_value = here
    return mock.patch("botocore.auth.datetime.datetime", frozen)


def multipart(s3, bucket):
    at = dict(Bucket=bucket, Key="big")
    one, two = os.urandom(5 * MIB), os.urandom(6 * MIB)
    s3.put_object(Bucket=bucket, Key="source", Body=two)
    upload = ok("an upload", s3.create_multipart_upload, Metadata={"m": "1"}, ContentType="a/b", **at)["UploadId"]
    part = dict(UploadId=upload, **at)
    parts = []
    answer = ok("a part", s3.upload_part, PartNumber=1, Body=one, **part)
    parts.append({"PartNumber": 1, "ETag": answer["ETag"]})
    source = f"{bucket}/source"
    answer = ok("a part that is copied", s3.upload_part_copy, PartNumber=2, CopySource=source, **part)
    copied = answer["CopyPartResult"]["ETag"]
    same("its entity tag", copied, f'"{hashlib.md5(two).hexdigest()}"')
    parts.append({"PartNumber": 2, "ETag": copied})
    some = dict(CopySource=source, CopySourceRange="bytes=10-19")
    answer = ok("a range that is copied", s3.upload_part_copy, PartNumber=3, **some, **part)
    parts.append({"PartNumber": 3, "ETag": answer["CopyPartResult"]["ETag"]})
    beyond = dict(PartNumber=4, CopySource=source, CopySourceRange=f"bytes=0-{len(two)}")
    bad("a range beyond the end", "InvalidRange", s3.upload_part_copy, **beyond, **part)
    odd = dict(PartNumber=4, CopySource=source, CopySourceRange="bytes=5-")
    bad("a range without an end", "InvalidArgument", s3.upload_part_copy, **odd, **part)
    other = dict(PartNumber=4, CopySource=source, CopySourceIfMatch='"0"')
    bad("a part of another object", "PreconditionFailed", s3.upload_part_copy, **other, **part)
    none = dict(PartNumber=4, CopySource=f"{bucket}/none")
    bad("a part of nothing", "NoSuchKey", s3.upload_part_copy, **none, **part)
    for number in (0, 10001):
        bad(f"part {number}", "InvalidArgument", s3.upload_part, PartNumber=number, Body=b"x", **part)
    listed = s3.get_paginator("list_parts").paginate(PaginationConfig={"PageSize": 2}, **part)
    numbers = [[p["PartNumber"] for p in page["Parts"]] for page in listed]
    same("parts by pages of two", numbers, [[1, 2], [3]])
    same("no object before it is complete", keys_of(s3, bucket, "big"), [])

    def complete(wanted, **more):
        return s3.complete_multipart_upload(MultipartUpload={"Parts": wanted}, **{**part, **more})

    bad("parts in another order", "InvalidPartOrder", complete, parts[::-1])
    bad("a part that is not there", "InvalidPart", complete, [{"PartNumber": 7, "ETag": '"0"'}])
    wrong = [{"PartNumber": 1, "ETag": '"0"'}]
    bad("a part with another tag", "InvalidPart", complete, wrong)
    bad("no parts", "MalformedXML", complete, [])
    small = [parts[0], parts[2], {**parts[1], "PartNumber": 4}]
    s3.upload_part_copy(PartNumber=4, CopySource=source, **part)
    bad("a small part in the middle", "EntityTooSmall", complete, small)
    answer = ok("completed", complete, parts)
    digests = b"".join(hashlib.md5(p).digest() for p in (one, two, two[10:20]))
    etag = f'"{hashlib.md5(digests).hexdigest()}-3"'
    same("its entity tag", answer["ETag"], etag)
    head = s3.head_object(**at)
    same("its headers", (head["Metadata"], head["ContentType"]), ({"m": "1"}, "a/b"))
    same("its bytes", read(s3, bucket, "big") == one + two + two[10:20], True)
    bad("completed again", "NoSuchUpload", complete, parts)
    uploads(s3, bucket)
    transfers(s3, bucket, one + two)


def keys_of(s3, bucket, prefix=""):
    return [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]


def uploads(s3, bucket):
    begun = []
    for key in ("u/1", "u/1", "u/2"):
        answer = s3.create_multipart_upload(Bucket=bucket, Key=key)
        begun.append((key, answer["UploadId"]))
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, Prefix="u/", PaginationConfig={"PageSize": 1}
    )
    found = [(u["Key"], u["UploadId"]) for page in pages for u in page["Uploads"]]
    same("uploads by pages of one", sorted(found), sorted(begun))
    for key, upload in begun:
        ok("an upload is dropped", s3.abort_multipart_upload, Bucket=bucket, Key=key, UploadId=upload)
    gone = dict(Bucket=bucket, Key=begun[0][0], UploadId=begun[0][1])
    bad("dropped again", "NoSuchUpload", s3.abort_multipart_upload, **gone)
    bad("its parts", "NoSuchUpload", s3.list_parts, **gone)
    bad("a part for it", "NoSuchUpload", s3.upload_part, PartNumber=1, Body=b"x", **gone)
    same("none is left", s3.list_multipart_uploads(Bucket=bucket, Prefix="u/").get("Uploads"), None)


def transfers(s3, bucket, body):
    """The client's own ways of moving large objects."""
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    ok("a transfer up", s3.upload_fileobj, io.BytesIO(body), bucket, "up", Config=config)
    same("in parts", s3.head_object(Bucket=bucket, Key="up")["ETag"].endswith('-3"'), True)
    down = io.BytesIO()
    ok("a transfer down", s3.download_fileobj, bucket, "up", down, Config=config)
    same("the same bytes", down.getvalue() == body, True)
    ok("a transfer across", s3.copy, {"Bucket": bucket, "Key": "up"}, bucket, "across", Config=config)
    same("the same bytes again", read(s3, bucket, "across") == body, True)


def versions(s3):
    bucket = make(s3, "versions")
    same("never switched on", s3.get_bucket_versioning(Bucket=bucket).get("Status"), None)

    def switch(status):
        ok(status, s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": status})
        same("it is", s3.get_bucket_versioning(Bucket=bucket)["Status"], status)

    at = dict(Bucket=bucket, Key="k")
    same("no version id", s3.put_object(Body=b"zero", **at).get("VersionId"), None)
    switch("Enabled")
    one = s3.put_object(Body=b"one", **at)["VersionId"]
    two = s3.put_object(Body=b"two", **at)["VersionId"]
    same("the latest", read(s3, bucket, "k"), b"two")
    same("an earlier one", read(s3, bucket, "k", VersionId=one), b"one")
    same("the one before versions", read(s3, bucket, "k", VersionId="null"), b"zero")
    copy = dict(Key="k", CopySource={"Bucket": bucket, "Key": "k", "VersionId": one})
    restored = ok("an earlier one copied over", s3.copy_object, Bucket=bucket, **copy)
    same("whose copy it is", restored["CopySourceVersionId"], one)
    same("it is the latest", read(s3, bucket, "k"), b"one")
    marker = ok("deleted", s3.delete_object, **at)
    same("a delete marker", marker["DeleteMarker"], True)
    error = bad("gone", "NoSuchKey", s3.get_object, **at)
    headers = error.response["ResponseMetadata"]["HTTPHeaders"]
    same("it says why", headers.get("x-amz-delete-marker"), "true")
    bad("a marker's content", "MethodNotAllowed", s3.get_object, VersionId=marker["VersionId"], **at)
    bad("no version", "NoSuchVersion", s3.get_object, VersionId="0" * 32, **at)
    same("not listed", keys_of(s3, bucket), [])
    listed = s3.list_object_versions(Bucket=bucket)
    ids = [v["VersionId"] for v in listed["Versions"]]
    same("all versions, newest first", ids, [restored["VersionId"], two, one, "null"])
    same("the marker is the latest", listed["DeleteMarkers"][0]["IsLatest"], True)
    bad("not empty", "BucketNotEmpty", s3.delete_bucket, Bucket=bucket)
    ok("the marker removed", s3.delete_object, VersionId=marker["VersionId"], **at)
    same("it is back", read(s3, bucket, "k"), b"one")
    ok("tags of a version", s3.put_object_tagging, VersionId=one, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}, **at)
    same("not of the latest", s3.get_object_tagging(**at)["TagSet"], [])
    switch("Suspended")
    same("the version null", s3.put_object(Body=b"null", **at)["VersionId"], "null")
    same("it replaced the one before", read(s3, bucket, "k", VersionId="null"), b"null")
    same("others stay", read(s3, bucket, "k", VersionId=one), b"one")
    for key in ("d/1", "d/2", "e"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    listed = s3.list_object_versions(Bucket=bucket, Delimiter="/")
    same("prefixes of versions", listed["CommonPrefixes"], [{"Prefix": "d/"}])
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 1}
    )
    found = [v["Key"] for page in pages for v in page.get("Versions", []) + page.get("CommonPrefixes", []) if "Key" in v]
    same("page by page", found, ["e"] + ["k"] * 4)
    odd = {"Status": "Maybe"}
    bad("another status", "MalformedXML", s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=odd)
    everything = s3.list_object_versions(Bucket=bucket)
    doomed = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in everything["Versions"]]
    gone = ok("all removed", s3.delete_objects, Bucket=bucket, Delete={"Objects": doomed})
    same("all of them", len(gone["Deleted"]), len(doomed))
    ok("the bucket too", s3.delete_bucket, Bucket=bucket)


def lifecycle(s3):
    bucket = make(s3, "lifecycle")
    get, put = s3.get_bucket_lifecycle_configuration, s3.put_bucket_lifecycle_configuration
    bad("no rules", "NoSuchLifecycleConfiguration", get, Bucket=bucket)
    rules = [
        {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}},
        {"ID": "parts", "Status": "Enabled", "Filter": {"Prefix": ""}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}},
        {"ID": "versions", "Status": "Disabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 7, "NewerNoncurrentVersions": 2}},
        {"ID": "markers", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
    ]
    ok("rules", put, Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    same("read back", get(Bucket=bucket)["Rules"], rules)
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    s3.put_object(Bucket=bucket, Key="past/a", Body=b"x")
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    rule = {"Status": "Enabled", "Filter": {"Prefix": "past/"}, "Expiration": {"Date": past}}
    ok("a rule without a name", put, Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    same("it has one", len(get(Bucket=bucket)["Rules"][0]["ID"]) > 0, True)
    same("it is carried out", keys_of(s3, bucket), ["a"])
    day = {"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    tag = {"Tag": {"Key": "a", "Value": "b"}}
    for what, code, wrong in (
        ("no day", "InvalidArgument", [{**day, "Expiration": {"Days": 0}}]),
        ("no action", "InvalidRequest", [{"Status": "Enabled", "Filter": {"Prefix": ""}}]),
        ("another status", "MalformedXML", [{**day, "Status": "Sometimes"}]),
        ("one name twice", "InvalidArgument", [{**day, "ID": "a"}, {**day, "ID": "a"}]),
        ("a tag", "NotImplemented", [{**day, "Filter": tag}]),
        ("another class", "NotImplemented", [{**day, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}]),
    ):
        bad(f"rules: {what}", code, put, Bucket=bucket, LifecycleConfiguration={"Rules": wrong})
    ok("removed", s3.delete_bucket_lifecycle, Bucket=bucket)
    bad("none again", "NoSuchLifecycleConfiguration", get, Bucket=bucket)


def cors(s3):
    bucket = make(s3, "cors")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    path, site = f"/{bucket}/k", "https://www.example.com"

    def preflight(origin, method, headers=None):
        asked = {"Origin": origin, "Access-Control-Request-Method": method}
        if headers:
            asked["Access-Control-Request-Headers"] = headers
        return plain("OPTIONS", path, asked)

    bad("no rules", "NoSuchCORSConfiguration", s3.get_bucket_cors, Bucket=bucket)
    same("no rules: a preflight", preflight(site, "GET")[0], 403)
    allow = "access-control-allow-origin"
    same("no rules: an answer", plain("GET", path, {"Origin": site})[1].get(allow), None)
    rules = [
        {
            "AllowedOrigins": ["https://*.example.com"],
            "AllowedMethods": ["PUT", "DELETE"],
            "AllowedHeaders": ["content-type", "x-amz-*"],
            "ExposeHeaders": ["ETag", "x-amz-version-id"],
            "MaxAgeSeconds": 300,
        },
        {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]},
    ]
    ok("rules", s3.put_bucket_cors, Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    same("read back", s3.get_bucket_cors(Bucket=bucket)["CORSRules"], rules)
    status, headers, _ = preflight(site, "PUT", "Content-Type, X-Amz-Date")
    same("a preflight", status, 200)
    same("its origin", headers.get(allow), site)
    same("it depends on the origin", headers.get("vary"), "Origin")
    same("its methods", headers.get("access-control-allow-methods"), "PUT")
    same("its headers", headers.get("access-control-allow-headers"), "content-type,x-amz-date")
    same("what is exposed", headers.get("access-control-expose-headers"), "ETag,x-amz-version-id")
    same("for how long", headers.get("access-control-max-age"), "300")
    same("a preflight from anywhere", preflight("https://else.where", "GET")[1].get(allow), "*")
    for what, answer in (
        ("another method", preflight("https://else.where", "PUT")),
        ("another origin", preflight("https://example.com", "PUT")),
        ("another header", preflight(site, "PUT", "authorization")),
        ("a method nobody may use", preflight(site, "POST")),
    ):
        same(f"a preflight for {what}", (answer[0], answer[1].get(allow)), (403, None))
    same("a preflight without an origin", plain("OPTIONS", path)[0], 400)
    headers = plain("GET", path, {"Origin": "https://else.where"})[1]
    same("an answer to anywhere", headers.get(allow), "*")
    headers = plain("PUT", path, {"Origin": site}, b"y")[1]
    same("an answer to an origin, refused or not", headers.get(allow), site)
    same("no answer to it", plain("PUT", path, {"Origin": "https://else.where"}, b"y")[1].get(allow), None)
    same("no origin, no mark", plain("GET", path)[1].get(allow), None)
    upload = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "link"})
    asked = {"Origin": site, "Access-Control-Request-Method": "PUT"}
    same("a preflight to a link", visit(upload, "OPTIONS", headers=asked)[0], 200)
    status, headers, _ = visit(upload, "PUT", b"x", {"Origin": site})
    same("an upload from a page", (status, headers.get(allow)), (200, site))
    rule = {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}
    for what, wrong in (
        ("a method S3 has not", {**rule, "AllowedMethods": ["PATCH"]}),
        ("two stars", {**rule, "AllowedOrigins": ["http://*.*.com"]}),
    ):
        configuration = {"CORSRules": [wrong]}
        bad(f"rules: {what}", "InvalidRequest", s3.put_bucket_cors, Bucket=bucket, CORSConfiguration=configuration)
    ok("removed", s3.delete_bucket_cors, Bucket=bucket)
    bad("none again", "NoSuchCORSConfiguration", s3.get_bucket_cors, Bucket=bucket)


def policies(s3):
    bucket = make(s3, "policy")
    for key in ("open/a", "closed/a"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    arn = f"arn:aws:s3:::{bucket}"

    def say(*statements, version="2012-10-17"):
        statements = [{"Principal": "*", **statement} for statement in statements]
        document = json.dumps({"Version": version, "Statement": statements})
        return s3.put_bucket_policy(Bucket=bucket, Policy=document)

    def get(key):
        return plain("GET", f"/{bucket}/{key}")[0]

    allow, deny = {"Effect": "Allow"}, {"Effect": "Deny"}
    opened = {**allow, "Action": "s3:GetObject", "Resource": f"{arn}/open/*"}
    bad("no policy", "NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=bucket)
    same("closed without one", get("open/a"), 403)
    ok("anybody may read some", say, opened)
    same("some", get("open/a"), 200)
    same("not others", get("closed/a"), 403)
    same("not the list", get(""), 403)
    same("not what is not there", get("open/none"), 403)
    same("nor write", plain("PUT", f"/{bucket}/open/a", body=b"x")[0], 403)
    found = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    same("read back", found["Statement"][0]["Resource"], f"{arn}/open/*")
    ok("and the list", say, opened, {**allow, "Action": ["s3:ListBucket"], "Resource": arn})
    same("the list", get(""), 200)
    same("what is not there", get("open/none"), 404)
    ok("anybody may write some", say, {**allow, "Action": ["s3:Put*", "s3:DeleteObject"], "Resource": f"{arn}/open/*"})
    same("written", plain("PUT", f"/{bucket}/open/b", body=b"x")[0], 200)
    same("removed", plain("DELETE", f"/{bucket}/open/b")[0], 204)
    same("not elsewhere", plain("PUT", f"/{bucket}/closed/b", body=b"x")[0], 403)
    doomed = "<Delete>" + "".join(f"<Object><Key>{k}</Key></Object>" for k in ("open/b", "closed/a")) + "</Delete>"
    status, _, text = plain("POST", f"/{bucket}?delete", body=doomed.encode())
    same("many at once, each judged", (status, text.count(b"<Deleted>"), text.count(b"<Error>")), (200, 1, 1))
    same("it is still there", read(s3, bucket, "closed/a"), b"closed/a")
    closed = {**deny, "Action": "s3:GetObject", "Resource": f"{arn}/closed/*"}
    ok("nobody may read some", say, opened, closed)
    bad("not its owner", "AccessDenied", s3.get_object, Bucket=bucket, Key="closed/a")
    copy = dict(Bucket=bucket, Key="c", CopySource=f"{bucket}/closed/a")
    bad("nor by copying", "AccessDenied", s3.copy_object, **copy)
    ok("others", s3.get_object, Bucket=bucket, Key="open/a")
    here, there = {"aws:SourceIp": "127.0.0.0/8"}, {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::1"]}
    ok("from here", say, {**opened, "Condition": {"IpAddress": here}})
    same("it is", get("open/a"), 200)
    ok("from there", say, {**opened, "Condition": {"IpAddress": there}})
    same("it is not", get("open/a"), 403)
    ok("from anywhere but here", say, {**opened, "Condition": {"NotIpAddress": here}})
    same("it is here", get("open/a"), 403)
    locked = {**deny, "Action": "s3:*", "Resource": [arn, f"{arn}/*"], "Condition": {"NotIpAddress": there}}
    ok("everything only from there", say, locked)
    bad("locked out", "AccessDenied", s3.list_objects_v2, Bucket=bucket)
    bad("of objects", "AccessDenied", s3.get_object, Bucket=bucket, Key="open/a")
    ok("but not of the policy", s3.get_bucket_policy, Bucket=bucket)
    ok("removed", s3.delete_bucket_policy, Bucket=bucket)
    ok("back in", s3.get_object, Bucket=bucket, Key="open/a")
    bad("none again", "NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=bucket)
    account = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    mine = {"AWS": [f"arn:aws:iam:::user/{account}"]}
    ok("what DigitalOcean's provider tests with", say, {**allow, "Action": "s3:*", "Resource": "*"})
    same("everybody may everything", get(""), 200)
    ok("the account alone", say, {**deny, "Principal": mine, "Action": "s3:GetObject", "Resource": "*"})
    bad("the account may not", "AccessDenied", s3.get_object, Bucket=bucket, Key="open/a")
    for what, code, statement in (
        ("an action S3 has not", "MalformedPolicy", {**opened, "Action": "s3:Fly"}),
        ("no resource", "MalformedPolicy", {**allow, "Action": "s3:*"}),
        ("another effect", "MalformedPolicy", {**opened, "Effect": "Maybe"}),
        ("another field", "MalformedPolicy", {**opened, "Also": "this"}),
        ("a condition not simulated", "NotImplemented", {**opened, "Condition": {"StringLike": {"aws:Referer": "x"}}}),
        ("another account", "NotImplemented", {**opened, "Principal": {"AWS": "arn:aws:iam:::user/else"}}),
    ):
        bad(f"a policy with {what}", code, say, statement)
    bad("a policy of another version", "MalformedPolicy", say, opened, version="2025-04-29")
    bad("a policy that is no JSON", "MalformedPolicy", s3.put_bucket_policy, Bucket=bucket, Policy="{")
    ok("none", s3.delete_bucket_policy, Bucket=bucket)
    limited = new_key((bucket, "read"))
    bad("a policy beside a limited key", "AccessDenied", say, opened)
    forget_key(limited)
    ok("without it", say, opened)


def acls(s3):
    bucket = make(s3, "acls")

    def get(key, method="GET"):
        return plain(method, f"/{bucket}/{key}")[0]

    s3.put_object(Bucket=bucket, Key="private", Body=b"x")
    s3.put_object(Bucket=bucket, Key="public", Body=b"x", ACL="public-read")
    same("a private object", get("private"), 403)
    same("a public one", get("public"), 200)
    same("its head", get("public", "HEAD"), 200)
    same("nobody deletes it", get("public", "DELETE"), 403)
    same("its list is not public", get(""), 403)
    same("nor what is missing in it", get("missing"), 403)
    grants = s3.get_object_acl(Bucket=bucket, Key="public")
    found = [(g["Grantee"].get("URI", g["Grantee"].get("ID")), g["Permission"]) for g in grants["Grants"]]
    owner = grants["Owner"]["ID"]
    same("its grants", found, [(owner, "FULL_CONTROL"), (EVERYBODY, "READ")])
    ok("private again", s3.put_object_acl, Bucket=bucket, Key="public", ACL="private")
    same("closed", get("public"), 403)
    ok("by a grant", s3.put_object_acl, Bucket=bucket, Key="public", GrantRead=f'uri="{EVERYBODY}"')
    same("open", get("public"), 200)
    document = {"Owner": {"ID": owner}, "Grants": grants["Grants"][:1]}
    ok("by a document", s3.put_object_acl, Bucket=bucket, Key="public", AccessControlPolicy=document)
    same("closed again", get("public"), 403)
    granted = dict(GrantRead=f'uri="{EVERYBODY}"', GrantFullControl=f'id="{owner}"')
    ok("an object made with grants", s3.put_object, Bucket=bucket, Key="granted", Body=b"x", **granted)
    same("it is open", get("granted"), 200)
    ok("a copy of it", s3.copy_object, Bucket=bucket, Key="copied", CopySource=f"{bucket}/granted")
    same("is private", get("copied"), 403)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", ACL="public-read")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=parts)
    same("one made of parts", get("parts"), 200)
    bad("a grant to write", "NotImplemented", s3.put_object_acl, Bucket=bucket, Key="public", GrantWriteACP=f'uri="{EVERYBODY}"')
    bad("a canned ACL Spaces has not", "InvalidArgument", s3.put_object, Bucket=bucket, Key="x", ACL="aws-exec-read")
    ok("the list is public", s3.put_bucket_acl, Bucket=bucket, ACL="public-read")
    same("anybody lists it", get("?list-type=2"), 200)
    same("and its versions", get("?versions"), 200)
    same("and is told what is missing", get("missing"), 404)
    same("private objects stay so", get("private"), 403)
    same("its settings too", get("?cors"), 403)
    same("it is not writable", plain("PUT", f"/{bucket}/new", body=b"x")[0], 403)
    ok("private", s3.put_bucket_acl, Bucket=bucket, GrantFullControl=f"id={owner}")
    same("nobody lists it", get(""), 403)
    made = name("acls-made")
    ok("a bucket made public", s3.create_bucket, Bucket=made, ACL="public-read")
    same("anybody lists that", plain("GET", f"/{made}")[0], 200)
    same("a bucket nobody has", plain("GET", f"/{name('nobody')}/k")[0], 404)
    versioned = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioned)
    first = s3.put_object(Bucket=bucket, Key="v", Body=b"1", ACL="public-read")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="v", Body=b"2")["VersionId"]
    same("the latest version is private", get("v"), 403)
    same("the first is not", get(f"v?versionId={first}"), 200)
    same("the second is", get(f"v?versionId={second}"), 403)


def pages(s3):
    bucket = make(s3, "pages")
    names = [f"{n % 7}/{n:05}" for n in range(1203)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"), names))
    done("1203 objects")
    names.sort()
    for version in ("list_objects", "list_objects_v2"):
        found = list(s3.get_paginator(version).paginate(Bucket=bucket))
        same(f"{version}: pages", [len(page["Contents"]) for page in found], [1000, 203])
        same(f"{version}: keys", [o["Key"] for page in found for o in page["Contents"]], names)
    listed = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    prefixes = [p["Prefix"] for p in listed["CommonPrefixes"]]
    same("prefixes", prefixes, [f"{n}/" for n in range(7)])
    same("their number", listed["KeyCount"], 7)
    paged = s3.get_paginator("list_objects").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 3})
    found = [[p["Prefix"] for p in page["CommonPrefixes"]] for page in paged]
    same("by pages of three", found, [prefixes[0:3], prefixes[3:6], prefixes[6:]])
    some = s3.list_objects_v2(Bucket=bucket, Prefix="3/", StartAfter="3/00600", MaxKeys=2)
    same("after a key", [o["Key"] for o in some["Contents"]], [k for k in names if k > "3/00600"][:2])
    same("none", s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["KeyCount"], 0)
    same("at most 1000", s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)["MaxKeys"], 1000)
    same("owners only when asked", "Owner" in s3.list_objects_v2(Bucket=bucket, MaxKeys=1)["Contents"][0], False)
    owned = s3.list_objects_v2(Bucket=bucket, MaxKeys=1, FetchOwner=True)
    same("an owner", "Owner" in owned["Contents"][0], True)
    found = list(s3.get_paginator("list_object_versions").paginate(Bucket=bucket))
    same("versions by pages", [len(page["Versions"]) for page in found], [1000, 203])

    def delete(some, **more):
        objects = [{"Key": key} for key in some]
        return s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, **more})

    bad("more than 1000 at once", "MalformedXML", delete, names[:1001])
    gone = ok("1000 at once", delete, names[:1000])
    same("all answered", len(gone["Deleted"]), 1000)
    gone = ok("the rest, quietly", delete, names[1000:] + ["none"], Quiet=True)
    same("nothing said", ("Deleted" in gone, "Errors" in gone), (False, False))
    same("none left", s3.list_objects_v2(Bucket=bucket)["KeyCount"], 0)


def wrong(s3, full, bucket):
    at = dict(Bucket=bucket)
    bad("a wrong secret", "SignatureDoesNotMatch", client((full[0], "wrong")).list_objects_v2, **at)
    bad("a key nobody has", "InvalidAccessKeyId", client(("DO00000000000000000", "x")).list_objects_v2, **at)
    for shift in (-1, 1):
        with at_another_time(datetime.timedelta(hours=shift)):
            bad(f"signed {shift} h from now", "RequestTimeTooSkewed", s3.list_objects_v2, **at)
    old = client(full, signature_version="s3")
    bad("Signature Version 2", "NotImplemented", old.list_objects_v2, **at)
    bad("a page of less than none", "InvalidArgument", s3.list_objects_v2, MaxKeys=-1, **at)
    form = s3.generate_presigned_post(bucket, "form")
    boundary = "----boundary"
    fields = {**form["fields"], "file": "x"}
    body = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"'
        + ('; filename="f"' if k == "file" else "")
        + f"\r\n\r\n{v}\r\n"
        for k, v in fields.items()
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    status, _, text = plain("POST", f"/{bucket}", headers, f"{body}--{boundary}--\r\n".encode())
    same("a browser's form", (status, error_code(text)), (501, "NotImplemented"))
    status, _, text = plain("GET", f"/{bucket}/k")
    same("nothing signed", (status, error_code(text)), (403, "AccessDenied"))
    same("nor the buckets", plain("GET", "/")[0], 403)
    same("every answer has an id", bool(plain("GET", "/")[1].get("x-amz-request-id")), True)
    request = AWSRequest("PUT", f"{ENDPOINT}/{bucket}?cors=", data=b"<no>", headers={})
    botocore.auth.S3SigV4Auth(Credentials(*full), "s3", "fra1").add_auth(request)
    status, _, text = plain("PUT", f"/{bucket}?cors=", dict(request.headers.items()), b"<no>")
    same("XML that is none", (status, error_code(text)), (400, "MalformedXML"))
    tampered = AWSRequest("PUT", f"{ENDPOINT}/{bucket}/tampered", data=b"meant", headers={})
    botocore.auth.S3SigV4Auth(Credentials(*full), "s3", "fra1").add_auth(tampered)
    status, _, text = plain("PUT", f"/{bucket}/tampered", dict(tampered.headers.items()), b"other")
    same("another body than was signed", (status, error_code(text)), (400, "XAmzContentSHA256Mismatch"))
    bad("it is not there", "404", s3.head_object, Bucket=bucket, Key="tampered")
    key = base64.b64encode(b"k" * 32).decode()
    for what, call, more in (
        ("customer keys", s3.put_object, dict(Key="x", SSECustomerKey=key, SSECustomerAlgorithm="AES256")),
        ("encryption", s3.put_object, dict(Key="x", ServerSideEncryption="AES256")),
        ("a legal hold", s3.put_object, dict(Key="x", ObjectLockLegalHoldStatus="ON")),
        ("a redirect", s3.put_object, dict(Key="x", WebsiteRedirectLocation="/y")),
        ("a website", s3.get_bucket_website, {}),
        ("logging", s3.get_bucket_logging, {}),
        ("tags of buckets", s3.get_bucket_tagging, {}),
        ("replication", s3.get_bucket_replication, {}),
        ("a part of an object", s3.get_object, dict(Key="r", PartNumber=1)),
    ):
        bad(f"not simulated: {what}", "NotImplemented", call, **more, **at)
    bad("and nothing was stored", "404", s3.head_object, Key="x", **at)


def keys(s3):
    mine, other = make(s3, "mine"), make(s3, "other")
    for bucket in (mine, other):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    reading, writing = new_key((mine, "read")), new_key((mine, "readwrite"))
    both = new_key((mine, "read"), (other, "readwrite"))
    reader, writer, mixed = client(reading), client(writing), client(both)
    refused = "AccessDenied"
    for who, key in (("a reader", reader), ("a writer", writer)):
        ok(f"{who} reads", key.get_object, Bucket=mine, Key="k")
        ok(f"{who} lists", key.list_objects_v2, Bucket=mine)
        bad(f"{who} elsewhere", refused, key.get_object, Bucket=other, Key="k")
        bad(f"{who} lists elsewhere", refused, key.list_objects_v2, Bucket=other)
        bad(f"{who} and ACLs", refused, key.get_bucket_acl, Bucket=mine)
        bad(f"{who} sets an ACL", refused, key.put_object_acl, Bucket=mine, Key="k", ACL="public-read")
        bad(f"{who} and policies", refused, key.get_bucket_policy, Bucket=mine)
        bad(f"{who} makes a bucket", refused, key.create_bucket, Bucket=name("made"))
        bad(f"{who} removes a bucket", refused, key.delete_bucket, Bucket=mine)
        copy = dict(Bucket=mine, Key="c", CopySource=f"{other}/k")
        bad(f"{who} copies from elsewhere", refused, key.copy_object, **copy)
    link = reader.generate_presigned_url("get_object", Params={"Bucket": mine, "Key": "k"})
    same("a reader's link", visit(link)[0], 200)
    link = reader.generate_presigned_url("put_object", Params={"Bucket": mine, "Key": "k"})
    same("a reader's link to write", visit(link, "PUT", b"y")[0], 403)
    bad("a reader writes", refused, reader.put_object, Bucket=mine, Key="k", Body=b"y")
    bad("a reader deletes", refused, reader.delete_object, Bucket=mine, Key="k")
    doomed = {"Objects": [{"Key": "k"}]}
    bad("a reader deletes many", refused, reader.delete_objects, Bucket=mine, Delete=doomed)
    bad("a reader begins an upload", refused, reader.create_multipart_upload, Bucket=mine, Key="u")
    versioned = {"Status": "Enabled"}
    bad("a reader changes settings", refused, reader.put_bucket_versioning, Bucket=mine, VersioningConfiguration=versioned)
    ok("a writer writes", writer.put_object, Bucket=mine, Key="w", Body=b"y")
    ok("a writer deletes", writer.delete_object, Bucket=mine, Key="w")
    ok("from bucket to bucket", mixed.copy_object, Bucket=other, Key="c", CopySource=f"{mine}/k")
    bad("not back", refused, mixed.copy_object, Bucket=mine, Key="c", CopySource=f"{other}/k")
    upload = mixed.create_multipart_upload(Bucket=other, Key="p")["UploadId"]
    part = dict(Bucket=other, Key="p", UploadId=upload, PartNumber=1)
    ok("a part from bucket to bucket", mixed.upload_part_copy, CopySource=f"{mine}/k", **part)
    for key in (reading, writing, both):
        forget_key(key)
    bad("a key that was deleted", "InvalidAccessKeyId", reader.get_object, Bucket=mine, Key="k")


def tidy(s3):
    """Whatever this run made goes: a sandbox is left as it was."""
    mine = [b["Name"] for b in s3.list_buckets()["Buckets"] if b["Name"].endswith(RUN)]
    for bucket in mine:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = page.get("Versions", []) + page.get("DeleteMarkers", [])
            doomed = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in found]
            if doomed:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed})
        ok("a bucket goes", s3.delete_bucket, Bucket=bucket)
    left = [b["Name"] for b in s3.list_buckets()["Buckets"] if b["Name"].endswith(RUN)]
    same("nothing is left", left, [])


def main():
    started = time.monotonic()
    full = new_key(("", "fullaccess"))
    s3 = client(full)
    buckets(s3, full)
    bucket = objects(s3)
    checksums(s3, full)
    ranges(s3, bucket)
    conditions(s3, bucket)
    presigned(s3, full, bucket)
    multipart(s3, bucket)
    versions(s3)
    lifecycle(s3)
    cors(s3)
    policies(s3)
    acls(s3)
    pages(s3)
    wrong(s3, full, bucket)
    keys(s3)
    tidy(s3)
    forget_key(full)
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    print(f"{steps} steps, no surprise")


if __name__ == "__main__":
    main()

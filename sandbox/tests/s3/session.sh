#!/usr/bin/env bash
# Two S3 clients nobody here wrote, `aws` (botocore) and `s3cmd`, against the sandbox's Spaces:
# buckets, objects, parts, versions, lifecycle, CORS, policy, ACLs, links, and what is refused.
# Ends at the first surprise.
#
#   DIGITALOCEAN_API_URL       what `kplan sandbox` printed
#   DIGITALOCEAN_ACCESS_TOKEN  its token
#   SPACES_ENDPOINT_URL        its Spaces endpoint
#
# Needs aws, s3cmd, curl and jq. Run it against the sandbox only.
set -euo pipefail

: "${DIGITALOCEAN_API_URL:?where the sandbox is}" "${DIGITALOCEAN_ACCESS_TOKEN:?its token}"
: "${SPACES_ENDPOINT_URL:?where its Spaces are}"
case "$SPACES_ENDPOINT_URL" in
  http://127.0.0.1:* | http://localhost:*) ;;
  *)
    echo "refused: $SPACES_ENDPOINT_URL is not a sandbox" >&2
    exit 2
    ;;
esac

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export HOME="$work" AWS_DEFAULT_REGION=fra1 AWS_PAGER=""
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL
cd "$work"

out=""
fail() {
  printf 'FAILED: %s\n%s\n' "$1" "$out" >&2
  exit 1
}
key_with() {
  curl -fsS -X POST -H "Authorization: Bearer $DIGITALOCEAN_ACCESS_TOKEN" \
    -H 'Content-Type: application/json' "$DIGITALOCEAN_API_URL/v2/spaces/keys" \
    -d "{\"name\":\"judge\",\"grants\":[{\"bucket\":\"$1\",\"permission\":\"$2\"}]}"
}
use() {
  AWS_ACCESS_KEY_ID="$(jq -er .key.access_key <<<"$1")"
  AWS_SECRET_ACCESS_KEY="$(jq -er .key.secret_key <<<"$1")"
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
}
ok() {
  printf '+ %s\n' "$*"
  out="$("$@" 2>&1)" || fail "$*"
}
# `bad <part of the error> <command>`
bad() {
  local says="$1"
  shift
  printf -- '- %s\n' "$*"
  if out="$("$@" 2>&1)"; then fail "$* should have failed with: $says"; fi
  case "$out" in *"$says"*) ;; *) fail "$* should have said: $says" ;; esac
}
is() {
  local found
  found="$(jq -r "$1" <<<"$out")" || fail "jq $1"
  [ "$found" = "$2" ] || fail "$1 is $found, not $2"
}
says() { case "$out" in *"$1"*) ;; *) fail "it should have said: $1" ;; esac }
s3() { aws --endpoint-url "$SPACES_ENDPOINT_URL" s3 "$@"; }
api() { aws --endpoint-url "$SPACES_ENDPOINT_URL" --output json s3api "$@"; }
cmd() {
  s3cmd --access_key="$AWS_ACCESS_KEY_ID" --secret_key="$AWS_SECRET_ACCESS_KEY" --no-ssl \
    --host="${SPACES_ENDPOINT_URL#http://}" --host-bucket="${SPACES_ENDPOINT_URL#http://}" \
    --region=fra1 --no-progress "$@"
}

full="$(key_with "" fullaccess)"
use "$full"
printf 'one\n' >small
head -c 20000000 /dev/zero | tr '\0' 'k' >large

with_aws() {
  ok s3 mb s3://judged
  ok s3 cp small s3://judged/dir/small --no-progress
  # In parts.
  ok s3 cp large s3://judged/large --no-progress
  ok s3 cp s3://judged/large back --no-progress
  cmp large back || fail "a large object came back changed"
  ok api head-object --bucket judged --key dir/small
  is .ContentLength 4
  is .ContentType binary/octet-stream
  ok api list-objects-v2 --bucket judged --prefix dir/ --delimiter /
  is '.Contents | length' 1
  ok api put-bucket-versioning --bucket judged --versioning-configuration Status=Enabled
  printf 'two\n' >small
  ok s3 cp small s3://judged/dir/small --no-progress
  ok s3 rm s3://judged/dir/small
  ok api list-object-versions --bucket judged --prefix dir/
  is '.Versions | length' 2
  is '.DeleteMarkers[0].IsLatest' true
  local old
  ok api list-object-versions --bucket judged --prefix dir/
  old="$(jq -er '.Versions[-1].VersionId' <<<"$out")"
  ok api get-object --bucket judged --key dir/small --version-id "$old" was
  [ "$(cat was)" = one ] || fail "the first version is gone"
  ok api put-bucket-lifecycle-configuration --bucket judged --lifecycle-configuration \
    '{"Rules":[{"ID":"x","Status":"Enabled","Filter":{"Prefix":"logs/"},"Expiration":{"Days":3}}]}'
  ok api get-bucket-lifecycle-configuration --bucket judged
  is '.Rules[0].Expiration.Days' 3
  ok api delete-bucket-lifecycle --bucket judged
  bad NoSuchLifecycleConfiguration api get-bucket-lifecycle-configuration --bucket judged
  ok api put-bucket-cors --bucket judged --cors-configuration \
    '{"CORSRules":[{"AllowedMethods":["GET"],"AllowedOrigins":["*"]}]}'
  ok api get-bucket-cors --bucket judged
  is '.CORSRules[0].AllowedMethods[0]' GET
  ok api put-bucket-policy --bucket judged --policy '{"Version":"2012-10-17","Statement":[]}'
  ok api get-bucket-policy --bucket judged
  ok api delete-bucket-policy --bucket judged
  bad NoSuchBucketPolicy api get-bucket-policy --bucket judged
  ok api put-bucket-acl --bucket judged --acl public-read
  ok api get-bucket-acl --bucket judged
  is '[.Grants[].Permission] | join(",")' FULL_CONTROL,READ
  ok api put-object-acl --bucket judged --key large --acl public-read
  ok curl -fsS -o public "$SPACES_ENDPOINT_URL/judged/large"
  ok api get-bucket-location --bucket judged
  is .LocationConstraint fra1
  ok api copy-object --bucket judged --key copy --copy-source judged/large
  ok s3 presign s3://judged/copy
  ok curl -fsS -o public "$out"
  cmp large public || fail "a link led to something else"
  ok api create-multipart-upload --bucket judged --key never
  local upload
  upload="$(jq -er .UploadId <<<"$out")"
  ok api list-multipart-uploads --bucket judged
  is '.Uploads | length' 1
  ok api abort-multipart-upload --bucket judged --key never --upload-id "$upload"
  bad NoSuchBucket s3 ls s3://nobody-has-this
  bad BucketAlreadyOwnedByYou s3 mb s3://judged
  bad InvalidBucketName s3 mb s3://Bad_Name
  bad BucketNotEmpty s3 rb s3://judged
  bad NotImplemented api put-object-tagging --bucket judged --key copy --tagging 'TagSet=[{Key=a,Value=b}]'
  bad SignatureDoesNotMatch env AWS_SECRET_ACCESS_KEY=wrong \
    aws --endpoint-url "$SPACES_ENDPOINT_URL" s3 ls s3://judged
}

grants() {
  local reader
  reader="$(key_with judged read)"
  use "$reader"
  ok s3 cp s3://judged/copy back --no-progress
  bad AccessDenied s3 cp small s3://judged/small --no-progress
  bad AccessDenied s3 ls s3://other
  bad AccessDenied api get-bucket-acl --bucket judged
  bad AccessDenied s3 mb s3://mine
  use "$full"
}

with_s3cmd() {
  ok cmd mb s3://judged2
  ok cmd put small s3://judged2/a/small
  ok cmd put large s3://judged2/large
  ok cmd ls -r s3://judged2
  says s3://judged2/a/small
  ok cmd get --force s3://judged2/large back
  cmp large back || fail "s3cmd got something else"
  ok cmd info s3://judged2/a/small
  ok cmd setacl --acl-public s3://judged2/a/small
  ok curl -fsS "$SPACES_ENDPOINT_URL/judged2/a/small"
  says two
  ok cmd setacl --acl-private s3://judged2/a/small
  bad 403 curl -fsS "$SPACES_ENDPOINT_URL/judged2/a/small"
  ok cmd cp s3://judged2/a/small s3://judged2/b
  ok cmd mv s3://judged2/b s3://judged2/c
  ok cmd expire --expiry-days=3 s3://judged2
  ok cmd getlifecycle s3://judged2
  says '<Days>3</Days>'
  ok cmd dellifecycle s3://judged2
  ok cmd sync small s3://judged2/sync/
  ok cmd du s3://judged2
  bad NoSuchBucket cmd ls s3://nobody-has-this
  bad BucketNotEmpty cmd rb s3://judged2
  ok cmd del --recursive --force s3://judged2
  ok cmd rb s3://judged2
}

with_aws
grants
with_s3cmd
printf '\nno surprise\n'

#!/usr/bin/env bash
# Two S3 clients nobody here wrote, `aws` (botocore) and `s3cmd`, against the sandbox's Spaces:
# buckets, objects, parts, tags, versions, lifecycle, CORS, policy, ACLs, links, and what is
# refused. Ends at the first surprise; leaves nothing behind when there was none.
#
#   DIGITALOCEAN_API_URL       what `kplan sandbox` printed
#   DIGITALOCEAN_ACCESS_TOKEN  its token
#   SPACES_ENDPOINT_URL        its Spaces endpoint
#
# Needs aws, s3cmd, curl and jq. Run it against the sandbox only.
set -euo pipefail

: "${DIGITALOCEAN_API_URL:?where the sandbox is}" "${DIGITALOCEAN_ACCESS_TOKEN:?its token}"
: "${SPACES_ENDPOINT_URL:?where its Spaces are}"
for url in "$DIGITALOCEAN_API_URL" "$SPACES_ENDPOINT_URL"; do
  case "$url" in
    http://127.0.0.1:* | http://localhost:*) ;;
    *)
      echo "refused: $url is not a sandbox" >&2
      exit 2
      ;;
  esac
done

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export HOME="$work" AWS_DEFAULT_REGION=fra1 AWS_PAGER=""
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL HTTP_PROXY http_proxy
cd "$work"

# Names of deleted buckets cannot be used again.
one="judged-$$-$RANDOM" two="judged-too-$$-$RANDOM"
at="$SPACES_ENDPOINT_URL/$one" at_two="$SPACES_ENDPOINT_URL/$two"

out="" steps=0
fail() {
  printf 'FAILED: %s\n%s\n' "$1" "$out" >&2
  exit 1
}
key_with() {
  curl -fsS -X POST -H "Authorization: Bearer $DIGITALOCEAN_ACCESS_TOKEN" \
    -H 'Content-Type: application/json' "$DIGITALOCEAN_API_URL/v2/spaces/keys" \
    -d "{\"name\":\"judge\",\"grants\":[{\"bucket\":\"$1\",\"permission\":\"$2\"}]}"
}
forget_key() {
  curl -fsS -X DELETE -H "Authorization: Bearer $DIGITALOCEAN_ACCESS_TOKEN" \
    "$DIGITALOCEAN_API_URL/v2/spaces/keys/$1"
}
use() {
  AWS_ACCESS_KEY_ID="$(jq -er .key.access_key <<<"$1")"
  AWS_SECRET_ACCESS_KEY="$(jq -er .key.secret_key <<<"$1")"
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
}
ok() {
  steps=$((steps + 1))
  printf '+ %s\n' "$*"
  out="$("$@" 2>&1)" || fail "$*"
}
# `bad <part of the error> <command>`
bad() {
  steps=$((steps + 1))
  local says="$1"
  shift
  printf -- '- %s\n' "$*"
  if out="$("$@" 2>&1)"; then fail "$* should have failed with: $says"; fi
  case "$out" in *"$says"*) ;; *) fail "$* should have said: $says" ;; esac
}
is() {
  steps=$((steps + 1))
  local found
  found="$(jq -r "$1" <<<"$out")" || fail "jq $1"
  [ "$found" = "$2" ] || fail "$1 is $found, not $2"
}
says() {
  steps=$((steps + 1))
  case "$out" in *"$1"*) ;; *) fail "it should have said: $1" ;; esac
}
# `status <expected> <curl's arguments>`
status() {
  steps=$((steps + 1))
  local wanted="$1"
  shift
  printf '? %s\n' "$*"
  out="$(curl -sS -o answer -w '%{http_code}' "$@")" || fail "curl $*"
  [ "$out" = "$wanted" ] || fail "$* answered $out, not $wanted: $(cat answer)"
}
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
everybody='uri="http://acs.amazonaws.com/groups/global/AllUsers"'

objects_with_aws() {
  ok s3 mb "s3://$one"
  ok s3 cp small "s3://$one/dir/small" --no-progress
  # In parts.
  ok s3 cp large "s3://$one/large" --no-progress
  ok s3 cp "s3://$one/large" back --no-progress
  cmp large back || fail "a large object came back changed"
  ok api head-object --bucket "$one" --key dir/small
  is .ContentLength 4
  is .ContentType binary/octet-stream
  ok s3 cp small "s3://$one/said" --no-progress --content-type text/plain --cache-control no-cache \
    --metadata a=b,c=d --storage-class STANDARD --expires 2031-05-06T07:08:09Z
  ok api head-object --bucket "$one" --key said
  is .ContentType text/plain
  is .CacheControl no-cache
  is '.Metadata | .a + .c' bd
  ok api get-object --bucket "$one" --key large --range bytes=5-9 some
  is .ContentRange bytes\ 5-9/20000000
  [ "$(cat some)" = kkkkk ] || fail "another range"
  bad InvalidRange api get-object --bucket "$one" --key said --range bytes=9- some
  bad PreconditionFailed api put-object --bucket "$one" --key said --body small --if-none-match '*'
  bad PreconditionFailed api copy-object --bucket "$one" --key x --copy-source "$one/said" \
    --copy-source-if-match '"0"'
  bad InvalidRequest api copy-object --bucket "$one" --key said --copy-source "$one/said"
  ok api copy-object --bucket "$one" --key said --copy-source "$one/said" \
    --metadata-directive REPLACE --metadata e=f
  ok api head-object --bucket "$one" --key said
  is '.Metadata | tojson' '{"e":"f"}'
  ok api put-object-tagging --bucket "$one" --key said --tagging 'TagSet=[{Key=a,Value=b}]'
  ok api get-object-tagging --bucket "$one" --key said
  is '.TagSet | tojson' '[{"Key":"a","Value":"b"}]'
  ok api delete-object-tagging --bucket "$one" --key said
  ok api put-object --bucket "$one" --key sum --body small --checksum-algorithm SHA256
  bad BadDigest api put-object --bucket "$one" --key sum --body small --content-md5 1B2M2Y8AsgTpgAmY7PhCfg==
  bad InvalidStorageClass s3 cp small "s3://$one/x" --no-progress --storage-class GLACIER
  bad NotImplemented s3 cp small "s3://$one/x" --no-progress --sse AES256
  ok api list-objects-v2 --bucket "$one" --prefix dir/ --delimiter /
  is '.Contents | length' 1
  ok api list-objects --bucket "$one" --page-size 2 --query 'length(Contents)'
  is . 4
  mkdir -p tree/below
  for file in a b below/c; do printf '%s\n' "$file" >"tree/$file"; done
  ok s3 sync tree "s3://$one/tree" --no-progress
  ok s3 sync "s3://$one/tree" copied --no-progress
  diff -r tree copied || fail "a tree came back changed"
  ok s3 mv "s3://$one/tree/a" "s3://$one/tree/z"
  ok s3 ls "s3://$one/tree/"
  says ' z'
  ok s3 ls --recursive --summarize "s3://$one/tree/"
  says 'Total Objects: 3'
  ok s3 rm --recursive "s3://$one/tree/"
  bad NoSuchKey api get-object --bucket "$one" --key tree/z some
  ok api delete-objects --bucket "$one" --delete 'Objects=[{Key=sum},{Key=never}]'
  is '.Deleted | length' 2
}

parts_with_aws() {
  local upload first second
  ok api create-multipart-upload --bucket "$one" --key parts
  upload="$(jq -er .UploadId <<<"$out")"
  ok api upload-part-copy --bucket "$one" --key parts --upload-id "$upload" --part-number 1 \
    --copy-source "$one/large" --copy-source-range bytes=0-5242879
  first="$(jq -er .CopyPartResult.ETag <<<"$out")"
  ok api upload-part --bucket "$one" --key parts --upload-id "$upload" --part-number 2 --body small
  second="$(jq -er .ETag <<<"$out")"
  ok api list-parts --bucket "$one" --key parts --upload-id "$upload" --page-size 1
  is '.Parts | length' 2
  bad InvalidRange api upload-part-copy --bucket "$one" --key parts --upload-id "$upload" \
    --part-number 3 --copy-source "$one/large" --copy-source-range bytes=0-20000000
  jq -n --argjson a "$first" --argjson b "$second" \
    '{Parts: [{PartNumber: 1, ETag: $a}, {PartNumber: 2, ETag: $b}]}' >parts.json
  ok api complete-multipart-upload --bucket "$one" --key parts --upload-id "$upload" \
    --multipart-upload file://parts.json
  ok api head-object --bucket "$one" --key parts
  is .ContentLength 5242884
  ok api create-multipart-upload --bucket "$one" --key never
  upload="$(jq -er .UploadId <<<"$out")"
  ok api list-multipart-uploads --bucket "$one"
  is '.Uploads | length' 1
  ok api abort-multipart-upload --bucket "$one" --key never --upload-id "$upload"
  bad NoSuchUpload api list-parts --bucket "$one" --key never --upload-id "$upload"
}

versions_with_aws() {
  local old
  ok api put-bucket-versioning --bucket "$one" --versioning-configuration Status=Enabled
  printf 'two\n' >small
  ok s3 cp small "s3://$one/dir/small" --no-progress
  ok s3 rm "s3://$one/dir/small"
  ok api list-object-versions --bucket "$one" --prefix dir/
  is '.Versions | length' 2
  is '.DeleteMarkers[0].IsLatest' true
  old="$(jq -er '.Versions[-1].VersionId' <<<"$out")"
  ok api get-object --bucket "$one" --key dir/small --version-id "$old" was
  [ "$(cat was)" = one ] || fail "the first version is gone"
  ok api list-object-versions --bucket "$one" --delimiter /
  is '.CommonPrefixes[0].Prefix' dir/
}

settings_with_aws() {
  ok api put-bucket-lifecycle-configuration --bucket "$one" --lifecycle-configuration \
    '{"Rules":[{"ID":"x","Status":"Enabled","Filter":{"Prefix":"logs/"},"Expiration":{"Days":3}}]}'
  ok api get-bucket-lifecycle-configuration --bucket "$one"
  is '.Rules[0].Expiration.Days' 3
  ok api delete-bucket-lifecycle --bucket "$one"
  bad NoSuchLifecycleConfiguration api get-bucket-lifecycle-configuration --bucket "$one"
  ok api get-bucket-location --bucket "$one"
  is .LocationConstraint fra1
  ok api put-bucket-cors --bucket "$one" --cors-configuration \
    '{"CORSRules":[{"AllowedMethods":["GET"],"AllowedOrigins":["https://*.example.com"]}]}'
  ok api get-bucket-cors --bucket "$one"
  is '.CORSRules[0].AllowedMethods[0]' GET
  local ask=(-X OPTIONS -H 'Access-Control-Request-Method: GET')
  status 200 "${ask[@]}" -H 'Origin: https://www.example.com' "$at/large"
  status 403 "${ask[@]}" -H 'Origin: https://example.org' "$at/large"
  ok curl -sS -o answer -D - -H 'Origin: https://www.example.com' "$at/large"
  says 'access-control-allow-origin: https://www.example.com'
  ok api delete-bucket-cors --bucket "$one"
  bad NoSuchCORSConfiguration api get-bucket-cors --bucket "$one"
}

access_with_aws() {
  status 403 "$at/large"
  ok api put-bucket-policy --bucket "$one" --policy "{\"Version\":\"2012-10-17\",\"Statement\":[
    {\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::$one/l*\"},
    {\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::$one/said\"}]}"
  status 200 "$at/large"
  status 403 "$at/parts"
  bad AccessDenied api get-object --bucket "$one" --key said some
  ok api get-bucket-policy --bucket "$one"
  bad NotImplemented api put-bucket-policy --bucket "$one" --policy '{"Version":"2012-10-17","Statement":
    [{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"*","Condition":{"StringLike":{"s3:prefix":"a*"}}}]}'
  bad MalformedPolicy api put-bucket-policy --bucket "$one" --policy '{"Version":"2012-10-17"}'
  ok api delete-bucket-policy --bucket "$one"
  bad NoSuchBucketPolicy api get-bucket-policy --bucket "$one"
  ok api get-object --bucket "$one" --key said some
  status 403 "$at?list-type=2"
  ok api put-bucket-acl --bucket "$one" --acl public-read
  status 200 "$at?list-type=2"
  ok api get-bucket-acl --bucket "$one"
  is '[.Grants[].Permission] | join(",")' FULL_CONTROL,READ
  ok api put-bucket-acl --bucket "$one" --acl private
  status 403 "$at?list-type=2"
  ok api put-object-acl --bucket "$one" --key large --acl public-read
  status 200 "$at/large"
  ok api put-object-acl --bucket "$one" --key large --acl private
  status 403 "$at/large"
  ok api put-object-acl --bucket "$one" --key large --grant-read "$everybody"
  status 200 "$at/large"
  bad NotImplemented api put-object-acl --bucket "$one" --key large --grant-write-acp "$everybody"
  ok s3 cp small "s3://$one/open" --no-progress --acl public-read
  status 200 "$at/open"
  ok api copy-object --bucket "$one" --key copy --copy-source "$one/large"
  status 403 "$at/copy"
  ok s3 presign "s3://$one/copy"
  ok curl -fsS -o public "$out"
  cmp large public || fail "a link led to something else"
}

refused_with_aws() {
  bad NoSuchBucket s3 ls "s3://nobody-has-this-$$"
  bad BucketAlreadyOwnedByYou s3 mb "s3://$one"
  bad InvalidBucketName s3 mb s3://Bad_Name
  bad BucketNotEmpty s3 rb "s3://$one"
  bad NoSuchBucket s3 ls "s3://$one" --region ams3
  bad InvalidLocationConstraint s3 mb "s3://elsewhere-$$" --region mars1
  bad SignatureDoesNotMatch env AWS_SECRET_ACCESS_KEY=wrong \
    aws --endpoint-url "$SPACES_ENDPOINT_URL" s3 ls "s3://$one"
  bad InvalidAccessKeyId env AWS_ACCESS_KEY_ID=DO00000000000000000 \
    aws --endpoint-url "$SPACES_ENDPOINT_URL" s3 ls "s3://$one"
  bad AccessDenied s3 ls "s3://$one" --no-sign-request
  local call
  for call in get-bucket-website get-bucket-logging get-bucket-tagging get-bucket-encryption; do
    bad NotImplemented api "$call" --bucket "$one"
  done
}

grants() {
  local reader
  reader="$(key_with "$one" read)"
  use "$reader"
  ok s3 cp "s3://$one/copy" back --no-progress
  bad AccessDenied s3 cp small "s3://$one/small" --no-progress
  bad AccessDenied s3 rm "s3://$one/copy"
  bad AccessDenied s3 ls s3://other
  bad AccessDenied api get-bucket-acl --bucket "$one"
  bad AccessDenied s3 mb "s3://mine-$$"
  ok forget_key "$AWS_ACCESS_KEY_ID"
  bad InvalidAccessKeyId s3 ls "s3://$one"
  use "$full"
}

with_s3cmd() {
  ok cmd mb "s3://$two"
  ok cmd put small "s3://$two/a/small" --add-header=x-amz-meta-a:b --mime-type=text/plain
  ok cmd put large "s3://$two/large"
  ok cmd ls -r "s3://$two"
  says "s3://$two/a/small"
  ok cmd get --force "s3://$two/large" back
  cmp large back || fail "s3cmd got something else"
  ok cmd info "s3://$two/a/small"
  says 'MIME type: text/plain'
  says 'x-amz-meta-a: b'
  ok cmd modify "s3://$two/a/small" --add-header=cache-control:no-cache
  ok cmd settagging "s3://$two/a/small" 'k=v'
  ok cmd gettagging "s3://$two/a/small"
  says v
  ok cmd deltagging "s3://$two/a/small"
  ok cmd setacl --acl-public "s3://$two/a/small"
  ok curl -fsS "$at_two/a/small"
  says two
  ok cmd setacl --acl-private "s3://$two/a/small"
  status 403 "$at_two/a/small"
  ok cmd setacl --acl-public "s3://$two"
  status 200 "$at_two"
  ok cmd setacl --acl-private "s3://$two"
  status 403 "$at_two"
  printf '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/*"}]}' \
    "$two" >policy.json
  ok cmd setpolicy policy.json "s3://$two"
  status 200 "$at_two/a/small"
  ok cmd info "s3://$two"
  says 's3:GetObject'
  ok cmd delpolicy "s3://$two"
  status 403 "$at_two/a/small"
  printf '<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PUT</AllowedMethod></CORSRule></CORSConfiguration>' \
    >cors.xml
  ok cmd setcors cors.xml "s3://$two"
  status 200 -X OPTIONS -H 'Origin: http://a' -H 'Access-Control-Request-Method: PUT' "$at_two/a"
  ok cmd delcors "s3://$two"
  status 403 -X OPTIONS -H 'Origin: http://a' -H 'Access-Control-Request-Method: PUT' "$at_two/a"
  ok cmd cp "s3://$two/a/small" "s3://$two/b"
  ok cmd mv "s3://$two/b" "s3://$two/c"
  # Copied in parts.
  ok cmd --multipart-chunk-size-mb=5 cp "s3://$two/large" "s3://$two/large-too"
  ok cmd get --force "s3://$two/large-too" back
  cmp large back || fail "s3cmd copied something else"
  ok cmd expire --expiry-days=3 "s3://$two"
  ok cmd getlifecycle "s3://$two"
  says '<Days>3</Days>'
  ok cmd dellifecycle "s3://$two"
  ok cmd setversioning "s3://$one" disable
  ok cmd setversioning "s3://$one" enable
  ok cmd sync small "s3://$two/sync/"
  ok cmd du "s3://$two"
  ok cmd multipart "s3://$two"
  bad NotImplemented cmd --signature-v2 ls "s3://$two"
  bad NotImplemented cmd ws-create "s3://$two"
  bad NotImplemented cmd accesslog "s3://$two"
  bad NoSuchBucket cmd ls "s3://nobody-has-this-$$"
  bad BucketNotEmpty cmd rb "s3://$two"
  ok cmd del --recursive --force "s3://$two"
  ok cmd rb "s3://$two"
}

nothing_is_left() {
  ok api list-object-versions --bucket "$one"
  jq '{Quiet: true, Objects: [(.Versions, .DeleteMarkers)[]? | {Key, VersionId}]}' <<<"$out" >doomed.json
  ok api delete-objects --bucket "$one" --delete file://doomed.json
  ok s3 rb "s3://$one"
  bad NoSuchBucket s3 ls "s3://$one"
  ok forget_key "$AWS_ACCESS_KEY_ID"
}

objects_with_aws
parts_with_aws
versions_with_aws
settings_with_aws
access_with_aws
refused_with_aws
grants
with_s3cmd
nothing_is_left
printf '\n%s steps, no surprise\n' "$steps"

#!/usr/bin/env bash
# Terraform with DigitalOcean's own provider against the sandbox: plan, apply, an empty second
# plan, changes in place, changes that replace, import, destroy; then nothing is left.
#
#   DIGITALOCEAN_API_URL  what `kplan sandbox` printed
#   DIGITALOCEAN_TOKEN    its token
#   SPACES_ENDPOINT_URL   its Spaces endpoint
#
# Needs terraform, curl, jq, openssl and ssh-keygen. Where the provider comes from is Terraform's
# matter: set TF_CLI_CONFIG_FILE to a file with a mirror, or let it download.
# Run it against the sandbox only: it makes and destroys resources.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
: "${DIGITALOCEAN_API_URL:?where the sandbox is}" "${DIGITALOCEAN_TOKEN:?its token}"
: "${SPACES_ENDPOINT_URL:?where its Spaces are}"
case "$DIGITALOCEAN_API_URL" in
  http://127.0.0.1:* | http://localhost:*) ;;
  *)
    echo "refused: $DIGITALOCEAN_API_URL is not a sandbox" >&2
    exit 2
    ;;
esac

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp "$here/main.tf" "$work"
cd "$work"

part() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }
fail() {
  printf 'FAILED: %s\n' "$1" >&2
  exit 1
}

api() {
  local method="$1" path="$2"
  shift 2
  curl -fsS -X "$method" -H "Authorization: Bearer $DIGITALOCEAN_TOKEN" \
    -H 'Content-Type: application/json' "$@" "$DIGITALOCEAN_API_URL$path"
}

part "a key for Spaces, certificates, an SSH key"
api POST /v2/spaces/keys \
  -d '{"name":"terraform","grants":[{"bucket":"","permission":"fullaccess"}]}' >key.json
SPACES_ACCESS_KEY_ID="$(jq -er .key.access_key key.json)"
SPACES_SECRET_ACCESS_KEY="$(jq -er .key.secret_key key.json)"
export SPACES_ACCESS_KEY_ID SPACES_SECRET_ACCESS_KEY
# The provider always puts a bucket's name into the host: <bucket>.<region>.digitaloceanspaces.com.
# As the proxy of plain HTTP the sandbox gets these requests; signatures cover the host.
export HTTP_PROXY="$SPACES_ENDPOINT_URL"
unset HTTPS_PROXY https_proxy http_proxy NO_PROXY no_proxy
for n in 0 1; do
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$n.key" -out "$n.crt" -days 30 \
    -subj /CN=tf.example.com -addext subjectAltName=DNS:tf.example.com 2>/dev/null
done
ssh-keygen -q -t ed25519 -N '' -C terraform -f ssh
jq -n --rawfile key ssh.pub --rawfile k0 0.key --rawfile c0 0.crt --rawfile k1 1.key \
  --rawfile c1 1.crt --arg api "$DIGITALOCEAN_API_URL" '{
    api_endpoint: $api,
    public_key: ($key | rtrimstr("\n")),
    tls: [{ key: $k0, certificate: $c0 }, { key: $k1, certificate: $c1 }]
  }' >terraform.tfvars.json

export TF_IN_AUTOMATION=1
terraform init -input=false -no-color >init.log || {
  cat init.log >&2
  fail "terraform init"
}
terraform validate -no-color

# `stage <number> <what the plan must add, change, destroy>`: plans, applies, and plans again.
stage() {
  local number="$1" expected="$2" summary
  part "stage $number: plan"
  terraform plan -input=false -no-color -var "stage=$number" -out plan >plan.log ||
    { cat plan.log >&2 && fail "plan of stage $number"; }
  summary="$(grep '^Plan: ' plan.log || true)"
  printf '%s\n' "$summary"
  [ "$summary" = "Plan: $expected." ] || {
    cat plan.log >&2
    fail "stage $number should have planned $expected"
  }
  part "stage $number: apply"
  terraform apply -input=false -no-color plan >apply.log ||
    { tail -n 60 apply.log >&2 && fail "apply of stage $number"; }
  grep '^Apply complete' apply.log
  no_changes "$number"
}

no_changes() {
  part "stage $1: nothing is left to change"
  terraform plan -input=false -no-color -detailed-exitcode -var "stage=$1" >again.log || {
    cat again.log >&2
    fail "stage $1 is not what was applied"
  }
  grep '^No changes' again.log
}

stage 1 "44 to add, 0 to change, 0 to destroy"
stage 2 "0 to add, 20 to change, 0 to destroy"
stage 3 "8 to add, 2 to change, 8 to destroy"

part "import"
# `id_of <resource>`
id_of() { terraform state show -no-color "$1" | sed -n 's/^ *id *= "\(.*\)"$/\1/p'; }
: >import.log
# Not a volume: the provider cannot read how it was formatted, and would replace it.
for resource in digitalocean_vpc.net digitalocean_loadbalancer.by_id; do
  id="$(id_of "$resource")"
  terraform state rm "$resource"
  terraform import -input=false -no-color -var stage=3 "$resource" "$id" >>import.log ||
    { cat import.log >&2 && fail "import of $resource"; }
done
[ "$(grep -c '^Import successful' import.log)" = 2 ] || fail "two resources should be imported"
no_changes 3

part "destroy"
terraform destroy -input=false -no-color -auto-approve -var stage=3 >destroy.log ||
  { tail -n 60 destroy.log >&2 && fail "destroy"; }
grep '^Destroy complete' destroy.log
api DELETE "/v2/spaces/keys/$SPACES_ACCESS_KEY_ID"

part "nothing is left"
# What `kplan sandbox inspect` shows.
tries=0
until api GET /_sandbox/inspect >left.json && jq -e '.resources == {}' left.json >/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -lt 20 ] || {
    cat left.json >&2
    fail "resources are left"
  }
  sleep 0.5
done
cat left.json
printf '\nno surprise in %ss\n' "$SECONDS"

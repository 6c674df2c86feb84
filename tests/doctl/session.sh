#!/usr/bin/env bash
# doctl, DigitalOcean's own command line, against the sandbox: every family of the API it
# simulates, with right and wrong input. Ends at the first answer doctl or this script did not
# expect.
#
#   DIGITALOCEAN_API_URL       what `kplan sandbox` printed
#   DIGITALOCEAN_ACCESS_TOKEN  its token
#
# Needs doctl, jq and openssl. Run it against the sandbox only: it makes and destroys resources.
set -euo pipefail

: "${DIGITALOCEAN_API_URL:?where the sandbox is}" "${DIGITALOCEAN_ACCESS_TOKEN:?its token}"
case "$DIGITALOCEAN_API_URL" in
  http://127.0.0.1:* | http://localhost:*) ;;
  *)
    echo "refused: $DIGITALOCEAN_API_URL is not a sandbox" >&2
    exit 2
    ;;
esac

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# doctl reads a person's own settings otherwise.
export HOME="$work" XDG_CONFIG_HOME="$work"

out=""
steps=0

fail() {
  printf 'FAILED after %s steps: %s\n%s\n' "$steps" "$1" "$out" >&2
  exit 1
}

# `ok <words of doctl>`: it succeeds; `$out` is what it printed, as JSON.
ok() {
  steps=$((steps + 1))
  printf '+ doctl %s\n' "$*"
  # Notices are not part of the answer.
  out="$(doctl --output json "$@" 2>"$work/notes")" || {
    out="$out$(cat "$work/notes")"
    fail "doctl $*"
  }
}

# `bad <part of the error> <words of doctl>`: it fails and says so.
bad() {
  local says="$1"
  shift
  steps=$((steps + 1))
  printf -- '- doctl %s\n' "$*"
  if out="$(doctl "$@" 2>&1)"; then
    fail "doctl $* should have failed with: $says"
  fi
  case "$out" in
    *"$says"*) ;;
    *) fail "doctl $* should have said: $says" ;;
  esac
}

# `is <jq filter> <value>`: what the filter finds in `$out`.
is() {
  local found
  found="$(jq -r "$1" <<<"$out")" || fail "jq $1"
  [ "$found" = "$2" ] || fail "$1 is $found, not $2"
}

# `get <jq filter>`: prints a value that must be there.
get() {
  jq -er "$1" <<<"$out" || fail "no $1"
}

# `until_is <jq filter> <value> <words of doctl>`: asks until the value is there.
until_is() {
  local filter="$1" value="$2" tries=0
  shift 2
  while :; do
    ok "$@"
    [ "$(jq -r "$filter" <<<"$out")" = "$value" ] && return
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || fail "$filter never became $value"
    sleep 0.1
  done
}

region=fra1
size=s-1vcpu-1gb
image=ubuntu-24-04-x64

part() { printf '\n== %s\n' "$1"; }

the_account() {
  part "account, regions, sizes, images"
  ok account get
  is '.status' active
  is '.email_verified' true
  ok account ratelimit
  is '.limit' 5000
  ok compute region list
  is '[.[] | select(.slug == "fra1" and .available)] | length' 1
  ok compute size list
  is '[.[] | select(.slug == "s-1vcpu-1gb")][0].price_monthly' 6
  ok compute image list --public
  is '[.[] | select(.public | not)] | length' 0
  ok compute image list-distribution --public
  is '[.[] | select(.slug == "ubuntu-24-04-x64")] | length' 1
  local number
  number="$(get '[.[] | select(.slug == "ubuntu-24-04-x64")][0].id')"
  ok compute image list-application --public
  is 'length' 0
  ok compute image list-user
  is 'length' 0
  ok compute image get "$image"
  is '.[0].id' "$number"
  ok compute image get "$number"
  is '.[0].slug' "$image"
  bad ": 404 " compute image get plan9
  bad ": 501 " compute image update "$number" --image-name other
  bad ": 501 " compute image delete "$number" --force
  bad ": 501 " compute image create own --image-url http://example.com/own.img --region "$region"
  bad ": 404 " compute image-action get "$number" --action-id 1
  bad ": 501 " compute image-action transfer "$number" --region ams3
  bad "not a snapshot" compute snapshot get "$number"
  bad ": 401 " --access-token wrong account get
}

vpcs() {
  part "VPCs"
  ok vpcs create --name judged --region "$region" --ip-range 10.77.0.0/20 --description first
  vpc="$(get '.[0].id')"
  is '.[0].urn' "do:vpc:$vpc"
  is '.[0].default // false' false
  ok vpcs update "$vpc" --name judged.net --description second
  is '.[0].name' judged.net
  ok vpcs get "$vpc"
  is '.[0].description' second
  is '.[0].ip_range' 10.77.0.0/20
  ok vpcs list
  is "[.[] | select(.id == \"$vpc\")] | length" 1
  is '[.[] | select(.default)] | length > 0' true
  local default
  default="$(get "[.[] | select(.region == \"$region\" and .default)][0].id")"
  bad ": 403 " vpcs delete "$default" --force
  # A region's default moves, and cannot be given up.
  ok vpcs update "$vpc" --default
  is '.[0].default' true
  ok vpcs get "$default"
  is '.[0].default // false' false
  ok vpcs update "$default" --default
  bad ": 422 " vpcs update "$vpc" --name default-fra1
  bad ": 501 " vpcs peerings list --vpc-id "$vpc"
  bad ": 422 " vpcs create --name judged.net --region "$region"
  bad "overlaps" vpcs create --name other --region "$region" --ip-range 10.77.4.0/24
  bad ": 422 " vpcs create --name other --region "$region" --ip-range 8.8.8.0/24
  bad ": 422 " vpcs create --name other --region nowhere
  bad ": 404 " vpcs get 11111111-2222-4333-8444-555555555555
}

tags_and_keys() {
  part "tags and SSH keys"
  ok compute tag create judged
  is '.[0].name' judged
  ok compute tag create JUDGED
  is '.[0].name' judged
  ok compute tag get judged
  is '.[0].resources.images.count // 0' 0
  # A path has to spell a tag the way it was made.
  bad ": 404 " compute tag get JUDGED
  bad ": 400 " compute tag create 'not a tag'
  bad ": 404 " compute tag get nobody
  ssh-keygen -q -t ed25519 -N '' -C judge -f "$work/key"
  ok compute ssh-key create judge --public-key "$(cat "$work/key.pub")"
  key="$(get '.[0].id')"
  local print
  print="$(get '.[0].fingerprint')"
  [ "$print" = "$(ssh-keygen -E md5 -lf "$work/key.pub" | sed 's/^[0-9]* MD5:\([^ ]*\) .*/\1/')" ] ||
    fail "the fingerprint is not ssh-keygen's"
  bad "already in use" compute ssh-key import judge2 --public-key-file "$work/key.pub"
  bad "Key invalid" compute ssh-key create broken --public-key 'ssh-ed25519 AAAA'
  ok compute ssh-key update "$key" --key-name judge-1
  ok compute ssh-key get "$print"
  is '.[0].name' judge-1
  ok compute ssh-key list
  is "[.[] | select(.id == $key)] | length" 1
  bad ": 404 " compute ssh-key get 1
}

# Waits for a droplet's next event to end.
settled() { until_is '.[0].locked // false' false compute droplet get "$1"; }

act() {
  local droplet="$1" action
  shift
  ok compute droplet-action "$@"
  is '.[0].resource_id' "$droplet"
  action="$(get '.[0].id')"
  until_is '.[0].status' completed compute action get "$action"
  settled "$droplet"
}

droplets() {
  part "droplets"
  ok compute droplet create web-1 --region "$region" --size "$size" --image "$image" \
    --vpc-uuid "$vpc" --ssh-keys "$key" --tag-names judged,fresh --user-data '#cloud-config' \
    --enable-monitoring --enable-ipv6 --droplet-agent
  web="$(get '.[0].id')"
  is '.[0].status' new
  # DigitalOcean says so only to those who ask again.
  is '.[0].locked // false' false
  until_is '.[0].status' active compute droplet get "$web"
  is '[.[0].networks.v4[] | .type] | sort | join(",")' private,public
  is '.[0].networks.v6 | length' 1
  is '.[0].vpc_uuid' "$vpc"
  is '.[0].size_slug' "$size"
  is '.[0].image.slug' "$image"
  is '.[0].tags | sort | join(",")' fresh,judged
  is '[.[0].features[]] | contains(["ipv6", "monitoring", "droplet_agent"])' true
  ok compute droplet create db-1 db-2 --region "$region" --size "$size" --image debian-12-x64 \
    --tag-names pool --wait
  is '[.[] | .status] | unique | join(",")' active
  db="$(get '[.[] | select(.name == "db-1")][0].id')"
  ok compute droplet list
  is 'length' 3
  ok compute droplet list --tag-name pool
  is '[.[] | .name] | sort | join(",")' db-1,db-2
  ok compute droplet list 'web*'
  is '.[0].id' "$web"
  ok compute droplet list --region ams3
  is 'length' 0
  ok compute droplet list --gpus
  is 'length' 0
  ok compute droplet get web-1
  is '.[0].id' "$web"
  bad ": 404 " compute droplet tag "$web" --tag-name extra
  ok compute tag create extra
  ok compute droplet tag "$web" --tag-name extra
  ok compute droplet get "$web"
  is '.[0].tags | sort | join(",")' extra,fresh,judged
  ok compute droplet untag "$web" --tag-name extra
  ok compute droplet neighbors "$web"
  ok compute droplet backups "$web"
  is 'length' 0
  bad ": 501 " compute droplet kernels "$web"
  bad ": 501 " compute droplet 1-click list
  bad "invalid size" compute droplet create x --region "$region" --size s-9 --image "$image"
  bad "invalid image" compute droplet create x --region "$region" --size "$size" --image 1
  bad "invalid region" compute droplet create x --region nowhere --size "$size" --image "$image"
  bad "hostname" compute droplet create a_b --region "$region" --size "$size" --image "$image"
  bad "key identifiers" compute droplet create x --region "$region" --size "$size" \
    --image "$image" --ssh-keys 1
  bad ": 422 " compute droplet create x --region ams3 --size "$size" --image "$image" \
    --vpc-uuid "$vpc"
  bad ": 404 " compute droplet get 1
  bad ": 409 " vpcs delete "$vpc" --force
}

droplet_actions() {
  part "droplet actions and backups"
  act "$web" rename "$web" --droplet-name web-2
  act "$web" power-off "$web"
  is '.[0].status' off
  bad "already off" compute droplet-action shutdown "$web"
  act "$web" resize "$web" --size s-2vcpu-2gb --resize-disk
  is '.[0].size_slug' s-2vcpu-2gb
  is '.[0].disk' 60
  bad "smaller disk" compute droplet-action resize "$web" --size "$size"
  bad "already set to this size" compute droplet-action resize "$web" --size s-2vcpu-2gb
  bad "Please power it on" compute droplet-action reboot "$web"
  act "$web" power-on "$web"
  is '.[0].name' web-2
  act "$web" reboot "$web"
  act "$web" power-cycle "$web"
  act "$web" password-reset "$web"
  act "$web" shutdown "$web"
  act "$web" power-on "$web"
  bad "already on" compute droplet-action power-on "$web"
  bad "Please power it off" compute droplet-action resize "$web" --size s-2vcpu-4gb
  act "$web" snapshot "$web" --snapshot-name web-snap
  act "$web" enable-backups "$web" --backup-policy-plan weekly --backup-policy-weekday TUE \
    --backup-policy-hour 8
  is '.[0].features | index("backups") != null' true
  is '.[0].next_backup_window.start | test("T08:00:00Z$")' true
  ok compute droplet backup-policies get "$web"
  is '.[0].backup_policy.weekday' TUE
  is '.[0].backup_policy.hour' 8
  act "$web" change-backup-policy "$web" --backup-policy-plan daily --backup-policy-hour 20
  ok compute droplet backup-policies list
  is 'length' 3
  is '[.[] | select(.backup_enabled)] | length' 1
  is '[.[] | select(.backup_enabled)][0].backup_policy.plan' daily
  is '[.[] | select(.backup_enabled)][0].backup_policy.retention_period_days' 7
  ok compute droplet backup-policies list-supported
  is '[.[] | .name] | sort | join(",")' daily,weekly
  bad ": 422 " compute droplet-action change-backup-policy "$web" --backup-policy-plan daily \
    --backup-policy-hour 3
  act "$web" disable-backups "$web"
  bad "already been disabled" compute droplet-action disable-backups "$web"
  bad "not enabled" compute droplet-action change-backup-policy "$web" --backup-policy-plan daily
  bad ": 422 " compute droplet-action enable-private-networking "$web"
  act "$db" enable-ipv6 "$db"
  is '.[0].networks.v6 | length' 1
  # The longest action, so that it is still under way when doctl asks again.
  ok compute droplet-action snapshot "$db" --snapshot-name busy
  bad "pending event" compute droplet-action reboot "$db"
  settled "$db"
  ok compute droplet snapshots "$db"
  local busy
  busy="$(get '.[0].id')"
  ok compute snapshot delete "$busy" --force
  ok compute droplet actions "$web"
  is '[.[] | .type] | index("create") != null' true
  is '[.[] | .resource_id] | unique | length' 1
  local newest
  newest="$(get '.[0].id')"
  ok compute droplet-action get "$web" --action-id "$newest"
  is '.[0].id' "$newest"
  bad ": 404 " compute droplet-action get "$db" --action-id "$newest"
  ok compute action list --resource-type droplet
  is 'length > 10' true
  ok compute action list --action-type create --status completed
  is '[.[] | .type] | unique | join(",")' create
  ok compute action wait "$newest"
  is '.[0].status' completed
  bad ": 404 " compute action get 1
  bad ": 404 " compute droplet-action reboot 1
  bad ": 501 " compute droplet-action change-kernel "$web" --kernel-id 1
}

snapshots() {
  part "snapshots of droplets"
  ok compute droplet snapshots "$web"
  is '.[0].name' web-snap
  is '.[0].type' snapshot
  local snap
  snap="$(get '.[0].id')"
  ok compute snapshot list --resource droplet
  is '.[0].id' "$snap"
  is '.[0].resource_id' "$web"
  ok compute snapshot get "$snap"
  is '.[0].min_disk_size' 60
  ok compute image list-user
  is '.[0].id' "$snap"
  is '.[0].distribution' Ubuntu
  ok compute image get "$snap"
  is '.[0].public // false' false
  bad "needs a disk" compute droplet create clone --region "$region" --size "$size" --image "$snap"
  bad "not available" compute droplet create clone --region ams3 --size s-2vcpu-2gb --image "$snap"
  ok compute droplet create clone --region "$region" --size s-2vcpu-2gb --image "$snap"
  is '.[0].image.id' "$snap"
  local clone
  clone="$(get '.[0].id')"
  settled "$clone"
  act "$clone" rebuild "$clone" --image debian-12-x64
  is '.[0].image.slug' debian-12-x64
  bad ": 422 " compute droplet-action rebuild "$clone" --image plan9
  bad "not a backup" compute droplet-action restore "$clone" --image-id "$snap"
  act "$web" restore "$web" --image-id "$snap"
  is '.[0].image.id' "$snap"
  is '.[0].status' active
  ok compute droplet delete "$clone" --force
  ok compute snapshot list 'web*' --region "$region"
  is 'length' 1
  ok compute snapshot list --region ams3
  is 'length' 0
  ok compute snapshot delete "$snap" --force
  bad ": 404 " compute snapshot get "$snap"
  ok compute snapshot list
  is 'length' 0
}

volumes() {
  part "volumes"
  ok compute volume create data-1 --region "$region" --size 10GiB --desc "for the judge" \
    --fs-type ext4 --fs-label data --tag judged
  volume="$(get '.[0].id')"
  is '.[0].filesystem_type' ext4
  is '.[0].filesystem_label' data
  is '.[0].tags[0]' judged
  bad ": 409 " compute volume create data-1 --region "$region" --size 10GiB
  bad ": 422 " compute volume create Data --region "$region" --size 10GiB
  bad ": 422 " compute volume create data-2 --region "$region" --size 20TiB
  bad ": 422 " compute volume create data-2 --region "$region" --size 10GiB --fs-type fat
  bad "12 characters" compute volume create data-2 --region "$region" --size 10GiB --fs-type xfs \
    --fs-label thirteenchars
  ok compute volume-action attach "$volume" "$web"
  local action
  action="$(get '.[0].id')"
  until_is '.[0].status' completed compute volume-action get "$volume" --action-id "$action"
  is '.[0].type' attach_volume
  ok compute volume get "$volume"
  is '.[0].droplet_ids[0]' "$web"
  ok compute droplet get "$web"
  is '.[0].volume_ids[0]' "$volume"
  bad "attached volume" compute volume delete "$volume" --force
  bad "already attached" compute volume-action attach "$volume" "$db"
  ok compute volume-action resize "$volume" --size 20 --region "$region"
  until_is '.[0].size_gigabytes' 20 compute volume get "$volume"
  bad "only grows" compute volume-action resize "$volume" --size 10 --region "$region"
  ok compute volume snapshot "$volume" --snapshot-name data-snap --tag judged
  ok compute snapshot list --resource volume
  is '.[0].resource_id' "$volume"
  is '.[0].tags[0]' judged
  local snap
  snap="$(get '.[0].id')"
  bad ": 409 " compute volume snapshot "$volume" --snapshot-name data-snap
  bad ": 404 " compute volume create data-2 --size 20GiB --region "$region" \
    --snapshot 11111111-2222-4333-8444-555555555555
  bad ": 422 " compute volume create data-2 --snapshot "$snap" --region "$region" --size 5GiB
  bad ": 422 " compute volume create data-2 --snapshot "$snap" --region ams3 --size 20GiB
  ok compute volume create data-2 --snapshot "$snap" --region "$region" --size 20GiB
  is '.[0].filesystem_type' ext4
  local copy
  copy="$(get '.[0].id')"
  ok compute volume list
  is 'length' 2
  ok compute volume list --region ams3
  is 'length' 0
  ok compute volume-action detach "$volume" "$web"
  until_is '.[0].droplet_ids | length' 0 compute volume get "$volume"
  bad "Attachment not found" compute volume-action detach "$volume" "$web"
  ok compute volume-action list "$volume"
  is '[.[] | .type] | sort | join(",")' attach_volume,detach_volume,resize
  # Inside only, and with a volume and backups from the start.
  ok compute droplet create inside --region "$region" --size "$size" --image "$image" \
    --volumes "$copy" --enable-public-networking=false --enable-ipv6 --enable-backups \
    --backup-policy-plan weekly --backup-policy-weekday MON --backup-policy-hour 4
  local inside
  inside="$(get '.[0].id')"
  settled "$inside"
  ok compute droplet get "$inside"
  is '.[0].volume_ids[0]' "$copy"
  is '[.[0].networks.v4[] | .type] | join(",")' private
  is '.[0].networks.v6 | length' 0
  is '.[0].next_backup_window.start | test("T04:00:00Z$")' true
  bad "no public networking" compute reserved-ip create --droplet-id "$inside"
  bad "Invalid volume" compute droplet create x --region "$region" --size "$size" \
    --image "$image" --volumes "$copy,$copy"
  ok compute droplet delete "$inside" --force
  ok compute volume delete "$copy" --force
  ok compute snapshot delete "$snap" --force
  bad ": 404 " compute volume get "$copy"
}

reserved_ips() {
  part "reserved IPs"
  ok compute reserved-ip create --region "$region"
  local ip other
  ip="$(get '.[0].ip')"
  is '.[0].region.slug' "$region"
  ok compute reserved-ip-action assign "$ip" "$web"
  until_is '.[0].droplet.id' "$web" compute reserved-ip get "$ip"
  settled "$web"
  bad "Only one of" compute reserved-ip create --region "$region" --droplet-id "$web"
  ok compute reserved-ip create --droplet-id "$db"
  other="$(get '.[0].ip')"
  until_is '.[0].droplet.id' "$db" compute reserved-ip get "$other"
  ok compute reserved-ip list
  is 'length' 2
  ok compute reserved-ip-action unassign "$ip"
  is '.[0].type' unassign_ip
  local action
  action="$(get '.[0].id')"
  until_is '.[0].status' completed compute reserved-ip-action get "$ip" "$action"
  bad ": 422 " compute reserved-ip-action unassign "$ip"
  bad ": 404 " compute reserved-ip-action assign "$ip" 1
  bad ": 404 " compute reserved-ip get 192.0.2.1
  settled "$db"
  ok compute reserved-ip delete "$ip" --force
  ok compute reserved-ip delete "$other" --force
}

firewalls() {
  part "firewalls"
  local any="address:0.0.0.0/0,address:::/0" fw
  ok compute firewall create --name guard --tag-names judged \
    --inbound-rules "protocol:tcp,ports:22,$any protocol:tcp,ports:8000-9000,tag:judged" \
    --outbound-rules "protocol:tcp,ports:all,$any protocol:udp,ports:53,$any protocol:icmp,$any"
  fw="$(get '.[0].id')"
  until_is '.[0].status' succeeded compute firewall get "$fw"
  is '.[0].inbound_rules | length' 2
  is '[.[0].outbound_rules[] | select(.protocol == "tcp")][0].ports' 0
  is '.[0].tags[0]' judged
  ok compute firewall list-by-droplet "$web"
  is '.[0].id' "$fw"
  ok compute firewall add-droplets "$fw" --droplet-ids "$db"
  ok compute firewall add-tags "$fw" --tag-names pool
  ok compute firewall add-rules "$fw" --inbound-rules "protocol:tcp,ports:443,droplet_id:$web"
  ok compute firewall get "$fw"
  is '.[0].inbound_rules | length' 3
  is '.[0].droplet_ids[0]' "$db"
  is '.[0].tags | sort | join(",")' judged,pool
  ok compute firewall remove-rules "$fw" --inbound-rules "protocol:tcp,ports:443,droplet_id:$web"
  ok compute firewall remove-tags "$fw" --tag-names pool
  ok compute firewall remove-droplets "$fw" --droplet-ids "$db"
  ok compute firewall get "$fw"
  is '.[0].inbound_rules | length' 2
  is '.[0].droplet_ids | length' 0
  bad ": 422 " compute firewall add-tags "$fw" --tag-names nobody
  bad ": 422 " compute firewall add-droplets "$fw" --droplet-ids 1
  bad ": 422 " compute firewall add-rules "$fw" \
    --inbound-rules protocol:tcp,ports:443,load_balancer_uid:11111111-2222-4333-8444-555555555555
  bad ": 422 " compute firewall add-rules "$fw" \
    --inbound-rules protocol:tcp,ports:443,kubernetes_id:11111111-2222-4333-8444-555555555555
  # A PUT: what is left out is gone.
  ok compute firewall update "$fw" --name guard-1 --inbound-rules "protocol:icmp,$any"
  ok compute firewall list
  is '.[0].name' guard-1
  is '.[0].outbound_rules | length' 0
  is '.[0].tags | length' 0
  bad ": 422 " compute firewall create --name empty
  bad ": 409 " compute firewall create --name guard-1 --inbound-rules "protocol:icmp,$any"
  bad "does not exist" compute firewall create --name other --tag-names nobody \
    --inbound-rules "protocol:icmp,$any"
  bad "not a port" compute firewall create --name other --inbound-rules "protocol:tcp,ports:x,$any"
  bad ": 422 " compute firewall create --name other --inbound-rules "protocol:gre,$any"
  bad "not an IP" compute firewall create --name other \
    --inbound-rules "protocol:tcp,ports:22,address:everywhere"
  bad ": 404 " compute firewall get 11111111-2222-4333-8444-555555555555
  ok compute firewall delete "$fw" --force
  bad ": 404 " compute firewall delete "$fw" --force
}

certificates() {
  part "domains, records, certificates"
  ok compute domain create judged.example.com --ip-address 192.0.2.7
  is '.[0].name' judged.example.com
  bad ": 422 " compute domain create judged.example.com
  ok compute domain get judged.example.com
  is '.[0].ttl' 1800
  is '.[0].zone_file | contains("judged.example.com. 1800 IN A 192.0.2.7\n")' true
  ok compute domain records create judged.example.com --record-type CNAME --record-name www \
    --record-data @ --record-ttl 300
  local cname mx
  cname="$(get '.[0].id')"
  ok compute domain records create judged.example.com --record-type MX --record-name @ \
    --record-data mail.example.com. --record-priority 10
  mx="$(get '.[0].id')"
  is '.[0].priority' 10
  is '.[0].data' mail.example.com
  ok compute domain records create judged.example.com --record-type SRV \
    --record-name _sip._tcp --record-data sip.example.com. --record-priority 10 \
    --record-port 5060 --record-weight 5
  ok compute domain records create judged.example.com --record-type CAA --record-name @ \
    --record-data letsencrypt.org. --record-flags 0 --record-tag issue
  ok compute domain records create judged.example.com --record-type TXT --record-name @ \
    --record-data "v=spf1 -all"
  ok compute domain records create judged.example.com --record-type AAAA --record-name @ \
    --record-data 2001:db8::7
  ok compute domain records update judged.example.com --record-id "$cname" --record-name www2
  is '.[0].name' www2
  ok compute domain records list judged.example.com
  is '[.[] | select(.type == "NS")] | length' 3
  is '.[0].type' SOA
  local soa
  soa="$(get '.[0].id')"
  is '[.[] | select(.type == "A")][0].data' 192.0.2.7
  bad ": 422 " compute domain records delete judged.example.com "$soa" --force
  bad ": 422 " compute domain records create judged.example.com --record-type A \
    --record-name x --record-data nowhere
  bad ": 422 " compute domain records create judged.example.com --record-type WKS \
    --record-name x --record-data y
  bad "end with a dot" compute domain records create judged.example.com --record-type CNAME \
    --record-name x --record-data elsewhere.example.com
  bad ": 422 " compute domain records create judged.example.com --record-type CAA \
    --record-name x --record-data letsencrypt.org. --record-flags 256 --record-tag issue
  bad ": 422 " compute domain records create judged.example.com --record-type CAA \
    --record-name x --record-data letsencrypt.org. --record-flags 0 --record-tag all
  bad ": 422 " compute domain records create judged.example.com --record-type MX \
    --record-name x --record-data mail.example.com. --record-priority 70000
  bad ": 422 " compute domain create nodot
  bad "cannot share a name" compute domain records create judged.example.com --record-type A \
    --record-name www2 --record-data 192.0.2.8
  bad ": 404 " compute domain records list nobody.example.com
  ok compute domain records delete judged.example.com "$mx" --force
  bad ": 404 " compute domain records delete judged.example.com "$mx" --force
  ok compute domain list
  is 'length' 1

  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/tls.key" -out "$work/tls.crt" \
    -days 30 -subj /CN=judged.example.com -addext subjectAltName=DNS:judged.example.com 2>/dev/null
  openssl ecparam -name prime256v1 -genkey -noout -out "$work/other.key"
  ok compute certificate create --name own --type custom --private-key-path "$work/tls.key" \
    --leaf-certificate-path "$work/tls.crt"
  certificate="$(get '.[0].id')"
  is '.[0].state' verified
  is '.[0].dns_names[0]' judged.example.com
  is '.[0].sha1_fingerprint' "$(openssl x509 -in "$work/tls.crt" -noout -fingerprint -sha1 |
    sed 's/.*=//; s/://g' | tr '[:upper:]' '[:lower:]')"
  ok compute certificate create --name signed --type lets_encrypt \
    --dns-names judged.example.com,www.judged.example.com
  local signed
  signed="$(get '.[0].id')"
  is '.[0].state' pending
  until_is '.[0].state' verified compute certificate get "$signed"
  ok compute certificate list
  is 'length' 2
  ok compute certificate list --name own
  is '.[0].id' "$certificate"
  bad "does not belong" compute certificate create --name wrong --type custom \
    --private-key-path "$work/other.key" --leaf-certificate-path "$work/tls.crt"
  bad ": 422 " compute certificate create --name wrong --type custom \
    --private-key-path "$work/tls.crt" --leaf-certificate-path "$work/tls.crt"
  bad ": 422 " compute certificate create --name own --type custom \
    --private-key-path "$work/tls.key" --leaf-certificate-path "$work/tls.crt"
  bad "not in a domain of this account" compute certificate create --name wrong \
    --type lets_encrypt --dns-names elsewhere.example.org
  ok compute certificate delete "$signed" --force
  bad ": 404 " compute certificate get "$signed"
}

# The default project's id; `$out` stays as it is.
default_project() { doctl --output json projects get default | jq -er '.[0].id'; }

load_balancers() {
  part "load balancers"
  local lb by_tag inside http="entry_protocol:http,entry_port:80,target_protocol:http,target_port:8080"
  ok compute load-balancer create --name front --region "$region" --vpc-uuid "$vpc" \
    --size-unit 2 --droplet-ids "$web" \
    --forwarding-rules "$http entry_protocol:https,entry_port:443,target_protocol:http,target_port:8080,certificate_id:$certificate entry_protocol:tcp,entry_port:5432,target_protocol:tcp,target_port:5432 entry_protocol:udp,entry_port:53,target_protocol:udp,target_port:53 entry_protocol:https,entry_port:8443,target_protocol:https,target_port:8443,tls_passthrough:true entry_protocol:http2,entry_port:444,target_protocol:http,target_port:8080,certificate_id:$certificate entry_protocol:http3,entry_port:443,target_protocol:http,target_port:8080,certificate_id:$certificate" \
    --health-check protocol:http,port:8080,path:/healthz,check_interval_seconds:15,response_timeout_seconds:6,healthy_threshold:4,unhealthy_threshold:2 \
    --sticky-sessions type:cookies,cookie_name:JUDGE,cookie_ttl_seconds:300 \
    --allow-list ip:192.0.2.1,cidr:198.51.100.0/24 --deny-list cidr:203.0.113.0/24 \
    --redirect-http-to-https --enable-proxy-protocol --enable-backend-keepalive \
    --http-idle-timeout-seconds 90
  lb="$(get '.[0].id')"
  is '.[0].status' new
  is '.[0].ip // ""' ""
  until_is '.[0].status' active compute load-balancer get "$lb"
  is '.[0].ip | length > 0' true
  is '.[0].size_unit' 2
  is '.[0].droplet_ids[0]' "$web"
  is '.[0].forwarding_rules | length' 7
  is '.[0].health_check.path' /healthz
  is '.[0].health_check.unhealthy_threshold' 2
  is '.[0].sticky_sessions.cookie_name' JUDGE
  is '.[0].firewall.allow | length' 2
  is '.[0].http_idle_timeout_seconds' 90
  is '.[0].vpc_uuid' "$vpc"
  bad ": 403 " compute certificate delete "$certificate" --force
  ok compute load-balancer add-droplets "$lb" --droplet-ids "$db"
  ok compute load-balancer add-forwarding-rules "$lb" \
    --forwarding-rules entry_protocol:tcp,entry_port:6443,target_protocol:tcp,target_port:6443
  ok compute load-balancer get "$lb"
  is '.[0].droplet_ids | length' 2
  is '.[0].forwarding_rules | length' 8
  ok compute load-balancer remove-forwarding-rules "$lb" \
    --forwarding-rules entry_protocol:tcp,entry_port:6443,target_protocol:tcp,target_port:6443
  ok compute load-balancer remove-droplets "$lb" --droplet-ids "$web,$db"
  bad "once an hour" compute load-balancer update "$lb" --name front --region "$region" \
    --forwarding-rules "$http" --size-unit 3
  # A PUT: what is left out is at its default again.
  ok compute load-balancer update "$lb" --name front-1 --region "$region" \
    --forwarding-rules "$http" --size-unit 2 --vpc-uuid "$vpc"
  ok compute load-balancer get "$lb"
  is '.[0].name' front-1
  is '.[0].forwarding_rules | length' 1
  is '.[0].health_check.path' /
  is '.[0].health_check.healthy_threshold' 3
  is '.[0].sticky_sessions.type' none
  is '.[0].enable_proxy_protocol // false' false
  is '.[0].http_idle_timeout_seconds' 60
  ok compute load-balancer create --name tagged --region "$region" --tag-name judged \
    --forwarding-rules "$http" --wait
  by_tag="$(get '.[0].id')"
  is '.[0].status' active
  is '.[0].tag' judged
  is '.[0].droplet_ids[0]' "$web"
  bad "by tag" compute load-balancer add-droplets "$by_tag" --droplet-ids "$db"
  ok compute load-balancer create --name inside --region "$region" --network INTERNAL \
    --forwarding-rules "$http"
  is '.[0].network' INTERNAL
  inside="$(get '.[0].id')"
  ok compute load-balancer delete "$inside" --force
  local tcp=entry_protocol:tcp,entry_port:25,target_protocol:tcp,target_port:25 both
  ok compute load-balancer create --name both --region "$region" --type REGIONAL_NETWORK \
    --network-stack DUALSTACK --forwarding-rules "$tcp" --tls-cipher-policy STRONG \
    --disable-lets-encrypt-dns-records --project-id "$(default_project)" --wait
  both="$(get '.[0].id')"
  is '.[0].type' REGIONAL_NETWORK
  is '.[0].network_stack' DUALSTACK
  is '.[0].ipv6 | contains(":")' true
  is '.[0].tls_cipher_policy' STRONG
  is '.[0].disable_lets_encrypt_dns_records' true
  bad "can not be changed" compute load-balancer update "$both" --name both --region ams3 \
    --forwarding-rules "$tcp"
  ok compute load-balancer delete "$both" --force
  ok compute load-balancer list
  is 'length' 2
  bad ": 422 " compute load-balancer create --name x --region "$region"
  bad ": 422 " compute load-balancer create --name x --region "$region" --forwarding-rules "$http $http"
  bad ": 422 " compute load-balancer create --name x --region "$region" --forwarding-rules \
    entry_protocol:https,entry_port:443,target_protocol:http,target_port:80
  bad "does not exist" compute load-balancer create --name x --region "$region" \
    --forwarding-rules entry_protocol:https,entry_port:443,target_protocol:http,target_port:80,certificate_id:11111111-2222-4333-8444-555555555555
  bad ": 422 " compute load-balancer create --name x --region "$region" --droplet-ids "$web" \
    --tag-name judged --forwarding-rules "$http"
  bad ": 422 " compute load-balancer create --name x --region "$region" --forwarding-rules "$http" \
    --health-check protocol:http,port:80,path:/,check_interval_seconds:1
  bad ": 422 " compute load-balancer create --name front-1 --region "$region" --forwarding-rules "$http"
  bad "entry port is invalid" compute load-balancer create --name x --region "$region" \
    --forwarding-rules entry_protocol:tcp,entry_port:50053,target_protocol:tcp,target_port:53
  bad "only forward tcp and udp" compute load-balancer create --name x --region "$region" \
    --type REGIONAL_NETWORK --forwarding-rules "$http"
  bad "type GLOBAL" compute load-balancer create --name x --region "$region" \
    --forwarding-rules "$http" --target-lb-ids 11111111-2222-4333-8444-555555555555
  bad "cookie_name" compute load-balancer create --name x --region "$region" \
    --forwarding-rules "$http" --sticky-sessions type:cookies
  bad ": 422 " compute load-balancer create --name x --region "$region" --forwarding-rules "$http" \
    --deny-list 10.0.0.1
  bad ": 422 " compute load-balancer create --name x --region "$region" --forwarding-rules "$http" \
    --size-unit 101
  bad ": 422 " compute load-balancer create --name x --region ams3 --forwarding-rules "$http" \
    --droplet-ids "$web"
  bad ": 501 " compute load-balancer purge-cache "$lb" --force
  bad ": 404 " compute load-balancer get 11111111-2222-4333-8444-555555555555
  bad ": 501 " compute load-balancer create --name x --type GLOBAL --forwarding-rules "$http" \
    --region "$region"
  ok compute load-balancer delete "$lb" --force
  ok compute load-balancer delete "$by_tag" --force
  ok compute certificate delete "$certificate" --force
  ok compute domain delete judged.example.com --force
  bad ": 404 " compute domain get judged.example.com
}

projects() {
  part "projects"
  ok projects create --name judged --purpose "Service or API" --environment Staging \
    --description one
  local project
  project="$(get '.[0].id')"
  ok projects update "$project" --name judged-1 --description two
  is '.[0].environment' Staging
  is '.[0].description' two
  ok projects resources assign "$project" --resource "do:droplet:$web,do:volume:$volume"
  ok projects resources list "$project"
  is '[.[] | .urn] | sort | join(",")' "do:droplet:$web,do:volume:$volume"
  ok projects resources get "do:droplet:$web"
  ok projects get default
  is '.[0].is_default' true
  local default
  default="$(get '.[0].id')"
  ok projects update default --purpose "Operational / Developer tooling"
  is '.[0].purpose' "Operational / Developer tooling"
  ok projects update "$project" --is_default=true
  ok projects get default
  is '.[0].id' "$project"
  ok projects update "$default" --is_default=true
  bad ": 412 " projects delete "$project" --force
  ok projects resources assign "$default" --resource "do:droplet:$web,do:volume:$volume"
  ok projects list
  is 'length' 2
  bad ": 409 " projects create --name judged-1 --purpose x
  bad ": 422 " projects create --name other --purpose x --environment Testing
  bad ": 422 " projects resources assign "$project" --resource droplet:1
  bad ": 412 " projects delete "$default" --force
  ok projects delete "$project" --force
  bad ": 404 " projects get "$project"
}

database() {
  local engine="$1" version="$2" plugin="$3" db
  part "databases: $engine"
  ok databases create "judged-$engine" --engine "$engine" --version "$version" --region "$region" \
    --size db-s-1vcpu-2gb --num-nodes 1 --private-network-uuid "$vpc" --tag judged
  db="$(get '.[0].id')"
  is '.[0].status' creating
  until_is '.[0].status' online databases get "$db"
  is '.[0].engine' "$engine"
  is '.[0].private_network_uuid' "$vpc"
  is '.[0].tags[0]' judged
  ok databases list
  is "[.[] | select(.id == \"$db\")] | length" 1
  ok databases connection "$db"
  is '.port' 25060
  is '.ssl' true
  ok databases connection "$db" --private
  is '.host | startswith("private-")' true
  ok databases get-ca "$db"
  get '.certificate' | base64 -d | openssl x509 -noout || fail "the CA is not a certificate"

  ok databases user create "$db" alice
  is '.[0].role' normal
  local password
  password="$(get '.[0].password')"
  ok databases user get "$db" alice
  is '.[0].password' "$password"
  # shellcheck disable=SC2086
  ok databases user reset "$db" alice $plugin
  is ".[0].password != \"$password\"" true
  ok databases user list "$db"
  is '[.[] | .name] | sort | join(",")' alice,doadmin
  bad ": 409 " databases user create "$db" alice
  bad ": 422 " databases user delete "$db" doadmin --force
  bad ": 404 " databases user get "$db" bob
  ok databases db create "$db" shop
  ok databases db get "$db" shop
  is '.[0].name' shop
  ok databases db list "$db"
  is '[.[] | .name] | sort | join(",")' defaultdb,shop
  bad ": 409 " databases db create "$db" shop

  ok databases firewalls append "$db" --rule ip_addr:192.0.2.0/24
  ok databases firewalls append "$db" --rule tag:judged
  ok databases firewalls list "$db"
  is 'length' 2
  local rule
  rule="$(get '[.[] | select(.type == "tag")][0].uuid')"
  ok databases firewalls remove "$db" --uuid "$rule"
  ok databases firewalls replace "$db" --rule "droplet:$web,ip_addr:192.0.2.7"
  ok databases firewalls list "$db"
  is '[.[] | .type] | sort | join(",")' droplet,ip_addr
  bad ": 422 " databases firewalls append "$db" --rule ip_addr:everywhere
  bad ": 422 " databases firewalls append "$db" --rule droplet:1

  ok databases resize "$db" --size db-s-2vcpu-4gb --num-nodes 2
  until_is '.[0].status' online databases get "$db"
  is '.[0].size' db-s-2vcpu-4gb
  is '.[0].num_nodes' 2
  bad ": 422 " databases resize "$db" --size db-s-1vcpu-1gb --num-nodes 1
  ok databases maintenance-window update "$db" --day tuesday --hour 14:00
  ok databases maintenance-window get "$db"
  is '.day' tuesday
  is '.hour | startswith("14:00")' true
  bad ": 422 " databases maintenance-window update "$db" --day someday --hour 14:00
  ok databases backups "$db"
  is 'length' 1
  ok databases storage-autoscale update "$db" --enabled=true --threshold-percent 80 \
    --increment-gib 20
  ok databases storage-autoscale get "$db"
  is '.. | .threshold_percent? // empty' 80
  bad ": 422 " databases storage-autoscale update "$db" --enabled=true --threshold-percent 99 \
    --increment-gib 20
  if [ "$engine" = mysql ]; then
    ok databases configuration update "$db" --engine mysql --config-json '{"wait_timeout": 600}'
    ok databases configuration get "$db" --engine mysql
    is '.. | .wait_timeout? // empty' 600
    bad ": 422 " databases configuration update "$db" --engine mysql \
      --config-json '{"wait_timeout": 2147484}'
    ok databases sql-mode set "$db" ANSI STRICT_ALL_TABLES
    ok databases sql-mode get "$db"
    is 'join(",")' ANSI,STRICT_ALL_TABLES
    bad ": 422 " databases user create "$db" carol --mysql-auth-plugin none
  else
    bad ": 422 " databases sql-mode get "$db"
    ok databases configuration update "$db" --engine pg --config-json '{"work_mem": 16}'
    ok databases configuration get "$db" --engine pg
    is '.. | .work_mem? // empty' 16
    bad ": 422 " databases configuration update "$db" --engine pg --config-json '{"work_mem": 0}'
    bad ": 422 " databases configuration update "$db" --engine pg \
      --config-json '{"timezone": "an hour that is much too long to be the name of a place on this earth"}'
  fi
  bad ": 501 " databases pool list "$db"
  bad ": 501 " databases replica list "$db"
  bad ": 501 " databases events list "$db"
  bad ": 501 " databases replica create "$db" copy --region "$region" --size db-s-1vcpu-2gb
  bad ": 501 " databases fork copy --restore-from-cluster-id "$db"
  bad ": 422 " databases create "judged-$engine" --engine "$engine" --region "$region" \
    --size db-s-1vcpu-2gb --num-nodes 1
  ok databases db delete "$db" shop --force
  ok databases user delete "$db" alice --force
  ok databases migrate "$db" --region ams3
  until_is '.[0].status' online databases get "$db"
  is '.[0].region' ams3
  ok databases delete "$db" --force
  bad ": 404 " databases get "$db"
}

databases() {
  part "database options"
  ok databases options engines
  ok databases options versions --engine pg
  is '.pg | index("17") != null' true
  ok databases options slugs --engine mysql
  ok databases options regions --engine pg
  bad ": 422 " databases create bad --engine pg --version 9 --region "$region" \
    --size db-s-1vcpu-2gb --num-nodes 1
  bad ": 422 " databases create bad --engine pg --region "$region" --size huge --num-nodes 1
  bad ": 422 " databases create bad --engine pg --region "$region" --size db-s-1vcpu-1gb --num-nodes 3
  bad ": 422 " databases create bad --engine dbase --region "$region" --size db-s-1vcpu-2gb --num-nodes 1
  bad ": 501 " databases create bad --engine valkey --region "$region" --size db-s-1vcpu-2gb --num-nodes 1
  database pg 17 ""
  database mysql 8 mysql_native_password
}

spaces_keys() {
  part "Spaces keys"
  ok spaces keys create all --grants 'bucket=;permission=fullaccess'
  is '.[0].secret_key | length > 20' true
  local all some
  all="$(get '.[0].access_key')"
  ok spaces keys create some --grants 'bucket=one;permission=read,bucket=two;permission=readwrite'
  some="$(get '.[0].access_key')"
  is '.[0].grants | length' 2
  ok spaces keys list
  is 'length' 2
  is '[.[] | .secret_key // ""] | join("")' ""
  ok spaces keys get "$some"
  is '.[0].name' some
  ok spaces keys update "$some" --name some-1 --grants 'bucket=one;permission=read'
  is '.[0].name' some-1
  is '.[0].grants | length' 1
  ok spaces keys update "$all" --name all-1 --grants 'bucket=;permission=fullaccess'
  is '.[0].name' all-1
  bad ": 400 " spaces keys create wrong --grants 'bucket=one;permission=fullaccess'
  bad ": 400 " spaces keys create wrong --grants 'bucket=;permission=read'
  bad ": 404 " spaces keys get NOBODY
  bad ": 400 " spaces keys update "$some" --name some-1 --grants 'bucket=;permission=fullaccess'
  bad ": 404 " spaces keys delete NOBODY
  ok spaces keys delete "$all"
  ok spaces keys delete "$some"
}

tagged() {
  part "tags at work"
  ok compute tag apply judged --resource "do:droplet:$db,do:volume:$volume"
  ok compute tag get judged
  is '.[0].resources.droplets.count' 2
  is '.[0].resources.volumes.count' 1
  ok compute tag remove judged --resource "do:droplet:$db"
  ok compute tag list
  is '[.[] | .name] | sort | join(",")' extra,fresh,judged,pool
  bad ": 404 " compute tag apply nobody --resource "do:droplet:$db"
  bad ": 404 " compute tag apply judged --resource do:droplet:1
}

elsewhere() {
  part "what is not simulated says so"
  bad ": 501 " kubernetes cluster list
  bad ": 501 " compute cdn list
  bad ": 501 " registry get
  bad ": 501 " monitoring alert list
  bad ": 501 " apps list
  bad ": 501 " compute droplet-autoscale list
  bad ": 501 " invoice list
}

nothing_is_left() {
  part "the end"
  ok compute volume delete "$volume" --force
  ok compute droplet delete --tag-name pool --force
  ok compute droplet delete "$web" --force
  ok compute droplet list
  is 'length' 0
  ok compute ssh-key delete "$key" --force
  local tag
  for tag in extra fresh judged pool; do
    ok compute tag delete "$tag" --force
  done
  bad ": 404 " compute tag get judged
  # What was in it stays listed for a while.
  local tries=0
  until doctl vpcs delete "$vpc" --force >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || fail "the VPC could not be deleted"
    sleep 0.1
  done
  ok compute volume list
  is 'length' 0
  ok compute tag list
  is 'length' 0
}

the_account
vpcs
tags_and_keys
droplets
droplet_actions
snapshots
volumes
reserved_ips
firewalls
certificates
load_balancers
projects
databases
spaces_keys
tagged
elsewhere
nothing_is_left
printf '\n%s steps, no surprise\n' "$steps"

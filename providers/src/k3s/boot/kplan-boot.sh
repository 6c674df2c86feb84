#!/bin/sh
# Makes this machine a K3s node: waits for its signed bundle, verifies it, installs what it holds
# and starts K3s. Holds no secret; run again by systemd until it succeeds.
set -eu
umask 077
LC_ALL=C
export LC_ALL

root=${KPLAN_ROOT:-}
metadata=${KPLAN_METADATA:-http://169.254.169.254}
unit_wait=${KPLAN_UNIT_WAIT:-900}
work=$root/run/kplan
log=$root/var/log/kplan-boot.log
env=$root/etc/kplan/node.env
public_key=$root/etc/kplan/bundle.pub
admin=$root/etc/kplan/datastore-admin.env
restore=$root/etc/kplan/etcd-restore.env
tokens=$root/etc/kplan/server-token
token_script=$root/etc/kplan/k3s-token
passwords=$root/var/lib/rancher/k3s/server/cred/passwd
k3s=$root/usr/local/bin/k3s
max_bundle=1048576

mkdir -p "$work" "$root/var/log"
exec >>"$log" 2>&1
# The administrator's login and the snapshot's address stay no longer than this run: a later one gets
# them with the bundle.
trap 'rm -f "$admin" "$restore"' EXIT
trap 'exit 143' HUP INT TERM

value() { # file key
    sed -n "s/^$2=//p" "$1" | head -n 1
}

say() {
    printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*"
}

cluster=$(value "$env" CLUSTER)
node=$(value "$env" NODE)
role=$(value "$env" ROLE)
bundle_url=$(value "$env" BUNDLE_URL)
report_url=$(value "$env" REPORT_URL)

# The texts that must not leave this machine, one per line: what the configuration holds of tokens
# and of the datastore's passwords.
secrets() {
    : >"$work/secrets"
    for config in "$root/etc/rancher/k3s/config.yaml" "$tokens.old" "$tokens.new"; do
        [ -f "$config" ] || continue
        sed -n -e 's/^token: *//p' -e 's/^agent-token: *//p' -e 's/^datastore-endpoint: *//p' \
            "$config" | sed -e "s/^[\"']//" -e "s/[\"']\$//" >"$work/raw"
        {
            cat "$work/raw"
            sed -n 's/^K10.*::[a-z]*://p' "$work/raw"
            sed -n 's|^[a-z]*://[^:@/]*:\([^@]*\)@.*|\1|p' "$work/raw"
        } >>"$work/secrets"
        rm -f "$work/raw"
    done
    [ ! -f "$admin" ] || value "$admin" PASSWORD >>"$work/secrets"
    [ ! -f "$restore" ] || value "$restore" URL >>"$work/secrets"
    printf '%s\n%s\n' "$bundle_url" "$report_url" >>"$work/secrets"
}

# The end of the boot log and of K3s's own, secrets removed, as the inside of a JSON text.
log_tail() {
    secrets
    {
        tail -n 120 "$log"
        if command -v journalctl >/dev/null 2>&1; then
            journalctl --unit k3s.service --no-pager --lines 120 --output cat 2>/dev/null || true
        fi
    } | tr -d '\000-\010\013-\037\177' | awk '
        BEGIN { while ((getline line < ARGV[1]) > 0) if (length(line) > 3) secret[++n] = line; ARGV[1] = "" }
        {
            text = $0
            if (text ~ /BEGIN [A-Z ]*PRIVATE KEY/) hidden = 1
            if (hidden) {
                if (text ~ /END [A-Z ]*PRIVATE KEY/) hidden = 0
                next
            }
            for (i = 1; i <= n; i++) {
                while ((at = index(text, secret[i])) > 0)
                    text = substr(text, 1, at - 1) "(removed)" substr(text, at + length(secret[i]))
            }
            print text
        }' "$work/secrets" - | tail -c 24000 | escape
}

escape() {
    tr -d '\000-\010\013-\037\177-\377' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/	/ /g' |
        awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }'
}

# Tells how far this machine is. A report that cannot be delivered stops nothing.
report() { # phase message
    say "$1: $2"
    {
        printf '{"format":1,"node":"%s","phase":"%s","message":"%s","log":"' \
            "$node" "$1" "$(printf '%s' "$2" | escape)"
        log_tail
        printf '"}'
    } >"$work/report.json"
    curl -sS --retry 3 --max-time 30 -o /dev/null -H 'Content-Type: application/json' \
        --upload-file "$work/report.json" "$report_url" || say "the report could not be delivered"
    rm -f "$work/report.json" "$work/secrets"
}

die() { # message
    report failed "$1"
    exit 1
}

# Polls for the bundle; 404 is one that is not written yet. 403 is final once it stays: a young storage
# key may not be known everywhere. So are 240 answers in a row that are none of these, an hour or more.
fetch_bundle() {
    pause=2
    refused=0
    silent=0
    while :; do
        status=$(curl -sS --max-time 60 --max-filesize "$max_bundle" -o "$work/bundle" \
            -w '%{http_code}' "$bundle_url") || status=000
        case $status in
        200) return 0 ;;
        403) refused=$((refused + 1)) silent=0 ;;
        404) refused=0 silent=0 ;;
        *) refused=0 silent=$((silent + 1)) ;;
        esac
        [ "$refused" -lt "${KPLAN_REFUSALS:-20}" ] ||
            die "the address of the bundle is refused (403): it has expired, or its key is gone"
        [ "$silent" -lt "${KPLAN_SILENCES:-240}" ] ||
            die "the storage of the bundle does not answer as it should ($status): no network, no name service, or an outage"
        sleep "$pause"
        pause=$((pause + 2))
        [ "$pause" -le 15 ] || pause=15
    done
}

# Checks signature, header and member names, then unpacks into $work/files.
verify_bundle() {
    [ "$(wc -c <"$work/bundle")" -le "$max_bundle" ] || die "the bundle is too large"
    first=$(head -n 1 "$work/bundle" | wc -c)
    head -n 1 "$work/bundle" | base64 -d >"$work/signature" ||
        die "the bundle does not begin with a signature"
    tail -c "+$((first + 1))" "$work/bundle" >"$work/payload"
    openssl pkeyutl -verify -pubin -inkey "$public_key" -rawin -in "$work/payload" \
        -sigfile "$work/signature" >/dev/null 2>&1 ||
        die "the signature of the bundle is not this cluster's"
    tar -tf "$work/payload" >"$work/names" || die "the bundle is not an archive"
    tar -tvf "$work/payload" | cut -c 1 >"$work/types"
    [ "$(sort -u "$work/types")" = "-" ] || die "the bundle holds something that is not a file"
    [ "$(head -n 1 "$work/names")" = header ] || die "the bundle does not begin with its header"
    sed 1d "$work/names" | while IFS= read -r name; do
        case /$name/ in
        */../* | */./* | *//*) exit 1 ;;
        esac
        case $name in
        files/etc/rancher/k3s/?* | files/var/lib/rancher/k3s/server/tls/?* | files/etc/kplan/?* | \
            files/etc/systemd/system/k3s.service) ;;
        *) exit 1 ;;
        esac
    done || die "the bundle holds a file that does not belong there"
    rm -rf "$work/files" "$work/header"
    tar -xf "$work/payload" -C "$work" --no-same-owner --preserve-permissions
    droplet=$(curl -fsS --retry 5 --max-time 10 "$metadata/metadata/v1/id") ||
        die "the metadata service does not answer"
    [ "$(value "$work/header" format)" = 1 ] || die "the bundle has another format"
    [ "$(value "$work/header" cluster)" = "$cluster" ] || die "the bundle is for another cluster"
    [ "$(value "$work/header" node)" = "$node" ] || die "the bundle is for another node"
    [ "$(value "$work/header" role)" = "$role" ] || die "the bundle is for another role"
    [ "$(value "$work/header" droplet_id)" = "$droplet" ] || die "the bundle is for another droplet"
}

install_files() {
    (cd "$work/files" && find . -type f) | while IFS= read -r file; do
        target=$root/${file#./}
        (umask 022 && mkdir -p "$(dirname "$target")")
        cp -p "$work/files/$file" "$target.new"
        mv -f "$target.new" "$target"
    done
    rm -rf "$work/files" "$work/payload" "$work/bundle" "$work/signature"
}

# cloud-init brings psql; where its mirror failed, it gets another chance here.
need_psql() {
    command -v psql >/dev/null 2>&1 && return 0
    export DEBIAN_FRONTEND=noninteractive
    for step in update "install -y --no-install-recommends postgresql-client"; do
        # shellcheck disable=SC2086 # its words
        timeout 600 apt-get -q -o DPkg::Lock::Timeout=300 $step || say "apt-get $step failed"
    done
    command -v psql >/dev/null 2>&1 || die "psql is missing and could not be installed"
}

# Prints "t" once K3s's user may create tables. psql itself quotes the user's name, and takes the
# password from its environment.
grant_create() {
    printf '%s\n' 'GRANT USAGE, CREATE ON SCHEMA public TO :"k3s_user";' \
        "SELECT has_schema_privilege(:'k3s_user', 'public', 'CREATE');" |
        PGHOST=$(value "$admin" HOST) PGPORT=$(value "$admin" PORT) \
            PGDATABASE=$(value "$admin" DATABASE) PGUSER=$(value "$admin" ADMIN) \
            PGPASSWORD=$(value "$admin" PASSWORD) PGSSLMODE=verify-full \
            PGSSLROOTCERT=$root/etc/rancher/k3s/datastore-ca.pem PGCONNECT_TIMEOUT=10 \
            timeout 60 psql --no-psqlrc --no-password --quiet --tuples-only --no-align \
            --set ON_ERROR_STOP=1 --set "k3s_user=$(value "$admin" USER)"
}

# From PostgreSQL 15 on, only a database's owner may create tables in its schema "public". Where
# the bundle brings the administrator's login, K3s's user is given that right. Doing it again, or
# on several servers at once, changes nothing; one of two at the same moment may have to try again.
prepare_datastore() {
    [ -f "$admin" ] || return 0
    report installing "giving K3s's user the right to create its tables in the datastore"
    need_psql
    pause=2
    tries=${KPLAN_GRANT_TRIES:-20}
    until [ "$(grant_create)" = t ]; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || die "the datastore did not let K3s's user create its tables"
        sleep "$pause"
        pause=$((pause + 2))
        [ "$pause" -le 15 ] || pause=15
    done
    rm -f "$admin"
}

install_k3s() {
    url=$(value "$root/etc/kplan/k3s.env" K3S_BINARY_URL)
    digest=$(value "$root/etc/kplan/k3s.env" K3S_BINARY_SHA256)
    binary=$k3s
    [ -n "$digest" ] || die "the bundle names no digest for K3s"
    (umask 022 && mkdir -p "$root/usr/local/bin")
    if [ -f "$binary" ] && printf '%s  %s\n' "$digest" "$binary" | sha256sum -c - >/dev/null 2>&1; then
        return 0
    fi
    curl -fsSL --retry "${KPLAN_RETRIES:-8}" --retry-all-errors --connect-timeout 15 -o "$binary.new" "$url" ||
        die "K3s could not be downloaded"
    printf '%s  %s\n' "$digest" "$binary.new" | sha256sum -c - ||
        die "the digest of the downloaded K3s is not the pinned one ($digest)"
    chmod 0755 "$binary.new"
    # The pinned binary is the one for amd64: every droplet is of that kind, an adopted machine may not be.
    "$binary.new" --version >/dev/null 2>&1 </dev/null || {
        rm -f "$binary.new"
        die "the pinned K3s does not run on this machine ($(uname -m)): it is the one for amd64"
    }
    mv -f "$binary.new" "$binary"
}

# Fetches the snapshot to the disk, which may be too large for memory, and checks it.
fetch_snapshot() { # file
    report installing "downloading the snapshot of etcd $chosen"
    status=$(curl -sS --retry 8 --retry-connrefused --connect-timeout 15 --speed-limit 1024 \
        --speed-time 60 -o "$1" -w '%{http_code}' \
        "$(value "$restore" URL)") || status=000
    case $status in
    200) ;;
    403) die "the address of the snapshot is refused (403): it has expired, or its key is gone" ;;
    404) die "the snapshot is not in its bucket any more (404)" ;;
    *) die "the snapshot could not be downloaded ($status)" ;;
    esac
    [ "$(wc -c <"$1" | tr -d ' ')" = "$(value "$restore" SIZE)" ] ||
        die "the downloaded snapshot has another size than the one that was chosen"
    printf '%s  %s\n' "$digest" "$1" | sha256sum -c - >/dev/null 2>&1 ||
        die "the digest of the downloaded snapshot is not that of the one that was chosen ($digest)"
}

# Deletes every node of the snapshot and its password. Each name is a new machine's, which K3s would
# refuse for the old password; and this one's kubelet would take over the Node of a droplet that is
# gone. It registers once, when it starts, so this comes before: K3s runs without it for a moment, and
# under another name, so that it takes no Node for its own.
delete_nodes() {
    "$k3s" kubectl delete nodes --all --timeout=120s || return 1
    secrets=$("$k3s" kubectl -n kube-system get secrets -o name) || return 1
    for secret in $secrets; do
        case $secret in
        *.node-password.k3s)
            "$k3s" kubectl -n kube-system delete "$secret" --ignore-not-found || return 1
            ;;
        esac
    done
}

forget_nodes() {
    report installing "deleting the nodes of the cluster that was"
    # The reset wrote what the configuration says now, and that is newer than the snapshot.
    [ ! -f "$passwords" ] || touch -d @0 "$passwords"
    "$k3s" server --disable-agent --node-name=kplan-restore --etcd-s3=false &
    server=$!
    waited=0
    until "$k3s" kubectl get --raw /readyz >/dev/null 2>&1; do
        kill -0 "$server" 2>/dev/null || die "K3s does not run on the snapshot"
        [ "$waited" -lt "$unit_wait" ] || {
            kill "$server"
            die "K3s did not answer from the snapshot within $unit_wait seconds"
        }
        sleep "${KPLAN_READY_PAUSE:-3}"
        waited=$((waited + 3))
    done
    deleted=no
    ! delete_nodes || deleted=yes
    exchanged=yes
    if [ -f "$tokens.old" ] && [ -f "$tokens.new" ]; then
        sh "$token_script" exchange || exchanged=no
    fi
    kill "$server" 2>/dev/null || true
    wait "$server" || true
    [ "$deleted" = yes ] || die "the nodes of the cluster that was could not be deleted"
    [ "$exchanged" = yes ] || die "the server token of the snapshot could not be exchanged"
}

# A snapshot opens with the token of its time. Where there are two, the script takes the other one the
# second time.
reset_etcd() {
    [ ! -f "$token_script" ] || sh "$token_script" before
    rm -f "$db/reset-flag"
    timeout "$unit_wait" "$k3s" server --cluster-reset "--cluster-reset-restore-path=$snapshot" \
        --etcd-s3=false
}

# Where the bundle brings the address of a snapshot of etcd, K3s begins from it. Cut off anywhere, it
# is done again from the start, until nothing is left to do; once it was done, it is never again.
begin_from_snapshot() {
    [ -f "$restore" ] || return 0
    chosen=$(value "$restore" NAME)
    digest=$(value "$restore" SHA256)
    begun=$root/etc/kplan/etcd-restoring
    ended=$root/etc/kplan/etcd-restored
    db=$root/var/lib/rancher/k3s/server/db
    if [ -f "$ended" ] && [ "$(cat "$ended")" = "$digest" ]; then
        return 0
    fi
    case $chosen in
    "" | .* | *[!A-Za-z0-9._-]*) die "the snapshot has a name that is no file's" ;;
    esac
    [ ! -d "$db/etcd" ] || [ -f "$begun" ] ||
        die "there is a member of etcd on this disk already; no snapshot is restored over it"
    mkdir -p "$root/var/lib/kplan"
    snapshot=$root/var/lib/kplan/$chosen
    fetch_snapshot "$snapshot"
    : >"$begun"
    sync
    report installing "resetting etcd to the snapshot $chosen"
    if ! reset_etcd; then
        [ -f "$tokens.old" ] || die "K3s could not restore the snapshot $chosen"
        reset_etcd || die "K3s could not restore the snapshot $chosen with either token"
    fi
    forget_nodes
    # Whatever a loss of power leaves, one of the two marks says how far this was.
    printf '%s' "$digest" >"$ended.new"
    sync
    mv -f "$ended.new" "$ended"
    sync
    rm -f "$snapshot" "$begun" "$restore"
    # What K3s moved aside when it was begun again.
    rm -rf "$db"/etcd-old-*
}

# K3s tells systemd when it is up; until then its unit is "activating".
start_k3s() {
    systemctl daemon-reload
    systemctl enable k3s.service
    systemctl start --no-block k3s.service
    waited=0
    while ! systemctl is-active --quiet k3s.service; do
        [ "$waited" -lt "$unit_wait" ] || die "K3s did not start within $unit_wait seconds"
        sleep "${KPLAN_READY_PAUSE:-3}"
        waited=$((waited + 3))
        [ $((waited % 60)) -ne 0 ] || report installing "K3s is starting, for $waited seconds now"
    done
}

if [ -f "$root/etc/kplan/booted" ]; then
    exit 0
fi
systemctl is-active --quiet kplan-metadata.service ||
    die "pods could reach the metadata service: kplan-metadata.service is not active"
report waiting-for-bundle "polling for the bundle"
fetch_bundle
verify_bundle
report bundle-verified "the bundle is this node's"
install_files
prepare_datastore
report installing "installing K3s $(value "$root/etc/kplan/k3s.env" K3S_VERSION)"
install_k3s
begin_from_snapshot
start_k3s
report started "K3s is running"
: >"$root/etc/kplan/booted"

#!/bin/sh
# Which server token K3s starts with, while it is being exchanged. Run by k3s.service and by kplan's
# jobs; the contract is docs/internals/node-boot.md, section 6.
#
#   before    before every start of K3s
#   after     once K3s runs
#   exchange  has the K3s that runs here exchange the old token for the new one
set -eu
umask 077
PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}

root=${KPLAN_ROOT:-}
old=$root/etc/kplan/server-token.old
new=$root/etc/kplan/server-token.new
tried=$root/etc/kplan/server-token.tried
chosen=$root/etc/rancher/k3s/config.yaml.d/60-kplan-token.yaml
server=$root/var/lib/rancher/k3s/server
passwords=$server/cred/passwd

choose() { # file
    mkdir -p "$(dirname "$chosen")"
    cp "$1" "$chosen.next"
    mv -f "$chosen.next" "$chosen"
}

# K3s writes its file of passwords from its configuration, keeps a copy in the datastore, and never
# starts again where the file is newer than that copy and says something else, as it does after every
# change of a token. An old file that differs is taken from the copy; one that does not is left as it
# is, and so is everything else that K3s has copies of. A start that did not come up is followed by one
# with the other token, where there are two.
before() {
    [ ! -f "$passwords" ] || touch -d @0 "$passwords"
    if [ ! -f "$old" ] || [ ! -f "$new" ]; then
        rm -f "$tried"
        return 0
    fi
    is_new=no
    ! cmp -s "$chosen" "$new" || is_new=yes
    if [ -f "$tried" ]; then
        case $is_new in
        yes) is_new=no ;;
        *) is_new=yes ;;
        esac
    fi
    case $is_new in
    yes) choose "$new" ;;
    *) choose "$old" ;;
    esac
    : >"$tried"
}

# With the new token K3s opened what is encrypted with it, which never goes back: the old one is of no
# use here any more.
after() {
    rm -f "$tried"
    if [ -f "$new" ] && cmp -s "$chosen" "$new"; then
        rm -f "$old" "$new"
    fi
}

secret() { # file
    sed -n 's/^token: "K10[^":]*::server:\([^"]*\)"$/\1/p' "$1"
}

# K3s takes the token in its file of passwords for the one that the data is encrypted with. After an
# exchange that was cut off, that is the new one, and K3s would leave the data as it is. No program but
# the shell sees a token.
put_old_back() { # secret
    [ -f "$passwords" ] || return 0
    while IFS= read -r line; do
        case $line in
        *,server,server,*) printf '%s,server,server,%s\n' "$1" "${line##*,}" ;;
        *) printf '%s\n' "$line" ;;
        esac
    done <"$passwords" >"$passwords.kplan"
    mv -f "$passwords.kplan" "$passwords"
}

ask() { # password new
    printf 'user = "server:%s"\ndata = "{\\"newToken\\":\\"%s\\"}"\n' "$1" "$2" |
        curl --config - --silent --show-error --fail-with-body --noproxy '*' --max-time 120 \
            --request PUT --header 'Content-Type: application/json' \
            --cacert "$server/tls/server-ca.crt" \
            "${KPLAN_K3S:-https://127.0.0.1:6443}/v1-k3s/token" >&2
}

# K3s knows whoever has the token it was started with: the old one, or the new one where it was started
# again since. Doing it again, here or on another server, changes nothing.
exchange() {
    before=$(secret "$old")
    after=$(secret "$new")
    if [ -z "$before" ] || [ -z "$after" ]; then
        echo "there are no two tokens in $root/etc/kplan" >&2
        exit 1
    fi
    put_old_back "$before"
    ask "$before" "$after" || ask "$after" "$after"
    choose "$new"
    rm -f "$tried"
}

case ${1:-} in
before) before ;;
after) after ;;
exchange) exchange ;;
*)
    echo "usage: k3s-token before|after|exchange" >&2
    exit 2
    ;;
esac

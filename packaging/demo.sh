#!/bin/bash
# The whole story in one go: a server, the s3-upload blueprint, an upload, its log line.
#
#   packaging/demo.sh start     what `make demo` runs; PICTURE=path KEY=name upload that file
#   packaging/demo.sh stop      what `make demo-stop` runs; the data folder stays
#
# Works when run again: a server that runs is used (or started anew when the program was rebuilt), a
# blueprint that is complete is left alone. BUILD and LISTEN may name another place and port.
set -euo pipefail
cd "$(dirname "$0")/.."

BUILD=${BUILD:-build}
LISTEN=${LISTEN:-127.0.0.1:1969}
PYTHON=${PYTHON:-/usr/bin/python3}
demo=$(mkdir -p "$BUILD/demo" && cd "$BUILD/demo" && pwd)
data=$demo/data
program=$(cd "$BUILD" && pwd)/perilune
function=s3-upload
bucket=uploads

say() { printf 'demo: %s\n' "$*"; }
fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# The keys and the address, whatever else the environment says.
perilune() {
    env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY -u AWS_SESSION_TOKEN -u AWS_PROFILE \
        PERILUNE_ENDPOINT="http://$LISTEN" PERILUNE_DATA="$data" "$program" "$@"
}

# Is the noted process our server? Ids are used again by the system, so look at what it runs.
running() {
    pid=$(cat "$demo/pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF -- "serve --data $data "
}

# 0 once /healthz answers 200.
healthy() {
    local answer=
    exec 3<>"/dev/tcp/${LISTEN%:*}/${LISTEN##*:}" || return 1
    printf 'GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$LISTEN" >&3
    IFS= read -r -t 5 answer <&3 || true
    exec 3>&-
    [[ $answer == "HTTP/1.1 200"* ]]
} 2>/dev/null

stop_server() {
    running || return 0
    kill -TERM "$pid"
    for _ in $(seq 400); do
        [ -e "/proc/$pid" ] || break
        sleep 0.05
    done
    if running; then
        kill -KILL "$pid"
    fi
    rm -f "$demo/pid"
}

start_server() {
    if running && readlink "/proc/$pid/exe" 2>/dev/null | grep -q ' (deleted)$'; then
        say "the program was rebuilt: starting the server anew"
        stop_server
    fi
    if running; then
        say "the server runs already (process $pid)"
    else
        if healthy; then
            fail "another server answers on $LISTEN: stop it, or say LISTEN=127.0.0.1:PORT"
        fi
        setsid "$program" serve --data "$data" --listen "$LISTEN" \
            </dev/null >"$demo/server.log" 2>&1 9>&- &
        pid=$!
        echo "$pid" >"$demo/pid"
        say "started the server on http://$LISTEN (process $pid)"
    fi
    for _ in $(seq 500); do
        if healthy; then
            return
        fi
        [ -e "/proc/$pid" ] || break
        sleep 0.02
    done
    cat "$demo/server.log" >&2
    [ -e "/proc/$pid" ] || rm -f "$demo/pid"
    fail "the server is not ready; its messages are above and in $demo/server.log"
}

# Makes the function from its blueprint, anew when a part of it is missing.
instantiate() {
    local rc=0
    if perilune get "$function" >/dev/null 2>&1; then
        if perilune aws --output json s3api get-bucket-notification-configuration --bucket "$bucket" 2>/dev/null |
            grep -q ":function:$function\""; then
            say "the function $function is there already"
            return
        fi
        say "the function $function has lost its notification: making it anew"
        perilune blueprint remove "$function" >/dev/null
    fi
    perilune blueprint new s3-upload --name "$function" --set "bucket=$bucket" --yes |
        sed '/^try it:/,$d' || rc=$?
    [ $rc -eq 0 ] || fail "the blueprint could not be instantiated (exit code $rc)"
}

# What must be undone for the printed line to use the demo's keys.
clean_environment() {
    local name unset=
    for name in AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE; do
        [ -z "${!name+x}" ] || unset+=" -u $name"
    done
    [ -z "$unset" ] || printf 'env%s ' "$unset"
}

start() {
    local picture=${PICTURE:-} key=${KEY:-} elsewhere=
    [ "$LISTEN" = 127.0.0.1:1969 ] || elsewhere=" LISTEN=$LISTEN"
    if [ -z "$picture" ]; then
        picture=$demo/moonrise.png
        "$PYTHON" tests/e2e/pictures.py png 640 400 "$picture"
    fi
    [ -f "$picture" ] || fail "there is no file $picture"
    say "data folder $data"
    start_server
    instantiate
    "$PYTHON" packaging/demo.py "http://$LISTEN" "$data/root.credentials" "$bucket" "$function" \
        "$picture" "${key:-$(basename "$picture")}"
    cat <<END

In a browser (this link signs in once, within 15 minutes; 'perilune console-link' makes another):
  $(perilune console-link 2>/dev/null || echo "no console: its port was taken, see $demo/server.log")

Try next:
  $(clean_environment)AWS_SHARED_CREDENTIALS_FILE=$data/root.credentials aws --region us-east-1 --endpoint-url http://$LISTEN logs filter-log-events --log-group-name /aws/lambda/$function --query 'events[].[message]' --output text
  make demo$elsewhere PICTURE=path/to/a/picture KEY=name/of/the/object
  PERILUNE_ENDPOINT=http://$LISTEN PERILUNE_DATA=$data $program logs $function -f
  make demo-stop$elsewhere
END
}

exec 9>"$demo/lock"
flock 9
case ${1:-} in
start) start ;;
stop)
    if running; then
        stop_server
        say "stopped; the data folder $data stays"
    else
        say "no server of the demo runs"
    fi
    ;;
*) fail "start or stop?" ;;
esac

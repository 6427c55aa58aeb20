#!/bin/bash
# The tutorial of the README, end to end, with nothing but the stock aws command: role, bucket, function,
# permission, notification, upload, log lines. Random names, so that nothing is known beforehand.
#
#   tests/e2e/tutorial.sh [AWS…]     AWS: programs to do it with; default: every aws on this machine
#
# Talks to PERILUNE_ENDPOINT (with the AWS_* keys of the environment) when it is set, else to a server of its
# own: $PERILUNE_BIN, default build/perilune, on a free port with a fresh folder.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
server=
finish() {
    code=$?
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        [ $code = 0 ] || cat "$work/server.log" >&2
    fi
    rm -rf "$work"
    exit $code
}
trap finish EXIT

fail() { echo "tutorial: $*" >&2; exit 1; }
random() { od -An -N4 -tx1 /dev/urandom | tr -d ' \n'; }

start_server() {
    AWS_SECRET_ACCESS_KEY=$(random)$(random)
    export AWS_ACCESS_KEY_ID=AKIATUTORIAL00000000 AWS_SECRET_ACCESS_KEY
    local port
    port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    PERILUNE_ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID PERILUNE_ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY \
        "${PERILUNE_BIN:-build/perilune}" serve --data "$work/data" --listen "127.0.0.1:$port" >"$work/server.log" 2>&1 &
    server=$!
    PERILUNE_ENDPOINT=http://127.0.0.1:$port
    for _ in $(seq 200); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
        kill -0 "$server" 2>/dev/null || fail "the server ended"
        sleep 0.05
    done
    fail "the server does not listen"
}

[ -n "${PERILUNE_ENDPOINT:-}" ] || start_server
export AWS_DEFAULT_REGION=${AWS_DEFAULT_REGION:-us-east-1} AWS_PAGER='' AWS_CONFIG_FILE=/nonexistent AWS_SHARED_CREDENTIALS_FILE=/nonexistent

one_pass() {
    local aws=$1 id function role bucket word key account arn lines
    run() { "$aws" --endpoint-url "$PERILUNE_ENDPOINT" "$@"; }
    id=$(random) word=$(random)
    function=fn-$id role=role-$id bucket=bucket-$id key="in/picture $id.jpg"

    cat >"$work/trust.json" <<-JSON
	{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}
	JSON
    cat >"$work/policy.json" <<-JSON
	{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::$bucket/*"}]}
	JSON
    cat >"$work/handler.lua" <<-LUA
	local M = {}
	function M.main(event)
	  for _, record in ipairs(event.Records) do
	    local key = events.decode_key(record.s3.object.key)
	    local object = assert(s3.get(record.s3.bucket.name, key))
	    log.info("$word " .. key .. " " .. #object.body)
	  end
	end
	return M
	LUA
    (cd "$work" && rm -f function.zip && /usr/bin/python3 -m zipfile -c function.zip handler.lua)
    head -c 31415 /dev/urandom >"$work/picture.jpg"

    account=$(run sts get-caller-identity --query Account --output text)
    run iam create-role --role-name "$role" --assume-role-policy-document "file://$work/trust.json" >"$work/out"
    run iam put-role-policy --role-name "$role" --policy-name read --policy-document "file://$work/policy.json"
    run s3 mb "s3://$bucket" >"$work/out"
    arn=$(run lambda create-function --function-name "$function" --runtime provided.al2023 --handler handler.main \
        --role "arn:aws:iam::$account:role/$role" --zip-file "fileb://$work/function.zip" --query FunctionArn --output text)
    run lambda add-permission --function-name "$function" --statement-id s3 --action lambda:InvokeFunction \
        --principal s3.amazonaws.com --source-arn "arn:aws:s3:::$bucket" --source-account "$account" >"$work/out"
    run s3api put-bucket-notification-configuration --bucket "$bucket" --notification-configuration \
        "{\"LambdaFunctionConfigurations\":[{\"LambdaFunctionArn\":\"$arn\",\"Events\":[\"s3:ObjectCreated:*\"],\"Filter\":{\"Key\":{\"FilterRules\":[{\"Name\":\"suffix\",\"Value\":\".jpg\"}]}}}]}"
    run s3 cp "$work/picture.jpg" "s3://$bucket/$key" >"$work/out"

    for _ in 1 2 3 4 5; do
        lines=$(run logs filter-log-events --log-group-name "/aws/lambda/$function" --query 'events[].[message]' --output text || true)
        grep -q "^REPORT RequestId: " <<<"$lines" && break
        sleep 0.2
    done
    grep -q "^START RequestId: .* Version: \$LATEST" <<<"$lines" || fail "no START line: $lines"
    grep -qF "$word $key 31415" <<<"$lines" || fail "the function's own line is missing: $lines"
    grep -q "^END RequestId: " <<<"$lines" || fail "no END line: $lines"
    grep -q "^REPORT RequestId: .*Duration: .*Billed Duration: .*Max Memory Used: " <<<"$lines" || fail "no REPORT line: $lines"
    echo "tutorial: $("$aws" --version 2>&1 | cut -d' ' -f1): $(grep -F "$word" <<<"$lines" | head -1)"
}

if [ $# = 0 ]; then
    seen=
    for path in $(type -ap aws) /usr/bin/aws /usr/local/bin/aws; do
        version=$("$path" --version 2>&1 | cut -d' ' -f1) || continue
        case "$seen" in *"$version"*) continue ;; esac
        seen="$seen $version"
        set -- "$@" "$path"
    done
    [ $# -gt 0 ] || fail "there is no aws command on this machine"
fi
for program in "$@"; do
    one_pass "$program"
done

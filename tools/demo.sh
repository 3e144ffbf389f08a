#!/bin/sh
# Runs an example against the emulated portal, or against BITRIX24_WEBHOOK_URL where that is set.
# Usage: LUA=lua5.4 DEMO_ARGS="125 6" tools/demo.sh build/5.4 examples/backlog_add.lua. The exit code is the example's.
set -eu

eval "$(tools/env.sh "$1")"
example=$2

if [ -n "${BITRIX24_WEBHOOK_URL-}" ]; then
  # shellcheck disable=SC2086 # arguments are split on purpose
  exec "$LUA" "$example" ${DEMO_ARGS-}
fi

work=$(mktemp -d)
portal=
# shellcheck disable=SC2317 # called by the trap
stop() {
  if [ -n "$portal" ] && kill "$portal" 2>/dev/null; then wait "$portal" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

"$LUA" bin/bitrix-portal >"$work/out" 2>"$work/err" &
portal=$!

# Its first line is, or ends with, the webhook address.
url=
tries=0
while [ -z "$url" ]; do
  url=$(sed -n '1s|.*\(https\{0,1\}://[^ ]*\).*|\1|p' "$work/out")
  [ -z "$url" ] || break
  tries=$((tries + 1))
  if [ $tries -gt 200 ] || ! kill -0 "$portal" 2>/dev/null; then
    echo "demo: the emulator did not start:" >&2
    cat "$work/out" "$work/err" >&2
    exit 1
  fi
  sleep 0.05
done

echo "demo: $example against an emulated portal at $url"
status=0
# shellcheck disable=SC2086
BITRIX24_WEBHOOK_URL=$url "$LUA" "$example" ${DEMO_ARGS-} || status=$?
exit $status

#!/bin/sh
# Runs a part of the specs on Lua 5.4 under valgrind: no invalid access, no definite leak. It is 20 times slower than
# the specs alone, and check-asan runs them all; so here it is those that mirror a file in src/, and the client's.
# VALGRIND_SPECS="spec/json_spec.lua" to choose.
set -eu

build=build/valgrind
log=$build/log
rm -rf "$log"
mkdir -p "$log"

if [ -z "${VALGRIND_SPECS-}" ]; then
  for file in src/*.c src/client.c; do
    file=spec/$(basename "$file" .c)_spec.lua
    [ ! -f "$file" ] || VALGRIND_SPECS="${VALGRIND_SPECS-} $file"
  done
fi
[ -n "${VALGRIND_SPECS-}" ] || { echo "check-valgrind: no spec mirrors a file in src/" >&2; exit 1; }

status=0
CFLAGS="-O1 -g" BUILD=$build SPEC=$VALGRIND_SPECS \
  RUN="valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite
       --suppressions=tools/valgrind.supp --child-silent-after-fork=yes --num-callers=30 --log-file=$log/report.%p" \
  tools/run-specs.sh 5.4 || status=1

for report in "$log"/report.*; do
  [ -s "$report" ] || continue
  status=1
  echo "check-valgrind: valgrind's report, $report:" >&2
  sed -n 1,80p "$report" >&2
done
exit $status

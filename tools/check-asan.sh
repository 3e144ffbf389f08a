#!/bin/sh
# Runs all specs with the module built with AddressSanitizer and UndefinedBehaviorSanitizer, leak detection included.
# LUAS="5.4 luajit" and SPEC=... restrict it. Any report of a sanitizer is a failure, wherever its process's stderr went.
set -eu

here=$(pwd)
build=build/asan
log=$build/log
rm -rf "$log"
mkdir -p "$build/bin" "$log"

case $here in *[\ :]*)
  echo "check-asan: LD_PRELOAD and ASAN_OPTIONS cannot hold a path with a space or colon; move the checkout" >&2
  exit 1 ;;
esac

cc=${CC:-gcc}
runtime=$($cc -print-file-name=libasan.so)
[ "$runtime" != libasan.so ] || { echo "check-asan: $cc has no libasan" >&2; exit 1; }
$cc -O1 -fPIC -shared -o "$build/unpreload.so" tools/asan/unpreload.c
for id in ${LUAS:=5.4 luajit}; do
  lua=$(tools/luas.sh name "$id")
  $cc -O1 -DPROGRAM="\"$(command -v "$lua")\"" -DPRELOAD="\"$runtime:$here/$build/unpreload.so\"" \
    -o "$build/bin/$lua" tools/asan/launch.c
done

status=0
# shellcheck disable=SC2086 # ids are split on purpose
ASAN_OPTIONS="detect_leaks=1:log_path=$here/$log/report:exitcode=23:detect_stack_use_after_return=1" \
UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:log_path=$here/$log/report" \
LSAN_OPTIONS="suppressions=$here/tools/asan/lsan.supp:print_suppressions=0" \
CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer" \
  BUILD=$build BUILD_FLAGS="CC=$cc" LUA_BIN=$build/bin tools/run-specs.sh $LUAS || status=1

for report in "$log"/report.*; do
  [ -s "$report" ] || continue
  status=1
  echo "check-asan: a sanitizer's report, $report:" >&2
  sed -n 1,60p "$report" >&2
done
exit $status

#!/bin/sh
# Installs what `make demo` or `make test` needs and this machine lacks. Usage: LUA=lua5.4 tools/deps.sh demo|test
# Debian and Ubuntu: by apt-get, as root or through sudo. Elsewhere it installs nothing and says what is missing.
# With nothing missing it prints nothing and takes milliseconds.
set -eu

want=${1:-demo}
lua=${LUA:-lua5.4}

# A row: which target, Debian's package (any of; the first is what gets installed), how to tell where dpkg cannot.
# ca-certificates and libc6-dev are rows because others only recommend them and recommendations are not installed.
rows() {
  cat <<'ROWS'
demo gcc                                                            cmd:cc
demo libc6-dev                                                      libc
demo make                                                           cmd:make
demo pkg-config|pkgconf                                             cmd:pkg-config
demo libcurl4-openssl-dev|libcurl4-gnutls-dev|libcurl4-nss-dev      libcurl
demo ca-certificates                                                ca
demo lua-cjson                                                      lua:cjson
demo lua-dkjson                                                     lua:dkjson
demo lua-argparse                                                   lua:argparse
demo nginx                                                          cmd:nginx
demo libnginx-mod-http-lua                                          nginx-lua
demo openssl                                                        cmd:openssl
test lua5.4                                                         cmd:lua5.4
test liblua5.4-dev                                                  pc:lua5.4
test luajit2                                                        cmd:luajit
test libluajit2-5.1-dev                                             pc:luajit
test lua5.1                                                         cmd:lua5.1
test liblua5.1-0-dev                                                pc:lua5.1
test lua-busted                                                     lua:busted
test lua-socket                                                     lua:socket
test lua-posix                                                      luajit:posix
test lua-check                                                      cmd:luacheck
test luarocks                                                       cmd:luarocks
test valgrind                                                       cmd:valgrind
test curl                                                           cmd:curl
test php-cli                                                        cmd:php
test redis-server                                                   cmd:redis-server
test redis-tools                                                    cmd:redis-cli
test lua-cqueues                                                    lua:cqueues
test wrk                                                            cmd:wrk
test git                                                            cmd:git
test locales                                                        file:/usr/share/i18n/locales/de_DE
test php-cli                                                        cmd:php
test nodejs                                                         cmd:node
test npm                                                            cmd:npm
ROWS
  # The interpreter asked for, and its headers.
  case ${lua##*/} in
    luajit*) printf '%s\n' "demo luajit2 cmd:$lua" "demo libluajit2-5.1-dev pc:luajit" ;;
    lua5.1) printf '%s\n' "demo lua5.1 cmd:$lua" "demo liblua5.1-0-dev pc:lua5.1" ;;
    lua5.[2-4]) printf '%s\n' "demo ${lua##*/} cmd:$lua" "demo lib${lua##*/}-dev pc:${lua##*/}" ;;
    *) printf '%s\n' "demo lua5.4 cmd:$lua" ;;
  esac
}

present() {
  case $1 in
    cmd:*) command -v "${1#cmd:}" >/dev/null ;;
    pc:*) pkg-config --exists "${1#pc:}" 2>/dev/null ;;
    lua:*) "$lua" -e "require '${1#lua:}'" >/dev/null 2>&1 ;;
    luajit:*) luajit -e "require '${1#luajit:}'" >/dev/null 2>&1 ;;
    file:*) [ -e "${1#file:}" ] ;;
    libc) echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1 ;;
    ca) [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || [ -e /etc/ssl/cert.pem ] ;;
    libcurl) pkg-config --exists libcurl 2>/dev/null || command -v curl-config >/dev/null ;;
    nginx-lua) command -v openresty >/dev/null || ls /usr/lib*/nginx/modules/ngx_http_lua_module.so >/dev/null 2>&1 ;;
  esac
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else
    echo "deps: this needs root or sudo: $*" >&2
    exit 1
  fi
}

# Is any of the packages a|b|c installed? $installed holds the names of all that are, one a line.
installed_any() {
  # shellcheck disable=SC2086 # the list is split on purpose
  for p in $(echo "$1" | tr '|' ' '); do
    case "$installed" in *"
$p
"*) return 0 ;; esac
  done
  return 1
}

table=$(rows | sort -u | while read -r for package check; do
  if [ "$for" = demo ] || [ "$want" = test ]; then echo "$package $check"; fi
done)

installed=
if command -v dpkg-query >/dev/null; then
  # shellcheck disable=SC2016,SC2046 # ${...} is dpkg-query's own; names are split on purpose
  installed="
$(dpkg-query -W -f='${Package} ${Status}\n' luajit $(echo "$table" | cut -d' ' -f1 | tr '|' ' ') 2>/dev/null |
    sed -n 's/ install ok installed$//p' || true)
"
fi

missing=
while read -r package check; do
  installed_any "$package" || present "$check" || missing="$missing ${package%%|*}"
done <<EOT
$table
EOT
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "deps: missing here (Debian's package names):$missing" >&2
  echo "deps: this is not Debian or Ubuntu; please install them and run it again" >&2
  exit 1
fi

case $missing in *luajit2* | *libnginx-mod-http-lua*)
  if installed_any luajit; then
    echo "deps: Debian's package 'luajit' excludes 'luajit2', which nginx's Lua module needs. To replace one by the" >&2
    echo "deps: other (the same language, the same command): apt-get install luajit2 libnginx-mod-http-lua" >&2
    exit 1
  fi ;;
esac

echo "deps: installing$missing"
# A newly installed nginx would start its service on port 80; the emulator only needs the program. Without systemd
# RUNLEVEL=1 keeps invoke-rc.d from starting it; under systemd a mask for the time of the installation does.
nginx_unit=
case "$missing " in *" nginx "* | *" libnginx-mod-http-lua "*)
  if [ -d /run/systemd/system ] && ! systemctl --quiet is-active nginx.service 2>/dev/null &&
    ! command -v nginx >/dev/null; then
    nginx_unit=nginx.service
    as_root systemctl --quiet --runtime mask "$nginx_unit"
    trap 'as_root systemctl --quiet --runtime unmask "$nginx_unit"' EXIT
  fi ;;
esac

log=$(mktemp)
apt() {
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -y "$@" >"$log" 2>&1 || {
    cat "$log" >&2
    rm -f "$log"
    echo "deps: apt-get $1 failed" >&2
    exit 1
  }
}
apt update
# shellcheck disable=SC2086 # a list of names
apt install --no-install-recommends $missing
rm -f "$log"
if [ -n "$nginx_unit" ]; then
  as_root systemctl --quiet --runtime unmask "$nginx_unit"
  trap - EXIT
  as_root systemctl --quiet disable "$nginx_unit"
  echo "deps: nginx's own service is not started and not enabled; the emulator starts an nginx of its own"
fi

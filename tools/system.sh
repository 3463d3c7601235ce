#!/bin/sh
# System packages that the full test run uses. As root they are installed; otherwise the tests that need
# them are skipped and listed at the end of the run.
set -eu
missing=
need() { # need PROGRAM-OR-PATH PACKAGE
    command -v "$1" >/dev/null 2>&1 || [ -x "$1" ] || missing="$missing $2"
}
need git git
need ssh openssh-client
need /usr/sbin/sshd openssh-server
need rsync rsync
need chromium chromium
need prometheus prometheus
need node nodejs
need phpunit phpunit
need /usr/sbin/mariadbd mariadb-server
need carbon-cache graphite-carbon
[ -e /usr/lib/python3/dist-packages/graphite/settings.py ] || missing="$missing graphite-web"
[ -n "$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] || missing="$missing postgresql"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "setup: not installed:$missing (needs root and apt-get); tests that need them are skipped and listed"
    exit 0
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# The tests start servers themselves, in folders of their own: none is to run on this machine from now on.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
fi
if { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
    rm -f "$log"
else
    echo "setup: apt-get failed; the end of what it said:" >&2
    tail -n 20 "$log" >&2
    exit 1
fi

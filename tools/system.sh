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
[ -n "$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] || missing="$missing postgresql"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "setup: not installed:$missing (needs root and apt-get); tests that need them are skipped and listed"
    exit 0
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
    rm -f "$log"
else
    echo "setup: apt-get failed; the end of what it said:" >&2
    tail -n 20 "$log" >&2
    exit 1
fi

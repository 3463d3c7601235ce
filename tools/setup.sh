#!/bin/sh
# Makes .venv from the locked requirements: `tools/setup.sh run` or `tools/setup.sh dev`. `tools/setup.sh farm`
# makes .venv-farm: Buildbot, which is GPL, lives in an environment of its own and is only ever run beside Leuko.
set -eu
kind=$1
venv=.venv
[ "$kind" != farm ] || venv=.venv-farm
python=${PYTHON:-python3}

"$python" - <<'PY' || { echo "leuko needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
PY

if [ ! -x "$venv/bin/pip" ]; then
    rm -rf "$venv"
    if ! "$python" -m venv "$venv" 2>/dev/null; then
        rm -rf "$venv"
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            echo "setup: installing python3-venv (this Python comes without it)"
            apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
            "$python" -m venv "$venv"
        else
            echo "setup: this Python cannot make a virtual environment; install python3-venv and call again" >&2
            exit 1
        fi
    fi
fi
if [ "$(id -u)" = 0 ] && command -v useradd >/dev/null && ! id leuko-verify >/dev/null 2>&1; then
    echo "setup: making the user leuko-verify, as whom tests and builds run"
    useradd --system --user-group --create-home --home-dir /var/lib/leuko-verify --shell /usr/sbin/nologin leuko-verify
    chmod 711 /var/lib/leuko-verify
fi
if [ "$kind" = farm ]; then
    echo "setup: installing Buildbot into $venv, for the tests of farms"
    if ! "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r requirements/farm.txt; then
        echo "setup: Buildbot could not be installed; tests that need it are skipped and listed"
        rm -rf "$venv"
        mkdir -p "$venv"
    fi
    touch "$venv/.farm"
    exit 0
fi
echo "setup: installing the locked requirements ($kind) into $venv"
"$venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r "requirements/$kind.txt"
# The project itself needs no build backend: a .pth file and an entry script are all that an editable install is.
"$venv/bin/python" tools/link.py
touch "$venv/.$kind"
[ "$kind" = run ] || touch "$venv/.run"

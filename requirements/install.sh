#!/usr/bin/env bash
# Makes .venv with the locked packages and the project itself. Quick, and silent, when nothing has changed.
# Call it through `make setup`. PYTHON=… chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=.venv/.installed
state() { # what the environment depends on: the locks, the project's table, and where it stands
    cat requirements/dev.lock requirements/installer.lock pyproject.toml requirements/install.sh | sha256sum
    pwd
}

if [[ -f $stamp ]] && [[ "$(state)" == "$(cat "$stamp")" ]] && .venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

say() { echo "setup: $*" >&2; }

recent_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

can_make_environments() { "$1" -c 'import venv, ensurepip' 2>/dev/null; }

find_python() { # the newest that can be used; else what to install
    local candidate without_venv=
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        recent_enough "$candidate" || continue
        if can_make_environments "$candidate"; then
            command -v "$candidate"
            return
        fi
        without_venv=${without_venv:-$candidate}
    done
    if [[ -n $without_venv ]]; then
        say "$without_venv has no venv module"
        say "on Debian and Ubuntu: apt-get install python3-venv (or python3.N-venv for this very version)"
    else
        say "Python 3.11 or newer is needed; tried: ${PYTHON:-python3.13 python3.12 python3.11 python3}"
        say "on Debian 12, Ubuntu 24.04 or newer: apt-get install python3 python3-venv"
        say "elsewhere: install it and run: make setup PYTHON=/path/to/python3"
    fi
    return 1
}

make_environment() {
    local python
    python=$(find_python)
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

# An environment of another folder, of a Python that is gone, or of one too old is made anew.
if ! recent_enough .venv/bin/python || [[ "$(.venv/bin/python -c 'import sys; print(sys.prefix)')" != "$PWD/.venv" ]] ||
    ! grep -qsF "$PWD/.venv" .venv/bin/activate; then
    make_environment
fi
rm -f "$stamp"

pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }

say "installing the locked packages"
if ! { pip install --require-hashes -r requirements/installer.lock &&
    .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements/dev.lock; }; then
    say "uv could not; pip does it, which takes a minute"
    pip install --require-hashes -r requirements/dev.lock
fi
# The build backend is in the lock, so nothing outside it is fetched to build the project.
pip install --no-deps --no-build-isolation --editable .

state >"$stamp"
say "done: .venv/bin/liqwatch"

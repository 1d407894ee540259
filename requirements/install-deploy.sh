#!/usr/bin/env bash
# Adds to .venv the tools that only check deploy/: large, and no part of what runs. Quick when nothing has changed.
# Where a platform has none of them, their tests are skipped; in CI that is a failure. Call it through `make setup-deploy`.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=.venv/.installed-deploy
state() { sha256sum requirements/deploy.lock requirements/install-deploy.sh; }

if [[ -f $stamp ]] && [[ "$(state)" == "$(cat "$stamp")" ]]; then
    exit 0
fi

say() { echo "setup: $*" >&2; }

say "installing the tools that check deploy/"
if .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements/deploy.lock ||
    .venv/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/deploy.lock; then
    state >"$stamp"
elif [[ ${CI:-} == true ]]; then
    exit 1
else
    say "they could not be installed here; the tests that need them are skipped"
fi

#!/usr/bin/env bash
# Resolves pyproject.toml into the hashed locks: run (the program), dev (with its extra, tests and tools), deploy
# (tools that check deploy/), installer (what installs them).
# Call it through `make lock`; `make lock ARGS=--upgrade` takes newer versions.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    local lock=$1
    shift
    # A lock names packages and hashes, never where they come from: that is up to the machine that installs them.
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
        --output-file "requirements/$lock.lock" "$@" >/dev/null
    echo "requirements/$lock.lock"
}

compile run pyproject.toml "$@"
compile dev pyproject.toml --extra charts --group pyproject.toml:dev --constraint requirements/run.lock "$@" # the same versions
compile deploy --group pyproject.toml:deploy --constraint requirements/dev.lock "$@"
compile installer --group pyproject.toml:installer "$@"

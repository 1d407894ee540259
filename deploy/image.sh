#!/usr/bin/env bash
# Builds the image with Docker, or with buildah where there is no engine: deploy/image.sh [TAG]. BASE=… takes another base
# image: any Debian that has Python 3.11 or newer with its venv module.
set -euo pipefail
cd "$(dirname "$0")/.."

tag=${1:-liqwatch:local}
arguments=(--file deploy/Dockerfile --tag "$tag")
[[ -n ${BASE:-} ]] && arguments+=(--build-arg "BASE=$BASE")

if docker info >/dev/null 2>&1; then
    DOCKER_BUILDKIT=1 docker build "${arguments[@]}" .
elif command -v buildah >/dev/null; then
    # This buildah does not look for an ignore file beside the Dockerfile.
    buildah build --format docker --ignorefile deploy/Dockerfile.dockerignore "${arguments[@]}" .
else
    echo "image: neither Docker with its engine nor buildah is here. On Debian: apt-get install buildah" >&2
    exit 1
fi

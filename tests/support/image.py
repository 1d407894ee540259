"""Builds the image with buildah, which needs no engine, and runs it as a container would: read-only, without rights."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from .repository import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")  # this machine's own: its package index may need them
DEBIAN_SECONDS = 600
PACKAGES = "python3,python3-venv,ca-certificates"
# In a mount namespace of its own: the root is read-only, but for /tmp and for the volume of the program.
RUN = """
set -eu
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 none "$root/tmp"
mount -t tmpfs -o uid=10001,gid=10001 none "$root/var/lib/liqwatch"
mount --rbind /proc "$root/proc"
exec chroot --userspec=10001:10001 "$root" env -i PATH=/opt/liqwatch/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 "$@"
"""


@dataclass(frozen=True)
class Buildah:
    """buildah with a store of its own."""

    folder: Path

    def __call__(self, *arguments: str, seconds: float = 600) -> str:
        """Its answer. Raises `AssertionError` with what it said where it fails."""
        done = subprocess.run(
            ["buildah", *arguments],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, f"buildah {' '.join(arguments)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()

    @property
    def environment(self) -> dict[str, str]:
        (self.folder / "run").mkdir(parents=True, exist_ok=True)
        storage = self.folder / "storage.conf"
        storage.write_text(
            f'[storage]\ndriver = "vfs"\nrunroot = "{self.folder}/run"\ngraphroot = "{self.folder}/storage"\n'
        )
        return {**os.environ, "BUILDAH_ISOLATION": "chroot", "CONTAINERS_STORAGE_CONF": str(storage)}

    def base(self) -> str:
        """The base image that the Dockerfile names; where it cannot be had, a small Debian made here."""
        (wanted,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
        try:
            self("pull", "--quiet", wanted, seconds=120)
        except (AssertionError, subprocess.TimeoutExpired):
            return self._debian()
        return str(wanted)

    def _debian(self) -> str:
        if shutil.which("debootstrap") is None:
            missing_base("debootstrap is not here either")
        root = self.folder / "debian"
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)]
        try:
            made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEBIAN_SECONDS)
            if made.returncode != 0:
                missing_base(f"debootstrap says: {made.stdout[-300:]}")
            if AUTHORITIES.exists():
                shutil.copy(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
            container = self("from", "scratch")
            self("copy", "--quiet", container, str(root), "/")
            self("config", "--env", f"PIP_CERT={AUTHORITIES}", container)
            self("commit", "--quiet", container, "localhost/base")
            self("rm", container)
        except subprocess.TimeoutExpired as error:
            missing_base(f"it took more than {error.timeout:.0f} s to make one")
        finally:
            shutil.rmtree(root, ignore_errors=True)
        return "localhost/base"


def missing_base(why: str) -> None:
    pytest.skip(f"the base image of the Dockerfile cannot be had here, and {why}")


def run(root: str, *command: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """A command in the file system of the image, as user 10001."""
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", RUN, "run", root, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )

"""The image is built from the locks, and runs without rights on a root that it cannot write to."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from liqwatch import __version__
from tests.support.image import DOCKERFILE, Buildah, run
from tests.support.repository import ROOT
from tests.support.required import tool

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The root of the built image."""
    if os.environ.get("CI") != "true":
        pytest.skip("takes minutes, so only with CI=true: CI=true make test ARGS=tests/acceptance/test_image.py")
    if shutil.which("buildah") is None:
        pytest.skip("buildah not found: on Debian, apt-get install buildah debootstrap")
    if os.geteuid() != 0:
        pytest.skip("to look into an image without an engine takes root")
    buildah = Buildah(tmp_path_factory.mktemp("image"))
    try:
        base = buildah.base()
        # No engine is asked here, even where one answers: the test looks into what buildah has stored.
        hidden = {**buildah.environment, "BASE": base, "DOCKER_HOST": "unix:///nowhere"}
        command = [str(ROOT / "deploy" / "image.sh"), "localhost/liqwatch"]
        done = subprocess.run(command, env=hidden, capture_output=True, text=True, check=False, timeout=600)
        assert 0 == done.returncode, done.stderr[-4000:]
        container = buildah("from", "localhost/liqwatch")
        assert "10001:10001" == buildah("inspect", "--format", "{{.OCIv1.Config.User}}", container)
        assert "[liqwatch]" == buildah("inspect", "--format", "{{.OCIv1.Config.Entrypoint}}", container)
        yield buildah("mount", container)
        buildah("umount", container)
    finally:
        shutil.rmtree(buildah.folder, ignore_errors=True)


def test_the_program_of_this_version_is_in_it(image: str) -> None:
    done = run(image, "liqwatch", "--version")
    assert 0 == done.returncode, done.stderr
    assert __version__ in done.stdout


def test_a_whole_crash_day_plays_without_rights_on_a_read_only_root(image: str) -> None:
    done = run(image, "liqwatch", "demo", "--speed", "7200")
    assert 0 == done.returncode, done.stderr[-4000:]
    assert "of longs liquidated" in done.stdout


def test_it_cannot_write_where_it_lies_and_is_not_root(image: str) -> None:
    done = run(
        image, "sh", "-c", "id -u; touch /opt/liqwatch/x /etc/x 2>&1; touch /tmp/x /var/lib/liqwatch/x && echo written"
    )
    lines = done.stdout.splitlines()
    assert "10001" == lines[0]
    assert "written" == lines[-1]
    assert 2 == sum("Read-only file system" in line for line in lines)


def test_what_only_builds_it_is_not_in_it(image: str) -> None:
    assert not (Path(image) / "source").exists()
    assert not (Path(image) / "build").exists()
    assert not list(Path(image).glob("opt/liqwatch/bin/pip*"))


def test_the_dockerfile_has_nothing_that_hadolint_minds(tmp_path: Path) -> None:
    hadolint = tool("hadolint", "make setup-deploy")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout
    spoilt = tmp_path / "Dockerfile"
    spoilt.write_text(DOCKERFILE.read_text() + "RUN cd /tmp && sudo rm -rf x\n")
    assert 0 != subprocess.run([hadolint, str(spoilt)], capture_output=True, check=False).returncode

"""tools/tfx_chroot.sh takes along what pip's settings name. Its system and its mounts are stood in for here."""

import os
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[1] / "tools" / "tfx_chroot.sh"
STANDING_IN = {
    "debootstrap": 'for one in "$@"; do case $one in /*) mkdir -p "$one/etc/ssl/certs" "$one/etc/apt";; esac; done',
    # of its arguments: bash's own, then root, repository, folders to mount and the command
    "unshare": 'while [ "$1" != tfx_chroot ]; do shift; done; printf "%s\\n" "$4" >"$2/mounted"',
    "apt-get": "true",
}


@pytest.mark.skipif(os.geteuid() != 0, reason="the script asks for root")
def test_what_pip_is_set_to_read_is_there_inside(tmp_path):
    bin_, places = tmp_path / "bin", tmp_path / "places"
    bin_.mkdir()
    for name, text in STANDING_IN.items():
        (bin_ / name).write_text(f"#!/bin/bash\n{text}\n")
        (bin_ / name).chmod(0o755)
    for name in ("constraints.txt", "more.txt", "client.pem", "by_variable.txt", "authority.pem"):
        (places / name).parent.mkdir(exist_ok=True)
        (places / name).write_text(name)
    for folder in ("wheels", "index/simple"):
        (places / folder).mkdir(parents=True)
    settings = places / "pip.conf"
    settings.write_text(
        f"[global]\nconstraint =\n  {places}/constraints.txt\n  file://{places}/more.txt\n"
        f"client-cert = {places}/client.pem\n"
        f"find-links = {places}/wheels {places}/none\nextra-index-url = file://{places}/index/simple\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment |= {"PIP_CONFIG_FILE": str(settings), "PIP_REQUIREMENT": str(places / "by_variable.txt")}
    environment |= {"SSL_CERT_FILE": str(places / "authority.pem"), "PATH": f"{bin_}:{os.environ['PATH']}"}
    root = tmp_path / "root"
    ran = subprocess.run([SCRIPT, root, "true"], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    there = {path.name: path.read_text() for path in root.joinpath(*places.parts[1:]).iterdir()}
    assert there.pop("pip.conf") == settings.read_text()
    assert there == {name: name for name in there}
    assert set(there) == {"constraints.txt", "more.txt", "client.pem", "by_variable.txt", "authority.pem"}
    mounted = (root / "mounted").read_text().split()
    assert {str(places / "wheels"), str(places / "index")} <= set(mounted)

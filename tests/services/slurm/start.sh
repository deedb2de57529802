#!/usr/bin/env bash
# A private Slurm of one node on loopback, as root; touches nothing outside its directory.
#   ./start.sh DIRECTORY     then: export SLURM_CONF=DIRECTORY/slurm.conf; ./stop.sh DIRECTORY ends it
#
# SLURM_CPUS and SLURM_MEMORY (MiB) are what the node has to give. There are no cgroups: memory is looked at every second,
# and a job over its limit is killed. There is no accounting either (sacct), so that jobs are forgotten after MinJobAge.
set -euo pipefail
mkdir -p "$1"
base="$(cd "$1" && pwd)"
host="$(hostname -s)"
mkdir -p "$base"/{state,spool,log,run}
chmod 755 "$base"
dd if=/dev/urandom of="$base/munge.key" bs=128 count=1 2> /dev/null
chmod 400 "$base/munge.key"
munged --force --key-file="$base/munge.key" --socket="$base/run/munge.sock" --pid-file="$base/run/munged.pid" \
    --log-file="$base/log/munged.log" --seed-file="$base/run/munged.seed" 2> /dev/null
cat > "$base/slurm.conf" <<CONF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=${SLURM_PORT:-16817}
SlurmdPort=$((${SLURM_PORT:-16817} + 1))
AuthType=auth/munge
AuthInfo=socket=$base/run/munge.sock
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$base/state
SlurmdSpoolDir=$base/spool
SlurmctldPidFile=$base/run/slurmctld.pid
SlurmdPidFile=$base/run/slurmd.pid
SlurmctldLogFile=$base/log/slurmctld.log
SlurmdLogFile=$base/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=10000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
MinJobAge=${SLURM_MIN_JOB_AGE:-300}
NodeName=$host NodeAddr=127.0.0.1 CPUs=${SLURM_CPUS:-2} RealMemory=${SLURM_MEMORY:-8000} State=UNKNOWN
PartitionName=debug Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF="$base/slurm.conf"
slurmctld -c
slurmd -c
for _ in $(seq 80); do
    [ "$(sinfo -h -o %t 2> /dev/null)" = idle ] && exit 0
    sleep 0.25
done
"$(dirname "$0")/stop.sh" "$base" || true
echo "Slurm did not become ready, perhaps as another one is on its ports (SLURM_PORT=…): see $base/log" >&2
exit 1

#!/usr/bin/env bash
# Runs a command with an S3 server as clusters have it, Ceph's radosgw, on this machine: one monitor, one object store
# in memory, one gateway, all on loopback and without systemd.
#   ./ceph.sh COMMAND…      installs Debian's packages where they are missing (280 MB); must be root
# The command finds the server in AFRAME_TEST_S3 (endpoint, key, secret); all of it ends with the command.
set -euo pipefail
port="${RGW_PORT:-7480}" monitor="${MON_PORT:-16789}"
if ! command -v radosgw > /dev/null; then
    apt-get update > /dev/null
    apt-get install -y --no-install-recommends ceph-mon ceph-osd radosgw ceph-mgr ceph-common < /dev/null > /dev/null
fi
base="$(mktemp -d)"
stop() {
    for name in client.rgw osd.0 mon.a; do
        pid="$(cat "$base/run/$name.pid" 2>/dev/null || true)"
        [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
        for _ in $(seq 50); do [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && sleep 0.2 || break; done
    done
    rm -rf "$base"
}
trap stop EXIT
mkdir -p "$base"/{mon,osd,run,log,rgw}
cat > "$base/ceph.conf" <<CONF
[global]
fsid = 11111111-2222-3333-4444-555555555555
mon host = v1:127.0.0.1:$monitor
ms bind msgr2 = false
public network = 127.0.0.0/8
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
osd crush update on start = true
osd objectstore = memstore
memstore device bytes = 4294967296
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 1000
auth allow insecure global id reclaim = true
mon data = $base/mon
osd data = $base/osd
keyring = $base/keyring
admin socket = $base/run/\$name.asok
pid file = $base/run/\$name.pid
run dir = $base/run
log file = $base/log/\$name.log
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$port
rgw data = $base/rgw
rgw dns name = localhost
CONF
export CEPH_CONF="$base/ceph.conf"
{
    ceph-authtool --create-keyring "$base/keyring" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool "$base/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    monmaptool --create --clobber --addv a "[v1:127.0.0.1:$monitor]" --fsid 11111111-2222-3333-4444-555555555555 "$base/monmap"
    ceph-mon --mkfs -i a --monmap "$base/monmap" --keyring "$base/keyring"
    ceph-mon -i a
    ceph osd create
    ceph-osd -i 0 --mkfs
    ceph-osd -i 0
    for _ in $(seq 60); do ceph osd stat | grep -q '1 up' && break; sleep 1; done
    radosgw -n client.rgw
    for _ in $(seq 120); do curl -s -o /dev/null "127.0.0.1:$port" && break; sleep 1; done
    radosgw-admin user create --uid=test --display-name=test --access-key=test --secret-key=testsecret
} > "$base/log/start.txt" 2>&1 || { tail -5 "$base/log/start.txt" >&2; exit 1; }
export AFRAME_TEST_S3="http://127.0.0.1:$port test testsecret"
"$@"

#!/bin/bash
# PID 1 of a node.
#
# The kernel command line names the node's directory on the machine (`node=`); `parameters` in it says the rest.
# The machine's file system is the root, mounted read-only. What a node keeps over a loss of power, as a machine
# keeps its disk, is /var/lib (a disk image of its own) and /var/log (a directory on the machine).
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/run

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm

for word in $(</proc/cmdline); do
    case $word in node=*) node=${word#node=} ;; esac
done
# shellcheck source=/dev/null
. "$node/parameters"
say() { echo "$(cut -d' ' -f1 /proc/uptime) $NODE $*"; }

mount --bind /usr/lib/uml/modules /lib/modules
modprobe -a overlay ipv6
for tree in etc opt tmp; do
    mkdir -p /run/overlay/$tree/{upper,work}
    mount -t overlay -o "lowerdir=/$tree,upperdir=/run/overlay/$tree/upper,workdir=/run/overlay/$tree/work" $tree /$tree
done
mount -t hostfs -o "$node/log" none /var/log
mount -t ext4 /dev/ubda /var/lib
mkdir -p /var/lib/{kubelet,containerd,dpkg}
hostname "$NODE"
# What is written reaches the disk and the logs' directory soon: power may be lost at any moment.
echo 100 >/proc/sys/vm/dirty_expire_centisecs
echo 100 >/proc/sys/vm/dirty_writeback_centisecs

{
    echo link set lo up
    card=0
    while read -r name mtu address address6; do
        printf '%s\n' "link set vec$card name $name" "link set $name mtu $mtu up" \
            "address add $address dev $name" "address add $address6 dev $name nodad"
        card=$((card + 1))
    done <<<"$CARDS"
    printf '%s\n' "link set vec$card name mgmt0" "link set mgmt0 up" "address add $MANAGEMENT/24 dev mgmt0"
    # Kubernetes Services and pods: also where the default route leads elsewhere.
    printf 'route add %s via %s\n' 10.96.0.0/16 "$CONTROL" 10.244.0.0/16 "$CONTROL" default "$GATEWAY"
} | ip -batch -
# The command channel has a network card of its own, so that a cut data cable leaves it working.
keep() {
    local log=$1
    shift
    while :; do
        "$@" >>"$log" 2>&1
        echo "ended with status $?; starting it again" >>"$log"
        sleep 1
    done
}
keep /var/log/channel.log "$LAB" guest --listen "$MANAGEMENT:$CHANNEL_PORT" &

# shellcheck disable=SC2046 # one word per module
modprobe -a $(cd /lib/modules/*/kernel/net/netfilter/ipvs && printf '%s\n' ./*.ko | sed 's|^\./||; s|\.ko$||') \
    veth bridge br_netfilter dummy macvlan ipip fou ip_gre nlmon sctp sch_netem ifb act_mirred cls_matchall \
    iptable_mangle ip6table_mangle iptable_filter iptable_nat xt_mark xt_multiport xt_comment
echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables
# The kubelet wants a clock rate, which this kernel does not tell.
{ cat /proc/cpuinfo; echo 'cpu MHz		: 2000.000'; } >/run/cpuinfo
mount --bind /run/cpuinfo /proc/cpuinfo
say "network and modules ready"

keep /var/log/containerd.log "$BIN/containerd" -c "$node/containerd.toml" &
until [ -S /run/containerd/containerd.sock ]; do sleep 0.1; done
say "containerd answers"

"$node/import" "$IMAGES"/*.tar
say "images imported"

keep /var/log/kubelet.log "$BIN/kubelet" --config="$node/kubelet.yaml" --kubeconfig="$node/kubeconfig" \
    --hostname-override="$NODE" --node-ip="$ADDRESS" --root-dir=/var/lib/kubelet --v=1 &
: >/run/booted
say "kubelet started"

# PID 1 also takes in the processes that lost their parent.
while :; do wait; sleep 60; done

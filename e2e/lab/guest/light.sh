#!/bin/bash
# PID 1 of the light lane: one kernel that runs one command and stops.
#
# The kernel command line names the job's directory on the machine (`job=`). In it, each item ended by a NUL:
#   command      the working directory, then the command and its arguments
#   environment  NAME=VALUE
#   hosts        one "NAME ADDRESS/PREFIX" per line: network namespaces to make, joined by a bridge
# The exit status is written to `status`. Consoles: tty0 is the kernel's, tty1 and tty2 carry the command's
# standard output and error.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount --bind /usr/lib/uml/modules /lib/modules
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm

for word in $(</proc/cmdline); do
    case $word in job=*) job=${word#job=} ;; esac
done

# The command sees the machine's files and may write anywhere: what it writes stays in this kernel's memory.
modprobe overlay
mkdir -p /run/{upper,work,root,job}
mount -t overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work overlay /run/root
mount -t hostfs -o "$job" none /run/job
for tree in proc sys dev lib/modules; do mount --rbind "/$tree" "/run/root/$tree"; done
mount -t tmpfs tmpfs /run/root/run
mount -t tmpfs tmpfs /run/root/var/lib
mkdir -p /run/root/run/netns

# shellcheck disable=SC2046 # one word per module
modprobe -a $(cd /lib/modules/*/kernel/net/netfilter/ipvs && printf '%s\n' ./*.ko | sed 's|^\./||; s|\.ko$||') \
    dummy veth bridge macvlan sch_netem iptable_mangle iptable_filter xt_mark xt_multiport
ip link set lo up

if [ -s /run/job/hosts ]; then
    printf '%s\n' 'link add lan type bridge forward_delay 0' 'link set lan up' >/run/hosts.1
    while read -r name address; do
        printf '%s\n' "netns add $name" >>/run/hosts.1
        printf '%s\n' "link add $name type veth peer name eth0 netns $name" "link set $name master lan up" >>/run/hosts.2
        printf '%s\n' "link set lo up" "link set eth0 up" "address add $address dev eth0" >"/run/hosts.$name"
    done </run/job/hosts
    for batch in 1 2; do chroot /run/root ip -batch - <"/run/hosts.$batch"; done
    while read -r name _; do chroot /run/root ip -netns "$name" -batch - <"/run/hosts.$name"; done </run/job/hosts
fi

mapfile -d '' -t command </run/job/command
mapfile -d '' -t environment </run/job/environment
directory=${command[0]}
command=("${command[@]:1}")

# Through pipes, so that the command does not take its output for a terminal.
mkfifo /run/out /run/err
stty -F /dev/tty1 raw -echo
stty -F /dev/tty2 raw -echo
cat </run/out >/dev/tty1 &
out=$!
cat </run/err >/dev/tty2 &
err=$!
env -i "${environment[@]}" chroot /run/root /bin/bash -c 'cd "$0" && exec "$@"' \
    "$directory" "${command[@]}" </dev/null >/run/out 2>/run/err
status=$?

# A daemon that the command left behind holds the pipes open: what it writes later is of no interest.
(sleep 1; kill $out $err) 2>/dev/null &
wait $out $err
stty -F /dev/tty1 raw
stty -F /dev/tty2 raw
echo $status >/run/job/status
umount /run/job
echo o >/proc/sysrq-trigger
exec sleep infinity

#!/bin/busybox sh
# PID 1 of the stock lane: Debian's kernel in an emulator runs one command and stops.
#
# Two trees of the machine come over 9p: `machine` is its root, read-only, `job` the run's directory:
#   command      a script: environment, working directory, command
#   stdout, stderr, status   what is left of it
# The kernel's modules are in this initial file system already.
/bin/busybox mkdir -p /proc /sys /dev /run /machine /job
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t tmpfs tmpfs /run
for module in $(/bin/busybox cat /early); do /bin/busybox insmod "$module"; done

share() { /bin/busybox mount -t 9p -o "trans=virtio,version=9p2000.L,msize=524288,$3" "$1" "$2"; }
# The machine's files do not change while the command runs, so they need not be asked for twice.
share machine /machine ro,cache=loose
share job /job rw,cache=none

# The command sees the machine's files and may write anywhere: what it writes stays in this kernel's memory.
/bin/busybox mkdir -p /run/upper /run/work /run/root
/bin/busybox mount -t overlay -o lowerdir=/machine,upperdir=/run/upper,workdir=/run/work overlay /run/root
root=/run/root
for tree in proc sys dev; do /bin/busybox mount -o rbind "/$tree" "$root/$tree"; done
for tree in run tmp var/lib; do /bin/busybox mount -t tmpfs tmpfs "$root/$tree"; done
/bin/busybox mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/run/netns" "$root/run/job"
/bin/busybox mount -t devpts devpts "$root/dev/pts"
/bin/busybox mount -o bind /lib/modules "$root/lib/modules"
/bin/busybox mount -o bind /job "$root/run/job"

# The kernel asks for modules here, outside of the tree that has the program for it.
/bin/busybox mkdir -p /sbin
printf '#!/bin/busybox sh\nexec /bin/busybox chroot %s /sbin/modprobe "$@"\n' "$root" >/sbin/modprobe
/bin/busybox chmod 755 /sbin/modprobe

/bin/busybox chroot "$root" /bin/bash /run/job/command </dev/null >/job/stdout 2>/job/stderr
echo $? >/job/status
/bin/busybox umount "$root/run/job" /job
/bin/busybox poweroff -f

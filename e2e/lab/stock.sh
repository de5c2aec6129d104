#!/bin/bash
# Runs one command in Debian's stock kernel, in an emulator: stock.sh [--timeout SECONDS] -- COMMAND [ARGUMENT...]
#
# The lab's own kernels (user-mode Linux) have IPVS but not nftables for IP; this one has all that a distribution
# ships. The command runs as root, sees the machine's files, and what it writes stays in the kernel's memory. The
# exit status is the command's, and its output comes when it has ended. No hardware virtualisation is needed: booting
# takes about seven seconds.
#
# The kernel is Debian's package, fetched once, unpacked under target/lab/stock and never installed. Further words:
#   STOCK_MEMORY_MIB   memory of the kernel, 1024 if not set
set -euo pipefail

directory=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
stock=$directory/../../target/lab/stock
timeout_seconds=280
packages=(qemu-system-x86 busybox-static nftables)

die() { printf 'stock: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        --timeout) timeout_seconds=$2; shift 2 ;;
        --) shift; break ;;
        *) die "unknown word $1; usage: stock.sh [--timeout SECONDS] -- COMMAND [ARGUMENT...]" ;;
    esac
done
[ $# -gt 0 ] || die "no command; usage: stock.sh [--timeout SECONDS] -- COMMAND [ARGUMENT...]"

for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        die "the package $package is missing: run make setup"
done

mkdir -p "$stock"
stock=$(cd "$stock" && pwd)
# Two runs at a time fetch and unpack once.
exec 9>"$stock/lock"
flock 9
if ! [ "$stock/initramfs" -nt "$directory/guest/stock.sh" ]; then
    tree=$stock/tree
    rm -rf "$tree" "$stock/package"
    mkdir -p "$tree" "$stock/package"
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$package" ] || die "apt knows no linux-image-amd64: run apt-get update; Debian's archive is needed"
    (cd "$stock/package" && apt-get download -qq -o APT::Sandbox::User=root "$package" >&2)
    dpkg-deb -x "$stock/package/"*.deb "$tree"
    release=$(ls "$tree/lib/modules")
    mv "$tree/boot/vmlinuz-$release" "$stock/vmlinuz"
    # Networking and what 9p and the overlay need; the rest is a hundred megabytes of drivers.
    (
        cd "$tree/lib/modules/$release/kernel"
        find . -name '*.ko' ! -path './net/*' ! -path './fs/*' ! -path './drivers/net/*' ! -path './drivers/virtio/*' \
            ! -path './lib/*' ! -path './crypto/*' -delete
        rm -rf drivers/net/{ethernet,wireless,usb,can,wwan,phy} fs/{btrfs,xfs,ext4,f2fs,nfs,ocfs2,gfs2,ceph,cifs,smb,afs}
        rm -rf net/{mac80211,wireless,bluetooth,can,sunrpc,ceph,rds,tipc,batman-adv,nfc,smc}
    )
    depmod -b "$tree" "$release" 2>/dev/null
    modprobe -d "$tree" -S "$release" --show-depends -a 9p 9pnet_virtio virtio_pci overlay |
        sed "s|^insmod $tree||" | awk '{ print $1 }' | awk '!seen[$0]++' >"$tree/early"
    rm -rf "$tree/boot" "$tree/usr"
    mkdir -p "$tree/bin"
    cp /bin/busybox "$tree/bin/busybox"
    cp "$directory/guest/stock.sh" "$tree/init"
    chmod 755 "$tree/init"
    (cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$stock/initramfs.new"
    mv "$stock/initramfs.new" "$stock/initramfs"
    rm -rf "$tree" "$stock/package"
fi
flock -u 9

job=$(mktemp -d "$stock/job.XXXXXX")
emulator=
clean() {
    [ -z "$emulator" ] || kill "$emulator" 2>/dev/null || true
    rm -rf "$job"
}
trap clean EXIT
{
    export -p
    printf 'unset RUST_BACKTRACE\n'
    printf 'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n'
    printf 'cd %q\n' "$PWD"
    printf 'exec'
    printf ' %q' "$@"
    printf '\n'
} >"$job/command"

timeout "$timeout_seconds" setpriv --pdeathsig KILL -- qemu-system-x86_64 \
    -machine q35,accel=tcg -cpu max -smp 2 -m "${STOCK_MEMORY_MIB:-1024}" \
    -nodefaults -no-user-config -display none -no-reboot \
    -kernel "$stock/vmlinuz" -initrd "$stock/initramfs" \
    -append "console=ttyS0 panic=-1 mitigations=off random.trust_cpu=on quiet" \
    -serial "file:$job/console" \
    -virtfs "local,path=/,mount_tag=machine,security_model=none,readonly=on,multidevs=remap" \
    -virtfs "local,path=$job,mount_tag=job,security_model=none" &
emulator=$!
wait "$emulator" || true
emulator=

cat "$job/stdout" 2>/dev/null || true
cat "$job/stderr" >&2 2>/dev/null || true
if ! [ -s "$job/status" ]; then
    cat "$job/console" >&2
    die "the kernel stopped before the command ended, or $timeout_seconds s were over"
fi
exit "$(cat "$job/status")"

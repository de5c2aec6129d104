#!/bin/bash
# Makes a Debian or Ubuntu machine (x86-64) ready for the lab: packages, Go, the Rust target.
# As root it installs what is missing; otherwise it prints the commands that do, and exits with 1.
# A second run finds everything and does nothing.
set -euo pipefail

# What a kernel of the lab is, then what runs in it or beside it, then what builds it.
packages=(
    user-mode-linux kmod e2fsprogs
    qemu-system-x86 busybox-static nftables
    iproute2 iputils-ping ipvsadm keepalived iptables tcpdump ethtool procps util-linux openssl
    gcc libc6-dev libseccomp-dev pkg-config musl-tools make curl ca-certificates
)
# The release that go.mod of the lab's modules wants; an older Go fetches it by itself from 1.21 on.
go_release=$(sed -n 's/^go //p' "$(dirname "${BASH_SOURCE[0]}")/kubernetes/go.mod")
target=x86_64-unknown-linux-musl

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

[ "$(uname -m)" = x86_64 ] || die "this machine is $(uname -m); the lab needs x86_64"
command -v dpkg-query >/dev/null || die "no dpkg: the lab needs Debian or Ubuntu"

missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done

# Debian 12 packages Go 1.19, which neither reads the lab's go.mod nor fetches a newer one.
go_is_enough() {
    local have
    command -v go >/dev/null || return 1
    have=$(cd / && go env GOVERSION) && have=${have#go}
    [ "$(printf '%s\n' "$1" "$have" | sort -V | head -n 1)" = "$1" ]
}
if ! go_is_enough 1.21; then
    . /etc/os-release
    case ${VERSION_CODENAME:-} in
        bookworm) go_package=golang-go/bookworm-backports ;;
        *) go_package=golang-go ;;
    esac
    missing+=("$go_package")
fi

root_commands=()
if [ ${#missing[@]} -gt 0 ]; then
    if [[ " ${missing[*]} " == *bookworm-backports* ]]; then
        # From the mirror that this machine uses already.
        mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
        root_commands+=("echo 'deb $mirror bookworm-backports main' >/etc/apt/sources.list.d/backports.list")
        # The package alone would still take its compiler from the older release.
        missing=("${missing[@]/golang-go\/bookworm-backports/-t bookworm-backports golang-go}")
    fi
    root_commands+=("apt-get update")
    root_commands+=("DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${missing[*]}")
fi
# Where the nodes' kernels find their modules; Debian makes it with a kernel package only.
[ -d /lib/modules ] || root_commands+=("mkdir -p /lib/modules")

if [ ${#root_commands[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        say "some things are missing. Run as root:"
        printf '    %s\n' "${root_commands[@]}"
        exit 1
    fi
    # Debian starts a service when it is installed; keepalived here is a tool, and the machine's network not ours.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        trap 'rm -f $policy' EXIT
    fi
    for command in "${root_commands[@]}"; do
        say "$command"
        bash -c "$command"
    done
fi

go_is_enough 1.21 || die "go is older than 1.21 even now: install Go $go_release from the Go project's own archive"
if ! go_is_enough "$go_release" && [ "$(go env GOTOOLCHAIN)" = local ]; then
    die "go is older than $go_release and GOTOOLCHAIN=local forbids it to fetch that: run go env -w GOTOOLCHAIN=auto"
fi

command -v cargo >/dev/null || die "no cargo: install Rust by rustup"
if command -v rustup >/dev/null; then
    # rust-toolchain.toml names toolchain, components and target; without a network this is a no-op.
    rustup target list --installed 2>/dev/null | grep -qx $target || { say "rustup target add $target"; rustup target add $target; }
elif [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    die "this Rust has no target $target: install its standard library, or Rust by rustup"
fi
[ -c /dev/net/tun ] || die "no /dev/net/tun: the kernel of this machine needs the module tun (modprobe tun)"
say "everything is there"

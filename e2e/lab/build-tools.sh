#!/bin/bash
# Builds everything that the lab runs and Debian does not package: Kubernetes, etcd, Helm, containerd,
# the CNI plugins, runc and the pause binary.
#
#   build-tools.sh [DIRECTORY]      default: target/lab/bin at the root of the repository
#
# A group is rebuilt only when its pins or its flags have changed, so a second run does nothing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${1:-$here/../../target/lab/bin}
mkdir -p "$bin/.stamps"
bin=$(cd "$bin" && pwd)

export GOFLAGS=-buildvcs=false
started=$SECONDS

say() { printf 'lab-tools: %4ds  %s\n' "$((SECONDS - started))" "$*"; }

# pinned MODULE GO-MOD-FOLDER: the version that the folder's go.mod pins.
pinned() { (cd "$here/$2" && go list -m -f '{{.Version}}' "$1"); }

# group NAME FILES... -- COMMAND: runs COMMAND unless the stamp says that it ran with the same input.
group() {
    local name=$1 files=() stamp
    shift
    while [ "$1" != -- ]; do files+=("$1"); shift; done
    shift
    stamp=$( (cat "${files[@]}" "${BASH_SOURCE[0]}"; go version) | sha256sum | cut -d' ' -f1)
    if [ "$(cat "$bin/.stamps/$name" 2>/dev/null)" = "$stamp" ]; then
        say "$name: up to date"
        return
    fi
    say "$name: building"
    "$@"
    echo "$stamp" >"$bin/.stamps/$name"
    say "$name: done"
}

build_kubernetes() {
    local version x=k8s.io/component-base/version
    version=$(pinned k8s.io/kubernetes kubernetes)
    # Without a version kubectl and Helm refuse the server's answer.
    local minor=${version#v1.}
    cd "$here/kubernetes"
    CGO_ENABLED=0 go build -trimpath -o "$bin/" \
        -ldflags "-s -w -X $x.gitVersion=$version -X $x.gitMajor=1 -X $x.gitMinor=${minor%%.*} -X $x.gitTreeState=clean" \
        k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kubectl}
}

build_etcd() {
    cd "$here/kubernetes"
    CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$bin/etcd" go.etcd.io/etcd/server/v3
}

build_helm() {
    cd "$here/kubernetes"
    CGO_ENABLED=0 go build -trimpath -o "$bin/helm" \
        -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$(pinned helm.sh/helm/v4 kubernetes)" \
        helm.sh/helm/v4/cmd/helm
}

build_containerd() {
    local c=github.com/containerd/containerd/v2 p=github.com/containernetworking/plugins/plugins
    cd "$here/containerd"
    CGO_ENABLED=0 go build -trimpath -tags 'no_btrfs no_zfs no_devmapper' -o "$bin/" \
        -ldflags "-s -w -X $c/version.Version=$(pinned $c containerd)" \
        $c/cmd/{containerd,containerd-shim-runc-v2,ctr}
    mkdir -p "$bin/cni"
    CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$bin/cni/" \
        $p/main/{bridge,loopback} $p/ipam/host-local
}

build_runc() {
    cd "$here/runc"
    CGO_ENABLED=1 go build -trimpath -tags seccomp -ldflags '-s -w' -o "$bin/runc" github.com/opencontainers/runc
}

build_pause() {
    rustc --edition 2024 --target x86_64-unknown-linux-musl -C opt-level=s -C strip=symbols \
        -o "$bin/pause" "$here/guest/pause.rs"
}

kubernetes=("$here/kubernetes/go.mod" "$here/kubernetes/go.sum")
containerd=("$here/containerd/go.mod" "$here/containerd/go.sum")
runc=("$here/runc/go.mod" "$here/runc/go.sum")

# Each in a subshell, so that a build's change of directory stays its own.
group pause "$here/guest/pause.rs" -- eval '(build_pause)'
group runc "${runc[@]}" -- eval '(build_runc)'
group containerd "${containerd[@]}" -- eval '(build_containerd)'
group etcd "${kubernetes[@]}" -- eval '(build_etcd)'
group kubernetes "${kubernetes[@]}" -- eval '(build_kubernetes)'
group helm "${kubernetes[@]}" -- eval '(build_helm)'
say "everything is in $bin"

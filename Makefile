# The two commands of the README come first; both do all set-up on a fresh Debian or Ubuntu machine.

SHELL := /bin/bash
MUSL := x86_64-unknown-linux-musl
RELEASE := target/$(MUSL)/release
IMAGES := target/lab/images
LAB := target/debug/lab

.PHONY: demo demo-down test setup tools images format lint test-long unit chart light marks machines e2e crds bench-idle bench-ipvs bench-failover soak clean-lab

## Bring up a cluster, install the chart, apply examples/01-direct-routing and show what happens.
demo: images
	cargo run -q -p lvs-e2e --bin demo

## Remove every trace of the demo.
demo-down:
	cargo run -q -p lvs-lab -- down --name demo

## Everything that CI runs.
test: setup format lint unit tools chart light machines images e2e

## What takes too long for every change: random edits by the ten thousand, years of VRRP, the power of each node, and Debian's kernel in an emulator.
test-long: tools marks images
	LVS_TEST_SEQUENCES=10000 cargo test -p lvs-e2e --test light -- agent_shells_against_the_kernel
	cargo test -p lvs-e2e --test power_loss
	LVS_VRRP_SIMULATED_HOURS=100000 cargo test --release -p lvs-vrrp --test simulator -- --nocapture long::

## Install what the rest needs (as root), or print the command that does.
setup:
	e2e/lab/setup.sh

## Build Kubernetes, etcd, Helm, containerd and runc from pinned Go modules.
tools: setup
	e2e/lab/build-tools.sh
	cargo build -p lvs-lab

## Build the release binaries and their images.
images: tools
	cargo build --release --target $(MUSL) -p lvs-operator -p lvs-node-agent
	@mkdir -p $(IMAGES)
	$(LAB) image --name localhost/lvs-operator:dev --entrypoint /lvs-operator --output $(IMAGES)/operator.tar $(RELEASE)/lvs-operator
	$(LAB) image --name localhost/lvs-node-agent:dev --entrypoint /lvs-node-agent --output $(IMAGES)/node-agent.tar $(RELEASE)/lvs-node-agent

format: setup
	cargo fmt --all --check

lint: setup
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps

## Tests that need no kernel and no cluster: unit, property, simulation, schema.
unit: setup
	cargo test --workspace --exclude lvs-e2e

## The chart, rendered by Helm.
chart: tools
	cargo test -p lvs-e2e --test chart

## What needs a kernel with IPVS and nothing else, in one that boots in two seconds.
light: tools
	cargo test -p lvs-e2e --test light

## Firewall marks by nftables, which the lab's kernels lack: in Debian's kernel (so on Debian alone), in an emulator.
marks: setup
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$(CURDIR)/e2e/lab/stock.sh --timeout 600 --" \
	    cargo test -p lvs-nftables --test kernel -- --ignored --test-threads=1 --show-output

## The lab keeps its own promises: power, cables, traffic.
machines: tools
	cargo test -p lvs-lab --test machines -- --ignored

## The product's life in five-node clusters: install, fail over, repair, release, and all that IPVS can do.
e2e: images
	cargo test -p lvs-e2e --no-fail-fast --test direct_routing --test three_services --test nat --test tunnel --test data_plane --test active_active --test stickiness

## Resident memory and CPU time at rest beside keepalived's; writes docs/benchmarks/idle.md.
bench-idle: images
	cargo run -q -p lvs-e2e --bin bench-idle

## Time to program IPVS beside keepalived's and ipvsadm's, and the cost of large tables; writes docs/benchmarks/ipvs.md.
bench-ipvs: images
	cargo run -q -p lvs-e2e --bin bench-ipvs -- $(OPTIONS)

## Time until another director answers when the Active one dies or stops, beside keepalived's; about 50 minutes, goes on
## where it was interrupted; writes docs/benchmarks/failover.md. OPTIONS="--events kill --intervals 100 --runs 10" does a part.
bench-failover: images
	cargo run -q -p lvs-e2e --bin bench-failover -- $(OPTIONS)

## Whether a busy CPU alone makes a director take over, beside keepalived; 30 minutes, OPTIONS=2 makes it two; writes
## docs/benchmarks/soak.md, and fails when the agent has taken over.
soak: images
	cargo run -q -p lvs-e2e --bin bench-failover -- --soak $(or $(OPTIONS),30)

## Write the chart's CRDs after a change of the types.
crds:
	cargo run -q -p lvs-crds --bin crdgen -- --chart charts/lvs-operator/templates/crds

## Remove every lab of this checkout, also after a crash.
clean-lab:
	cargo run -q -p lvs-lab -- down --all

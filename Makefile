# jailferry: what people type. `make` alone lists it.
#
# The lab (lab/) makes namespaces and mounts, so it needs root. As another user, sudo is used where it asks for no
# password (sudo -n); where it would, `make test` runs everything else and says what it skipped.

CARGO = cargo
# The tests of the lab and in the lab run as root, the compiler never does.
AS_ROOT = scripts/as-root
TARGET = $(or $(CARGO_TARGET_DIR),target)
# Which cases make faults carries out: all, rest, or such as "42/killed-before 24/*".
FAULTS = all

.DEFAULT_GOAL = help
.PHONY: help build setup demo test network faults bench zfs-lab acceptance check fmt generate man lab clean-lab

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

build: ## the product and the lab, for tests and demo
	$(CARGO) build --workspace --locked

setup: ## what the lab needs (Debian: apt); says what it installs, does nothing when all is there
	@scripts/setup

demo: setup build ## raise a lab, move a jail there and back under a client's eyes, take the lab down
	@$(AS_ROOT) scripts/demo $(TARGET)/debug

test: setup ## every test, those in the lab included
	@scripts/test

network: setup build ## of the tests, the table of networks (README): in each a jail moves, every host boots anew, it moves back
	@$(AS_ROOT) $(CARGO) test --locked --test network

faults: setup build ## every fault at every step of a move, in labs side by side; a table at the end (hours; FAULTS=rest takes up an interrupted one)
	@$(AS_ROOT) env JAILFERRY_FAULTS='$(FAULTS)' $(CARGO) test --locked --test faults -- --nocapture

# All but the planner decides nothing: it prints the tables of docs/performance.md. ONLY="blackout" measures that alone.
bench: setup ## ratios measured side by side: blackout, round trips, throughput, 200 hosts, start-up; the planner's bounds (about two hours)
	$(CARGO) build --release --locked -p lab
	$(CARGO) bench --locked --bench rebalance --bench moves --no-run
	$(CARGO) bench --locked --bench rebalance
	@$(AS_ROOT) $(CARGO) bench --locked --bench moves -- $(ONLY)

# The runner is what cargo starts the tests by; OPENZFS=2.3 takes another version.
zfs-lab: ## the storage commands on a real OpenZFS, in an emulated machine where this one has none (Debian 12; an hour the first time)
	@$(CARGO) test --locked --test openzfs --config "target.'cfg(unix)'.runner = '$(CURDIR)/scripts/zfs-lab/run'" -- --test-threads=1

acceptance: ## the behaviour tests on a fleet of yours: make acceptance FLEET=path/to/fleet.yml
	@scripts/acceptance '$(FLEET)'

check: ## format, lints, documentation, generated files, forbidden words, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --locked --test openzfs -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
	scripts/check-generated
	$(CARGO) test --quiet --locked --test house

fmt: ## format the code
	$(CARGO) fmt --all

generate: ## write schema/*.json, docs/reference.md and the snapshots of --help anew
	UPDATE_SCHEMA=1 $(CARGO) test --locked --test input schemas_are_current
	UPDATE_REFERENCE=1 INSTA_UPDATE=always $(CARGO) test --locked --test cli

man: build ## the manual page, as target/jailferry.8
	$(TARGET)/debug/jailferry man > $(TARGET)/jailferry.8
	@echo "wrote $(TARGET)/jailferry.8"

lab: setup build ## raise a lab to play with, and say how to use it
	@$(AS_ROOT) $(TARGET)/debug/lab --name play up
	@echo "make clean-lab takes it down"

clean-lab: ## take that lab down
	@$(AS_ROOT) $(TARGET)/debug/lab --name play down

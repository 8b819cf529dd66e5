# Everything that a person or CI does with this repository. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CONFIG ?=
SOURCES := Sources Tests Package.swift

# One test after the other: many of them block a thread on a disk, and on a small machine those would starve the ones that
# wait for each other. Clusters of processes run by themselves, two at a time.
define RUN_TESTS
.ci/repeat-failures swift test --skip-build --no-parallel --skip KVClusterTests
.ci/repeat-failures swift test --skip-build --filter KVClusterTests
Tests/Bench/smoke --self-test
KV_EXECUTABLE=.build/debug/kv Tests/Bench/smoke --build debug
Tests/Nemesis/run --self-test
KV_EXECUTABLE=.build/debug/kv Tests/Nemesis/run --seed 11 --seconds 60 --backend lmdb --links proxy
KV_EXECUTABLE=.build/debug/kv Tests/Nemesis/run --seed 12 --seconds 120 --backend mixed --links direct
endef

SEEDS ?= 0...4999
JOBS ?= 2
ROUNDS ?= 60

# The example engines. A compiler comes with Swift where the system has none.
ifeq ($(origin CC),default)
CC := $(shell command -v cc || command -v clang || echo cc)
endif
ifeq ($(origin CXX),default)
CXX := $(shell command -v c++ || command -v clang++ || echo c++)
endif
PLUGINS := .build/plugins
PLUGIN_HEADER := Sources/Backends/CPlugin/kv_backend.h
PLUGIN_FLAGS := -shared -fPIC -O2 -Wall -Wextra -Werror -fvisibility=hidden -I$(dir $(PLUGIN_HEADER))

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

# What the servers are built with. Calls into the standard library cost less when it is part of the program, and code that is
# generic over other modules' types is specialised. That nobody reads what somebody else is changing is checked where
# the tests run, in debug builds. docs/performance.md has what it brings; docker/Dockerfile builds the same way.
RELEASE := -c release -Xswiftc -cross-module-optimization -Xswiftc -enforce-exclusivity=unchecked
ifeq ($(shell uname),Linux)
RELEASE += --static-swift-stdlib
endif

.PHONY: build
build: dependencies ## Compile kv for use: .build/release/kv
	swift build $(RELEASE) --product kv

.PHONY: up
up: build ## Run a whole cluster on this machine: make up [CONFIG=configs/mixed.json]
	exec .build/release/kv up $(if $(CONFIG),--config '$(CONFIG)')

.PHONY: plugins
plugins: plugin-dependencies ## Build the example storage engines into .build/plugins: see docs/plugins.md
	$(MAKE) $(PLUGINS)/libkv_tiny.so $(PLUGINS)/libkv_page.so $(PLUGINS)/libkv_rocksdb.so

$(PLUGINS)/libkv_tiny.so: Sources/Backends/PluginExamples/tiny/kv_tiny.c $(PLUGIN_HEADER)
	mkdir -p $(PLUGINS)
	$(CC) $(PLUGIN_FLAGS) -o $@ $< -llmdb

$(PLUGINS)/libkv_page.so: Sources/Backends/PluginExamples/page/kv_page.c $(PLUGIN_HEADER)
	mkdir -p $(PLUGINS)
	$(CC) $(PLUGIN_FLAGS) -o $@ $< -pthread

$(PLUGINS)/libkv_rocksdb.so: Sources/Backends/PluginExamples/rocksdb/kv_rocksdb.cc $(PLUGIN_HEADER)
	mkdir -p $(PLUGINS)
	$(CXX) -std=c++17 $(PLUGIN_FLAGS) -o $@ $< -lrocksdb -pthread

.PHONY: test
test: test-dependencies ## Build and run every test
	swift build --build-tests
	$(RUN_TESTS)

.PHONY: check
check: test-dependencies lint ## All that must hold before a commit: format, rooms, no warnings, tests
	.ci/build-without-warnings
	$(RUN_TESTS)

.PHONY: lint
lint: ## Check the format and what each room imports
	swift format lint --strict --recursive --parallel $(SOURCES)
	.ci/check-rooms

.PHONY: bench
bench: dependencies ## Measure a cluster on this machine
	Tests/Bench/run

.PHONY: bench-smoke
bench-smoke: dependencies ## Fail when a put or a get has become much more expensive
	Tests/Bench/smoke

.PHONY: sim
sim: ## Run simulated replica groups: make sim [SEEDS=0...4999] [JOBS=2] [PROFILE=swarm]
	swift build $(RELEASE) --product kv-sim
	.build/release/kv-sim run --seeds '$(SEEDS)' --jobs $(JOBS) $(if $(PROFILE),--profile $(PROFILE))

.PHONY: mutants
mutants: ## Put deliberate bugs into protocol and storage, one by one, and look whether the tests notice
	Tests/Mutants/run --self-test
	Tests/Mutants/run

.PHONY: nemesis
nemesis: fault-dependencies ## Faults against a real cluster, a few minutes over all backends (as root links are cut too)
	Tests/Nemesis/run --self-test
	Tests/Nemesis/run --backend all --seconds 45

.PHONY: soak
soak: fault-dependencies ## The same for hours, a new seed each time; stops at the first violation: make soak [ROUNDS=60]
	for round in $$(seq $(ROUNDS)); do Tests/Nemesis/run --backend all --seconds 90; done

.PHONY: availability
availability: fault-dependencies ## How long keys are unusable when nodes are killed, beside etcd
	Tests/Nemesis/availability

.PHONY: format
format: ## Format all Swift files
	swift format --in-place --recursive --parallel $(SOURCES)

.PHONY: clean
clean: ## Remove what was built; data stays
	swift package clean

.PHONY: dependencies
dependencies:
	@.ci/install-dependencies

.PHONY: test-dependencies
test-dependencies:
	@.ci/install-dependencies plugins links

.PHONY: plugin-dependencies
plugin-dependencies:
	@.ci/install-dependencies plugins

.PHONY: fault-dependencies
fault-dependencies:
	@.ci/install-dependencies links

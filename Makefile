# Everything that a person or CI does with this repository. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CONFIG ?=
SOURCES := Sources Tests Package.swift

# One test after the other: many of them block a thread on a disk, and on a small machine those would starve the ones that
# wait for each other. Clusters of processes run by themselves, two at a time.
define RUN_TESTS
swift test --skip-build --no-parallel --skip KVClusterTests
swift test --skip-build --filter KVClusterTests
endef

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'

.PHONY: up
up: dependencies ## Run a whole cluster on this machine: make up [CONFIG=configs/mixed.json]
	swift build -c release --product kv
	exec .build/release/kv up $(if $(CONFIG),--config '$(CONFIG)')

.PHONY: test
test: dependencies ## Build and run every test
	swift build --build-tests
	$(RUN_TESTS)

.PHONY: check
check: dependencies lint ## All that must hold before a commit: format, rooms, no warnings, tests
	.ci/build-without-warnings
	$(RUN_TESTS)

.PHONY: lint
lint: ## Check the format and what each room imports
	swift format lint --strict --recursive --parallel $(SOURCES)
	.ci/check-rooms

.PHONY: bench
bench: dependencies ## Measure a cluster on this machine
	Tests/Bench/run

.PHONY: format
format: ## Format all Swift files
	swift format --in-place --recursive --parallel $(SOURCES)

.PHONY: clean
clean: ## Remove what was built; data stays
	swift package clean

.PHONY: dependencies
dependencies:
	@.ci/install-dependencies

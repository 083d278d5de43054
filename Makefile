# The verbs a person types. Each does its own set-up and is quick the second time.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help demo test format lint unit kernels miri clients fuzz bench openapi

help: ## What can be typed here
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

demo: ## Fetches the demo models, serves them, asks each one something, and keeps serving
	@scripts/check-machine.sh demo
	@python3 scripts/fetch_demo_models.py
	cargo build --release --locked -p inferkit-server
	@python3 scripts/demo.py target/release/inferkit-server $(DEMO_FLAGS)

test: ## Everything that is checked before a change is offered
	@scripts/check-machine.sh test
	@$(MAKE) --no-print-directory lint unit kernels clients fuzz

lint: ## Format, lints, licences, documentation, device features
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p inferkit --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps -p inferkit -p inferkit-kernels -p inferkit-server
	scripts/check-dependencies.sh
	scripts/check-cuda.sh

unit: ## The Rust tests of the whole workspace, examples included
	@python3 scripts/fetch_demo_models.py
	@scripts/fetch-templates.sh || echo "published chat templates cannot be fetched: their test will say that it is skipped"
	cargo test --locked --workspace

kernels: ## The kernels under the address sanitizer and Miri, and on processors that emulators know
	@scripts/check-sanitizer.sh
	@scripts/check-miri.sh pool:: simd:: aligned:: scratch::
	@scripts/check-tiers.sh

miri: ## All tests of the kernels under Miri, which takes an hour
	@scripts/check-miri.sh

clients: ## The official clients against the server on the demo model
	@python3 scripts/fetch_demo_models.py
	cargo build --locked --workspace --bins
	@cd tests/clients/javascript && npm ci --silent --no-audit --no-fund
	@tests/clients/run.py target/debug/inferkit-server "$$(scripts/python.sh tests/clients/python/requirements.txt)"

fuzz: ## A short run of every fuzz target, where the toolchain allows
	@FUZZ_SEED=1 scripts/fuzz.sh 10

bench: ## The figures of doc/benchmarks.md
	@scripts/bench.sh

format: ## Formats the code
	cargo fmt --all

openapi: ## Writes doc/openapi.json anew
	cargo run --locked -q -p inferkit-server -- openapi --out doc/openapi.json

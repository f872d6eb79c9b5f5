# make demo   from an empty clone to a trained language model, its quality and its samples
# make test   every test
# make bench  speed against PyTorch and llama.cpp; ARGS="palm-train --dtype f32" runs one (Benchmarks/README.md)
# All install what is missing first (scripts/setup.sh says what it does).

.PHONY: help demo test bench build setup lint format examples clean
help:
	@sed -n 's/^# //p' Makefile

# The toolchain that set-up fetched, where it had to. Expanded after `setup` has run.
SWIFT = $(if $(wildcard .toolchain/usr/bin/swift),.toolchain/usr/bin/swift,swift)
SOURCES = Sources Tests Package.swift Examples/Package.swift Examples/digits Examples/gan Examples/shakespeare

setup:
	@scripts/setup.sh

build: setup
	$(SWIFT) build -c release --product martlet

demo: build
	@scripts/demo.sh

test: setup
	$(SWIFT) build -c release --build-tests
	@SWIFT=$(SWIFT) scripts/test.sh

bench: setup
	python3 Benchmarks/run.py $(or $(ARGS),all)

# Builds the examples, which are a package of their own, as a user of the package would.
examples: setup
	cd Examples && $(if $(wildcard .toolchain/usr/bin/swift),../)$(SWIFT) build -c release

lint: setup
	$(SWIFT) format lint --strict --recursive $(SOURCES)

format: setup
	$(SWIFT) format --in-place --recursive $(SOURCES)

clean:
	rm -rf .build Examples/.build

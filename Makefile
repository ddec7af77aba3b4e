# Roost's commands. `make help` lists them.
SHELL := /bin/bash
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
# What follows `roost serve` in `make run`, what follows bench.py in `make bench`, and the seconds of each fuzzer.
ARGS ?=
FIGURES ?=
FUZZ_SECONDS ?= 60
# Where `make dev-cert` puts what it makes.
DIRECTORY ?= .build/dev-cert

# One way to build for release, so that what is tested and measured is what is installed.
RELEASE := -c release --static-swift-stdlib
ROOST := .build/release/roost
CC := $(shell command -v cc || command -v clang)
BENCH := Benchmarks/.build
LOADGEN_SOURCES := $(addprefix Benchmarks/,loadgen.c fanout.c report.c tls.c deflate.c)

.PHONY: help run release test prove simulate bench bench-report bench-tools lint format build sanitize fuzz conformance install \
    deps dev-cert clean

help: ## list the commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

deps: ## install what is missing to build, through apt
	@Scripts/deps build

run: deps ## build and start the daemon; ARGS="--listen 127.0.0.1:9001 --demo" goes to `roost serve`
	swift build $(RELEASE) --product roost
	exec $(ROOST) serve $(ARGS)

release: deps ## build everything for release, with a static Swift standard library
	swift build $(RELEASE)

build: deps ## build everything in debug and release; any warning fails
	@Scripts/build

test: ## every test: units, integration, conformance, and of what measures
	@Scripts/deps build test
	@Scripts/test

simulate: deps ## seeds of the deterministic simulation, then each canary; SEEDS=40000
	@Scripts/simulate

conformance: release ## every Autobahn case against a fresh daemon, some 8 minutes; then our client against the suite's server
	@Scripts/deps build test
	@Scripts/conformance all $(ROOST)
	@Scripts/conformance-client

prove: ## the models of the lock-free parts (Proof/), checked with spin
	@Scripts/deps build test
	@Scripts/prove

lint: ## formatting, the sizes of files and functions, and that published figures are those measured
	@Scripts/lint

format: ## format every Swift file in place
	@Scripts/lint --fix

sanitize: deps ## the runtime's tests, and those of rooms, under the address and the thread sanitizer
	@Scripts/sanitize address
	@Scripts/sanitize thread

fuzz: deps ## every fuzzer for FUZZ_SECONDS (60) each
	Fuzz/run $(FUZZ_SECONDS)

bench: release bench-tools ## the figures, beside the peers; FIGURES="echo64x1 idle" or options of bench.py, as --save
	python3 Benchmarks/bench.py $(FIGURES)

bench-report: ## docs/benchmarks.md and README.md's figures, from what `make bench FIGURES=--save` saved
	python3 Benchmarks/report.py

bench-tools: $(BENCH)/loadgen ## build the load generator and the peers
	@Scripts/deps build bench
	swift build -c release --package-path Benchmarks/NIOEcho
	[ -e $(BENCH)/certificate/localhost.pem ] || Scripts/dev-cert $(BENCH)/certificate
	mkdir -p $(BENCH)/erlang
	erlc +warnings_as_errors -o $(BENCH)/erlang Benchmarks/erlang/*.erl

$(BENCH)/loadgen: $(LOADGEN_SOURCES) Benchmarks/loadgen.h | deps
	@mkdir -p $(BENCH)
	$(CC) -O2 -Wall -Wextra -Werror -o $@ $(LOADGEN_SOURCES) -lssl -lcrypto -lz

install: deps ## install roost and loadtest into PREFIX (/usr/local) and its configuration into SYSCONFDIR (/etc)
	swift build $(RELEASE) --product roost
	swift build $(RELEASE) --product loadtest
	install -D -m 755 $(ROOST) $(DESTDIR)$(PREFIX)/bin/roost
	install -D -m 755 .build/release/loadtest $(DESTDIR)$(PREFIX)/bin/loadtest
	[ -e $(DESTDIR)$(SYSCONFDIR)/roost/roost.yaml ] || \
	    install -D -m 644 config/roost.yaml $(DESTDIR)$(SYSCONFDIR)/roost/roost.yaml

dev-cert: ## an authority and a certificate for localhost, for development; DIRECTORY=.build/dev-cert
	@Scripts/dev-cert $(DIRECTORY)

clean: ## remove what was built
	rm -rf .build $(BENCH) Benchmarks/NIOEcho/.build Fuzz/.build Examples/*/.build

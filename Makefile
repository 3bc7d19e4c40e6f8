# The commands of this repository. Each can be run again at any time and does only what is left.
.PHONY: help demo test test-arm clients soak web bench sanitize fuzz format lint install clean
.DEFAULT_GOAL := help
PREFIX ?= /usr/local

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 18

demo: ## set up, build, fetch the default model and answer a prompt (PROMPT="...")
	@scripts/demo.sh

test: ## set up, build everything and run all tests
	@scripts/test.sh

test-arm: ## cross-compile the kernels for ARM and run their tests emulated
	@scripts/test_arm.sh

clients: ## run real clients of OpenAI's API against the server
	@scripts/client_tests.sh

soak: ## put five minutes of mixed and unfriendly load on the server (SOAK_SECONDS=300)
	@scripts/soak.sh

web: ## build the web page anew and test it in Chromium
	@scripts/web_tests.sh

bench: ## measure the default model's speed (MODEL=... for another)
	@scripts/bench.sh

sanitize: ## run the unit tests under the address, undefined and thread sanitizers
	@scripts/sanitize.sh

fuzz: ## each fuzzer for 60 s: what reads files, requests, formats and answers
	@scripts/fuzz.sh

format: ## format all C++ sources
	@scripts/format.sh

lint: ## check formatting, run clang-tidy and the repository's own checks
	@scripts/format.sh --check
	@scripts/lint.sh

install: ## install the binary, the library and its CMake package (PREFIX=/usr/local)
	@scripts/install.sh "$(PREFIX)"

clean: ## remove everything that was built
	@rm -rf build

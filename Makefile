# Every target installs what is missing first; with nothing to do that takes a moment only.
#   make demo          the bookshop on two virtual nodes; stays up until Ctrl-C
#   make demo ONCE=1   the demo's checks as a table; fails if one fails
#   make test          unit, kernel and end-to-end tests
#   make bench         measurements against plain TCP and HAProxy
#   make check         types, lint, structure of the tree (needs neither root nor eBPF)
#   make format        rewrites files the way the linter wants them
#   make clean         removes everything that was built or installed below this folder

NODE := node_modules/node/bin/node
TEST_GLOBS := 'src/**/*.test.ts' 'testbed/**/*.test.ts' 'test/**/*.test.ts' 'bench/**/*.test.ts'
export PATH := $(CURDIR)/node_modules/node/bin:$(PATH)

.DEFAULT_GOAL := setup
.PHONY: setup demo test bench check format clean

setup:
	@scripts/setup run

demo:
	@scripts/setup run
	@bin/weft demo $(if $(filter-out 0 no false,$(ONCE)),--once)

test:
	@scripts/setup test
	@$(NODE) --test --test-concurrency=2 --test-timeout=300000 --test-reporter=spec $(TEST_GLOBS)

bench:
	@scripts/setup bench
	@bin/weft bench

check:
	@scripts/setup check
	@scripts/check

format:
	@scripts/setup check
	node_modules/.bin/biome check --write .

clean:
	rm -rf build node_modules

# Every target installs what is missing first; with nothing to do that takes a moment only.
#   make demo          the bookshop on two virtual nodes; stays up until Ctrl-C
#   make demo ONCE=1   the demo's checks as a table; fails if one fails
#   make test          unit, kernel and end-to-end tests
#   make test-kubernetes  everything that needs an API server or a cluster of two nodes, on real ones; builds them once, outside the tree
#   make test-node-io  the contract of byte streams and the end-to-end tests, the demo among them, with the second I/O
#   make attack        every attack of test/security, as a table; NUMBER=n only those of one number
#   make rules         the tests that name rules of docs/rules, as a table of rules: PAGE=node-proxy only those of one page
#   make bench         measurements against plain TCP, HAProxy and a relay in C; JSON=file ONLY='same cross'
#   make bench-apps    Redis, PostgreSQL and etcd with replicas as workloads, against plain TCP; JSON=file ONLY=etcd
#   make bench-scale   a control plane of 100,000 workloads and 300 clients, with bounds: JSON=file WORKLOADS=n POLICIES=n CLIENTS=n
#   make bench-micro   hot functions as ratios to a yardstick, beside those on record; WRITE=1 records them
#   make fuzz          the parsers of outside bytes on mutants of their corpora: TARGET=name RUNS=n SEED=n
#   make fuzz FOR=long  HTTP/1.1 beside the parser of Node.js, HPACK beside nghttp2: ten million inputs, with what they differ in
#   make soak-io       random schedules over the byte streams of both I/O implementations: CASES=n times as many, SEED=n one
#   make soak          connections of every kind across nodes, with stalls and kills: MINUTES=5 CONNECTIONS=10000 SEED=n; then calls of
#                      every kind through a waypoint, as long, whose configuration changes each second;
#                      agents that are replaced and killed under load, and a control plane: REPLACEMENTS=10 KILLS=200
#   make guard-io      the I/O core's tests again and again with guard pages around what foreign functions touch: MINUTES=10
#   make coverage      lines and branches that the tests of src/ reach, as a table and as build/coverage/lcov.info
#   make package       a Debian package and a tarball in build/package, for machines without a compiler; ARCH=arm64 for the other kind
#   make test-package  the package from its build to its purge, in a Debian of its own: installed, used, upgraded under load, removed
#   make check         types, lint, structure of the tree (needs neither root nor eBPF)
#   make format        rewrites files the way the linter wants them
#   make clean         removes everything that was built or installed below this folder

NODE := node_modules/node/bin/node
TEST_GLOBS := 'src/**/*.test.ts' 'testbed/**/*.test.ts' 'test/**/*.test.ts' 'bench/**/*.test.ts' 'fuzz/**/*.test.ts' 'bpf/**/*.test.ts'
export PATH := $(CURDIR)/node_modules/node/bin:$(PATH)

.DEFAULT_GOAL := setup
.PHONY: setup demo test test-kubernetes test-node-io attack rules bench bench-apps bench-scale bench-micro fuzz soak soak-io guard-io coverage package test-package check format clean

setup:
	@scripts/setup run

demo:
	@scripts/setup run
	@bin/weft demo $(if $(filter-out 0 no false,$(ONCE)),--once)

test:
	@scripts/setup test
	@$(NODE) --test --test-concurrency=2 --test-timeout=300000 --test-reporter=spec $(TEST_GLOBS)

test-kubernetes:
	@scripts/setup test
	@for set in cluster conformance helm; do testbed/kubernetes/programs build $$set >/dev/null || exit 1; done
	@WEFT_KUBERNETES=all $(NODE) --test --test-concurrency=1 --test-timeout=600000 --test-reporter=spec 'test/kubernetes/*.test.ts'

# One after the other: what is looked for is the I/O, not how two labs bear each other.
test-node-io:
	@scripts/setup test
	@WEFT_IO=node $(NODE) --test --test-concurrency=1 --test-timeout=300000 --test-reporter=spec \
	  'src/platform/io/contract/*.test.ts' 'test/e2e/*.test.ts'

attack:
	@scripts/setup test
	@$(NODE) scripts/attack.ts $(NUMBER)

rules:
	@scripts/setup test
	@$(NODE) scripts/rules.ts $(PAGE)

bench:
	@scripts/setup bench
	@bin/weft bench $(if $(JSON),--json '$(JSON)') $(if $(ONLY),--only $(ONLY))

bench-apps:
	@scripts/setup apps
	@bin/weft bench $(if $(JSON),--json '$(JSON)') --only $(or $(ONLY),redis postgres etcd)

bench-scale:
	@scripts/setup bench
	@scripts/build-program
	@$(NODE) bench/scale/main.ts $(or $(WORKLOADS),100000) $(or $(POLICIES),10000) $(or $(CLIENTS),300) $(if $(JSON),'$(JSON)')

bench-micro:
	@scripts/setup check
	@$(NODE) bench/micro/main.ts $(if $(WRITE),--write)

fuzz:
	@scripts/setup check
	@$(NODE) fuzz/$(if $(filter long,$(FOR)),oracles/)main.ts '$(TARGET)' '$(RUNS)' '$(SEED)'

soak:
	@scripts/setup test
	@WEFT_SOAK_SECONDS=$$((60 * $(or $(MINUTES),5))) WEFT_SOAK_CONNECTIONS=$(or $(CONNECTIONS),10000) $(if $(SEED),SEED='$(SEED)') \
	  $(NODE) --test --test-timeout=7200000 --test-reporter=spec test/soak/soak.test.ts
	@WEFT_WAYPOINT_SOAK_SECONDS=$$((60 * $(or $(MINUTES),5))) $(NODE) --test --test-timeout=7200000 --test-reporter=spec test/soak/waypoint.test.ts
	@WEFT_REPLACEMENTS=$(or $(REPLACEMENTS),10) $(NODE) --test --test-timeout=7200000 --test-reporter=spec test/faults/12-under-load.test.ts
	@WEFT_GRPC_SOAK_SECONDS=$$((12 * $(or $(MINUTES),5))) $(NODE) --test --test-timeout=7200000 --test-reporter=spec test/peers/grpc.test.ts
	@WEFT_KILLS=$(or $(KILLS),200) $(NODE) --test --test-timeout=7200000 --test-reporter=spec test/faults/control-kills.test.ts

soak-io:
	@scripts/setup check
	@CASES=$(or $(CASES),20) $(NODE) --test --test-timeout=3600000 --test-reporter=spec src/platform/io/contract/schedules.test.ts

guard-io:
	@scripts/setup check
	@end=$$(( $$(date +%s) + 60 * $(or $(MINUTES),10) )); while [ $$(date +%s) -lt $$end ]; do \
	  $(NODE) --import ./src/platform/ffi/guard.testing.ts --test --test-timeout=120000 --test-concurrency=2 --test-reporter=dot \
	    'src/platform/io/{contract,core,tls}/*.test.ts' || exit 1; done

coverage:
	@scripts/setup test
	@mkdir -p build/coverage
	@WEFT_SOURCES=1 $(NODE) --test --test-concurrency=2 --test-timeout=300000 --experimental-test-coverage \
	  --test-coverage-include='src/**/*.ts' --test-coverage-exclude='**/*.test.ts' --test-coverage-exclude='**/*.testing.ts' \
	  --test-reporter=spec --test-reporter-destination=build/coverage/report.txt \
	  --test-reporter=lcov --test-reporter-destination=build/coverage/lcov.info $(TEST_GLOBS); \
	  status=$$?; sed -n '/start of coverage report/,$$p' build/coverage/report.txt; exit $$status

package:
	@scripts/setup run
	@scripts/package $(ARCH)

test-package:
	@scripts/setup test
	@scripts/setup-package-test
	@WEFT_PACKAGE_TEST=1 $(NODE) --test --test-concurrency=1 --test-timeout=1200000 --test-reporter=spec \
	  test/first-hour/05-package.test.ts test/first-hour/08-package-builds.test.ts

check:
	@scripts/setup check
	@scripts/check

format:
	@scripts/setup check
	node_modules/.bin/biome check --write .

clean:
	rm -rf build node_modules

# graph_policy: build, test, install.  "make help" lists the targets.

SHELL = /bin/bash
.DEFAULT_GOAL = build
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

TOP := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
TOOLS := $(TOP)/t/tools

# What can be set on the command line:

# the nginx that loads the module, and its source tree
NGINX_BINARY ?= nginx
NGX_SRC ?= /usr/share/nginx/src
# test files to run, all by default: make test T=t/gate.t
T ?=
# the engine that hosts of a fleet share states through, in tests
REDIS_SERVER ?= redis-server
# test files at a time
JOBS ?= 1
# the revision of the package that "make deb" builds
DEB_REVISION ?= 1
# source trees of nginx for "make test-nginx-org"
TREES ?=
# put before the paths of "make install"
DESTDIR ?=
# where nginx looks for modules; asked of nginx by default
MODULES_PATH ?=
# seconds for each fuzz target; or how often it runs, if that is set
FUZZ_SECONDS ?= 60
FUZZ_RUNS ?=
# exchanges of "make fuzz-worker", the number of the first, and their seed
RUNS ?=
FIRST ?= 0
SEED ?=
# a checkout of nginx's own tests
NGINX_TESTS ?=
# a part of "make test-valgrind", test-asan and test-nginx-tests: the second of
# eight is SHARD=2/8
SHARD ?= 1/1
# steps of "make model", walks side by side, and hosts of each that share states
STEPS ?= 100000
WALKS ?= 2
HOSTS ?= 1
# Debian suites of "make test-matrix" and "make test-deb"
SUITES ?= bookworm trixie sid
# what "make test-matrix" runs on each, such as TARGET=test-asan
TARGET ?= test

BUILD := $(TOP)/.build

# a compiler that is not the machine's default has its own build directory
ifeq ($(origin CC),default)
OUT ?= $(BUILD)/nginx
else
OUT ?= $(BUILD)/nginx-$(notdir $(firstword $(CC)))
endif

NAME := ngx_http_graph_policy_module
MODULE := $(OUT)/$(NAME).so

# what tests load ends where the mutex of a zone isn't heeded; what is installed
# and measured has no such checks
CHECKED := $(OUT)-checked

# nginx's headers, for what is built without its makefile
NGX_INC := $(patsubst %,-I$(OUT).tree/src/%,core event event/modules \
	event/quic os/unix) -I$(OUT)

export CC NGINX_BINARY NGX_SRC REDIS_SERVER DEB_REVISION

# without a browser the test of the dashboard is skipped, and nothing else
NEED_BROWSER := $(if $(or $(if $(T),,all),$(findstring t/dashboard.t,$(T))),\
	$(TOOLS)/need browser || true)

.PHONY: help build compile_commands check-warnings test test-unit model \
	mutation coverage pictures test-clients test-nginx-tests test-asan \
	test-valgrind test-matrix test-deb test-image test-kubernetes \
	test-nginx-org install uninstall run deb dist bench fuzz fuzz-parts \
	fuzz-worker fuzz-keep clean


##@ Building

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z_-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' \
	    $(firstword $(MAKEFILE_LIST))
	@printf '\nSettings: %s,\n          %s,\n          %s\n' \
	    'CC, NGINX_BINARY, NGX_SRC, T, JOBS, DESTDIR, MODULES_PATH' \
	    'FUZZ_SECONDS, FUZZ_RUNS, RUNS, FIRST, SEED, STEPS, WALKS, HOSTS' \
	    'SHARD, NGINX_TESTS, SUITES, TARGET, REDIS_SERVER, DEB_REVISION, TREES'

build: ## build the module for the nginx of this machine
	@$(TOOLS)/need build
	@OUT=$(OUT) $(TOOLS)/build
	@echo "built $(patsubst $(TOP)/%,%,$(MODULE))"

compile_commands: build ## tell clangd and the like how each file is compiled
	@$(TOOLS)/need commands
	@OUT=$(OUT) $(TOOLS)/compile-commands
	@echo "wrote .build/compile_commands.json"

check-warnings: ## build with gcc and with clang, warnings are errors
	@$(TOOLS)/need build clang
	@$(MAKE) build CC=gcc
	@$(MAKE) build CC=clang


##@ Testing

test: build ## run every test, or those of T=t/some.t
	@$(TOOLS)/need test
	@$(NEED_BROWSER)
	@KIND=checked OUT=$(CHECKED) $(TOOLS)/build
	@MODULE=$(CHECKED)/$(NAME).so OUT=$(OUT) JOBS=$(JOBS) $(TOOLS)/suite $(T)

test-unit: build ## run the unit tests alone
	@$(TOOLS)/need test
	@MODULE=$(MODULE) OUT=$(OUT) $(TOOLS)/suite unit

model: build ## compare STEPS random steps with a model of the promise
	@$(TOOLS)/need test
	@MODEL_STEPS=$(STEPS) MODEL_WALKS=$(WALKS) MODEL_HOSTS=$(HOSTS) \
	    TIME_LIMIT=1000000 MODULE=$(MODULE) OUT=$(OUT) PROVE_FLAGS=-v \
	    $(TOOLS)/suite t/model$(if $(filter-out 1,$(HOSTS)),_fleet).t

mutation: build ## change the source in 200 places, and see who notices
	@$(TOOLS)/need test
	@$(TOOLS)/mutate

pictures: ## take the pictures of the documentation anew
	@$(TOOLS)/need browser test
	@node $(TOP)/t/browser/dashboard.mjs --pictures $(TOP)/docs/images

test-clients: build ## drive published npm clients through the proxy
	@$(TOOLS)/need test clients
	@GRAPH_POLICY_NEED_CLIENTS=1 MODULE=$(MODULE) OUT=$(OUT) \
	    $(TOOLS)/suite t/clients/clients.t

test-nginx-tests: build ## nginx's own tests, with and without the module
	@test -n "$(NGINX_TESTS)" || { echo "NGINX_TESTS=DIR is a checkout of" \
	    "nginx-tests" >&2; exit 1; }
	@MODULE=$(MODULE) JOBS=$(JOBS) SHARD=$(SHARD) $(TOOLS)/nginx-tests \
	    $(NGINX_TESTS)

test-asan: ## the tests under AddressSanitizer and UBSan
test-valgrind: ## the tests under valgrind
test-asan test-valgrind: test-%:
	@$(TOOLS)/need build test source $(filter valgrind,$*)
	@$(NEED_BROWSER)
	@KIND=$* OUT=$(BUILD)/$* $(TOOLS)/build-whole
	@KIND=$* OUT=$(BUILD)/$* TEST_SHARD=$(SHARD) MODULE=$(BUILD)/$*/$(NAME).so \
	    NGINX_BINARY=$(BUILD)/$*/nginx $(TOOLS)/suite $(T)

test-matrix: ## the tests, or TARGET, on three Debian suites (as root)
	@$(TOOLS)/need matrix
	@T='$(T)' TARGET=$(TARGET) SHARD=$(SHARD) $(TOOLS)/matrix $(SUITES)

coverage: build ## what of the pure floor and the zone the unit tests run
	@$(TOOLS)/need build test coverage
	@NGX_INC='$(NGX_INC)' $(TOOLS)/coverage

test-deb: ## the Debian package's life on three Debian suites (as root)
	@$(TOOLS)/need matrix deb-test
	@$(TOOLS)/test-deb $(SUITES)

test-image: ## build the image and run it as a pod runs (as root)
	@$(TOOLS)/need matrix dist image
	@$(TOOLS)/test-image

test-kubernetes: ## check the manifests and the file of compose
	@$(TOOLS)/need kubernetes
	@GRAPH_POLICY_NEED_KUBERNETES=1 prove $(TOP)/t/container/manifests.t

test-nginx-org: ## whether the module fits the nginx of nginx.org, TREES
	@$(TOOLS)/need build test source
	@$(TOOLS)/test-nginx-org $(TREES)

bench: build ## measure what the module costs
	@$(TOOLS)/need bench valgrind
	@MODULE=$(MODULE) $(TOP)/t/bench/run
	@MODULE=$(MODULE) $(TOP)/t/bench/outage
	@MODULE=$(MODULE) $(TOP)/t/bench/parked
	@MODULE=$(MODULE) $(TOP)/t/bench/listing

# targets read requests with nginx's parser, of which they need the source
FUZZ := CC=clang OUT=$(BUILD)/fuzz NGX_TREE=$(BUILD)/asan.tree \
	NGX_OBJS=$(BUILD)/asan FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_RUNS=$(FUZZ_RUNS)

fuzz: fuzz-parts fuzz-worker ## run all fuzz targets, FUZZ_SECONDS each

fuzz-parts: ## run those of parsers; longer with FUZZ_RUNS=10000000
	@$(TOOLS)/need build test fuzz source
	@KIND=asan OUT=$(BUILD)/asan $(TOOLS)/build-whole
	@echo "| target     | executions | edges |"
	@$(MAKE) -s -C $(TOP)/t/fuzz run $(FUZZ)

fuzz-worker: ## a whole worker amid hostile peers; RUNS, SEED, FIRST
	@$(TOOLS)/need build test source
	@KIND=asan OUT=$(BUILD)/asan $(TOOLS)/build-whole
	@FUZZ_SECONDS=$(FUZZ_SECONDS) RUNS=$(RUNS) FIRST=$(FIRST) SEED=$(SEED) \
	    KIND=asan OUT=$(BUILD)/asan MODULE=$(BUILD)/asan/$(NAME).so \
	    NGINX_BINARY=$(BUILD)/asan/nginx TIME_LIMIT=1000000 \
	    $(TOOLS)/suite t/fuzz/worker.t

fuzz-keep: ## pack what the fuzz targets have found into t/fuzz/corpora
	@$(MAKE) -s -C $(TOP)/t/fuzz keep $(FUZZ)


##@ Using

run: build ## run the quickstart example
	@$(TOOLS)/need run
	@MODULE=$(MODULE) exec $(TOP)/examples/quickstart/run

install: build ## install the module for the nginx of this machine
	@MODULE=$(MODULE) DESTDIR=$(DESTDIR) MODULES_PATH=$(MODULES_PATH) \
	    $(TOOLS)/install-module install

uninstall: ## take the module away again
	@DESTDIR=$(DESTDIR) MODULES_PATH=$(MODULES_PATH) \
	    $(TOOLS)/install-module uninstall


##@ Publishing

dist: ## pack the source, for those who have no git
	@$(TOOLS)/need dist
	@$(TOOLS)/dist

deb: ## build the Debian package for the nginx of this machine
	@$(TOOLS)/need build dist deb
	@$(TOOLS)/deb

clean: ## remove what was built
	@$(TOOLS)/clean

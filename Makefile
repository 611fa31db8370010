# make run    a live market on http://localhost:8080/        make test     build and pass all tests
# make check  the tests, the linters and the type checks
# make bench   the micro-benchmarks and a short load run      make bench BASE=main   beside another commit's: fails if anything has become slower
# make simulate SEEDS=2000 SEED=1   as many simulated worlds of clients, and of relays
# make clients SEEDS=10000 SEED=1   as many simulated worlds of the Python client, on networks that are bad in every way
# make campaign COMMANDS=10000000 CROWDED=10000000 SEED=1   as many random commands against the engine's naive twin, and while 20,000 to 300,000 orders are open
# make hostile RECORDS=10000000 SEED=1   as many records that nobody would send in good faith      both with BUILD=checked or sanitized: in that build
# make crashes IMAGES=10000 SEED=1   as many crashes of the journal, every call that fails, every flipped bit
# make kills KILLS=100 SEED=1   as many `kill -9` of a real server under 5,000 orders a second
# make faults FAULTS=100 SEED=1   as many faults between an engine, its gateways and Redis, under orders
# make soak SECONDS=3600 SEED=1   60 connections a second that come, trade, guard and drop, under one server whose memory must not rise
# make growth REQUESTS=1000000   as many of each kind of request, of which nothing may be kept
# make attack SECONDS=60 SEED=1   honest clients beside hostile ones, over IPv4, IPv6 and a proxy: fails if a promise to the honest is broken
# make network SECONDS=3600 SEED=1   both clients and a relay with 1,000 channels each on the worst network there is
# make checked   the engine's tests with bounds checks and C assertions      make sanitized   the same with ASan and UBSan
# make page SECONDS=30   the page in a browser under 1,000 changes a second
# make dialects SECONDS=60   installs clients of other venues, and connects them to a market of ours
# make rest   installs what validates the REST API, and calls all of it
# make exports   installs what reads exported files, and has it read some
# make peers  installs what the benchmarks compare with
# make fuzz INPUTS=1000000 SEED=1   as many mutated inputs through each layer that reads any
# make autobahn   the Autobahn suite against the message layer: RFC 6455, case by case
# make site   the documentation, in build/site                 make build   only build
# make docs   the references of wire and settings, and the AsyncAPI and OpenAPI documents      make clean   forget everything that was built
# make wheel   the source distribution and a wheel of it into build/wheels, tried where there is no compiler
# make deploy   has the tools of others read the files of stream/deploy and .github
# make vectors   the conformance vectors for clients in any language, out of the server's own mouth

PYTHON ?= python3
DEPOSIT := {"USDT": "1000000", "BTC": "5", "ETH": "50", "SOL": "500", "XRP": "100000"}
BIN := .venv/bin
# More tests at once than there are cores, because many of them wait.
WORKERS := $(shell $(PYTHON) -c 'import os; print(-(-3 * os.cpu_count() // 2))')
SOURCES := $(wildcard engine/*.pyx engine/*.pxd stream/*/*.pyx stream/*/*.pxd)

.PHONY: run build site test lint check simulate campaign hostile build-beside engine-tests crashes kills faults attack network soak growth fuzz page dialects exports autobahn checked sanitized bench peers docs vectors clean

run: .venv/built
	$(BIN)/deltabook serve --source recorded --source simulated --set 'deposit=$(DEPOSIT)' $(ARGS)

build: .venv/built

test: .venv/tools
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

lint: .venv/linters
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml --ignore-missing-stub --ignore-unused-allowlist --allowlist tests/stubtest.txt engine.levels engine.events engine.commands engine.book engine.exchange engine.model engine.queues engine.recipient engine.thresholds stream.feed.book_frames stream.feed.books_by_order stream.feed.by_order_log stream.feed.conflation stream.cli.build_facts stream.commands.outcomes stream.journal.crc32c stream.feed.delivery stream.feed.own_logs stream.feed.public_orders stream.journal.records stream.market.order_entry stream.server.intake stream.server.socket_writer stream.settings.histogram stream.venue.allowances stream.venue.trader stream.wire.bucket stream.wire.order_reader

check: test lint

simulate: .venv/tools
	DELTABOOK_SEEDS=$(or $(SEEDS),2000) DELTABOOK_SEED=$(or $(SEED),1) $(BIN)/python -m pytest tests/market/test_simulation.py tests/relay/test_relay.py -k promise

.PHONY: clients
clients: .venv/tools
	DELTABOOK_SEEDS=$(or $(SEEDS),10000) DELTABOOK_SEED=$(or $(SEED),1) $(BIN)/python -m pytest tests/client/test_client_simulation.py -k promise

# The commands are dealt out to runs, each from a seed of its own, which its name prints.
campaign: build-beside
	export DELTABOOK_COMMANDS=20000 DELTABOOK_SEEDS=$$(($(or $(COMMANDS),10000000) / 20000)) DELTABOOK_CROWDED=$(or $(CROWDED),$(COMMANDS),10000000) \
	DELTABOOK_SEED=$(or $(SEED),1) && $(PYTEST) -vv tests/engine/test_twin.py tests/engine/test_crowds.py -k 'events_of_the_oracle or served_as_a_few'

hostile: build-beside
	export DELTABOOK_HOSTILE=$(or $(RECORDS),10000000) DELTABOOK_SEED=$(or $(SEED),1) && $(PYTEST) -vv tests/engine/test_crowds.py -k hostile

fuzz: .venv/tools
	DELTABOOK_INPUTS=$(or $(INPUTS),1000000) DELTABOOK_SEED=$(or $(SEED),1) $(BIN)/python -m pytest tests/wire/test_fuzz.py

# Clients of other venues, as they are on PyPI and npm, against a market of ours.
dialects: .venv/tools
	$(call EXTRAS,dialects)
	mkdir -p build/dialect_clients && cp tests/dialects/package.json build/dialect_clients
	if command -v npm > /dev/null; then npm install --silent --no-audit --no-fund --prefix build/dialect_clients; fi
	DELTABOOK_SECONDS=$(or $(SECONDS),60) $(BIN)/python -m pytest -rs tests/dialects tests/docs/test_docs.py -k 'dialects or binance-clients or kraken-clients'

# Calls every operation of the REST API of a served market, with good values and bad ones.
.PHONY: rest
rest: .venv/tools
	$(call EXTRAS,rest)
	$(BIN)/python -m pytest -rs tests/rest

# What reads the exported files, as it is on PyPI, against our books.
exports: .venv/tools
	$(call EXTRAS,export exports)
	$(BIN)/python -m pytest -rs tests/export

page: .venv/tools
	DELTABOOK_SECONDS=$(or $(SECONDS),30) $(BIN)/python -m pytest tests/web/test_page.py

autobahn: build/autobahn/suite
	$(BIN)/python -m tests.wire.autobahn build/autobahn/suite build/autobahn/reports

build/autobahn/suite: .venv/tools tests/wire/autobahn.sh
	tests/wire/autobahn.sh $(BIN)/python build/autobahn

crashes: .venv/tools
	DELTABOOK_IMAGES=$(or $(IMAGES),10000) DELTABOOK_SEED=$(or $(SEED),1) $(BIN)/python -m pytest tests/journal/test_journal_crashes.py

kills: .venv/tools
	$(BIN)/python -m tests.kills --kills $(or $(KILLS),100) --seed $(or $(SEED),1)

attack: .venv/tools
	$(BIN)/python -m benchmarks.attack --seconds $(or $(SECONDS),60) --seed $(or $(SEED),1)

faults: .venv/tools
	$(BIN)/python -m tests.cluster.faults --faults $(or $(FAULTS),100) --seed $(or $(SEED),1)

growth: .venv/tools
	DELTABOOK_REQUESTS=$(or $(REQUESTS),1000000) $(BIN)/python -m pytest tests/venue/test_growth.py

soak: .venv/tools
	$(BIN)/python -m tests.soak --seconds $(or $(SECONDS),3600) --seed $(or $(SEED),1)

network: .venv/tools
	$(BIN)/python -m tests.fault.bad_network --seconds $(or $(SECONDS),180) --seed $(or $(SEED),1)

# Builds of their own beside the usual one: BUILD=checked, or sanitized with ASan and UBSan too. Without BUILD all of this is about the usual one.
FLAGS_sanitized := CFLAGS='-fsanitize=address,undefined -fno-omit-frame-pointer' LDFLAGS='-fsanitize=address,undefined'
WATCH_sanitized := export LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" PYTHONMALLOC=malloc \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1,print_stacktrace=1 &&
UNFIT_sanitized := --ignore tests/engine/test_memory_and_threads.py    # it limits the address space, of which ASan reserves terabytes
IN_BUILD := rm -rf build/$(BUILD)/tests && cp -r tests build/$(BUILD) && cd build/$(BUILD) && $(WATCH_$(BUILD))
PYTEST := $(if $(BUILD),$(IN_BUILD)) $(CURDIR)/$(BIN)/python -m pytest $(if $(BUILD),-c $(CURDIR)/pyproject.toml --rootdir . -p no:cacheprovider)

build-beside: .venv/tools
	$(if $(BUILD),DELTABOOK_CHECKED=1 $(FLAGS_$(BUILD)) $(BIN)/python setup.py --quiet build --build-base build/$(BUILD) --build-lib build/$(BUILD))

checked sanitized:
	DELTABOOK_COMMANDS=4000 $(MAKE) engine-tests BUILD=$@

engine-tests: build-beside
	$(PYTEST) tests/engine $(UNFIT_$(BUILD))

bench: .venv/tools
	$(BIN)/python -m benchmarks.compare $(if $(BASE),--base $(BASE)) $(ARGS)

# What the benchmarks compare with: Python's from PyPI, Node's from npm into build/, where there is a Node.
peers: .venv/tools
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[test,peers]'
	mkdir -p build/fanout_peers && cp benchmarks/fanout_peers/package.json build/fanout_peers
	if command -v npm > /dev/null; then npm install --silent --no-audit --no-fund --prefix build/fanout_peers; fi

docs: .venv/built
	$(BIN)/python -m stream.wire.reference > stream/PROTOCOL.md
	$(BIN)/python -m stream.settings.configuration > stream/CONFIGURATION.md
	$(BIN)/python -m stream.client.error_table > stream/ERRORS.md
	$(BIN)/python -m stream.wire.asyncapi > stream/asyncapi.json
	$(BIN)/python -m stream.rest.openapi > stream/openapi.json

# Every warning is an error: a link that leads nowhere, a page that is on no list.
site: .venv/tools
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --jobs auto -d build/doctrees stream/docs build/site

vectors: .venv/tools
	$(BIN)/python -m tests.vector_files

# The wheel is made of the source distribution, so that both are tried by one build.
.PHONY: wheel deploy
wheel: .venv/tools
	$(call EXTRAS,wheel)
	rm -rf build/wheels build/distributions
	$(BIN)/python -m build --no-isolation --outdir build/distributions .
	if [ "$$(uname)" = Linux ]; then PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir build/wheels build/distributions/*.whl; else mkdir -p build/wheels && cp build/distributions/*.whl build/wheels; fi
	cp build/distributions/*.tar.gz build/wheels
	$(BIN)/python -m pytest -rs tests/house/test_wheel.py

deploy: .venv/tools
	$(call EXTRAS,deploy)
	$(BIN)/python -m pytest -rs tests/house/test_deploy.py

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis engine/*.c engine/*.so stream/*/*.c stream/*/*.so

# What these extras need, without compiling everything once more.
EXTRAS = $(BIN)/python -c 'import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
	print(*(each for extra in "$(1)".split() for each in extras[extra]), sep="\n")' | $(BIN)/python -m pip install --quiet --requirement /dev/stdin

.venv/pip: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip 'setuptools>=77' 'cython>=3.1'
	@touch $@

.venv/built: .venv/pip setup.py $(SOURCES)
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable .
	@touch $@

.venv/tools: .venv/built
	$(call EXTRAS,test docs)
	@touch $@

.venv/linters: .venv/built
	$(call EXTRAS,test lint frames)
	@touch $@

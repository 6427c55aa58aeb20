# Perilune. `make demo` shows it working, `make test` gates a change, CONTRIBUTING.md says the rest.
#
# Objects of core/ go to build/obj; everything but main.o also into build/libperilune.a, which the
# unit tests link. Lua modules and blueprints are embedded from generated source (build/gen). The
# program is linked once with symbols (build/perilune.full) and stripped into build/perilune, with
# build/perilune.debug beside it for gdb. build/asan is the same tree under the sanitizers.

BUILD   ?= build
ifeq ($(origin CC), default)
CC       = gcc
endif
OBJCOPY ?= objcopy
STRIP   ?= --strip-all
PYTHON  ?= /usr/bin/python3
PREFIX  ?= /usr/local
JOBS    ?= $(shell nproc 2>/dev/null || echo 1)
DESTDIR ?=

LUAJIT  ?= luajit
PKGS     = $(LUAJIT) libuv libcrypto jansson expat libzip libseccomp zlib
WARN     = -Wall -Wextra -Wshadow -Wmissing-prototypes -Wcast-qual -Wvla -Werror
CFLAGS  ?= -O2 -g
override CPPFLAGS += -Icore -D_GNU_SOURCE $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
override CFLAGS   += -std=gnu11 $(WARN) -fno-strict-aliasing -fstack-protector-strong \
                     -ffunction-sections -fdata-sections
override LDFLAGS  += -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,pack-relative-relocs
override LDLIBS   += $(shell pkg-config --libs $(PKGS) 2>/dev/null) -llmdb -lhttp_parser -lpthread -lm

SRC   = $(filter-out core/fetch/%, $(wildcard core/*.c core/*/*.c))
OBJ   = $(SRC:core/%.c=$(BUILD)/obj/%.o)
LIB   = $(BUILD)/libperilune.a
UNIT  = $(patsubst tests/unit/%.c, $(BUILD)/unit/%, $(wildcard tests/unit/test_*.c))
EMBED = $(sort $(wildcard lua/*.lua lua/*/*.lua lua/project/*.* lua/project/*/*.*) $(filter-out %/README.md, $(wildcard blueprints/*/*.*)))

# One short line a file; `make V=1` shows the commands.
V ?= 0
ifeq ($(V), 0)
say = @echo '  $(1) $@';
endif

# Outbound HTTP is a program of its own, so that nothing else links libcurl; built where there is one.
FETCH = $(shell pkg-config --exists libcurl && echo $(BUILD)/perilune-fetch)
FETCH_OBJ = $(patsubst core/%.c, $(BUILD)/obj/%.o, $(wildcard core/fetch/*.c))

all: $(BUILD)/perilune $(FETCH)

$(BUILD)/perilune: $(BUILD)/perilune.full
	$(OBJCOPY) --only-keep-debug $< $@.debug
	$(OBJCOPY) $(STRIP) --add-gnu-debuglink=$@.debug $< $@

$(BUILD)/perilune.full: $(BUILD)/obj/main.o $(LIB)
	$(call say,link)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/perilune-fetch: $(FETCH_OBJ) $(LIB)
	$(call say,link)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs libcurl libseccomp libcrypto) -lpthread
	$(OBJCOPY) $(STRIP) $@

$(LIB): $(filter-out $(BUILD)/obj/main.o, $(OBJ)) $(BUILD)/obj/embed.o $(BUILD)/obj/console.o
	$(call say,ar  )rm -f $@ && ar rcs $@ $^

$(BUILD)/obj/%.o: core/%.c
	@mkdir -p $(@D)
	$(call say,cc  )$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The list is part of the file's content, so that removing a blueprint rebuilds it too.
$(BUILD)/gen/embed.c: packaging/embed.sh $(EMBED) $(BUILD)/gen/embed.list
	$(call say,gen )sh packaging/embed.sh $(EMBED) > $@.new && mv $@.new $@
$(BUILD)/gen/embed.list: FORCE
	@mkdir -p $(@D)
	@echo '$(EMBED)' | cmp -s - $@ || echo '$(EMBED)' > $@
# The web console, bundled where there is npm: which files that makes is known only afterwards.
CONSOLE = $(shell find core/console -name node_modules -prune -o -type f ! -name README.md -print)
$(BUILD)/gen/console.c: packaging/console.sh packaging/embed.sh $(CONSOLE) $(BUILD)/gen/console.list
	$(call say,gen )sh packaging/console.sh $(BUILD)/console
	@TABLE=embed_console STRIP=$(BUILD)/console/ sh packaging/embed.sh \
	    $$(find $(BUILD)/console -name '*.gz' | sort) > $@.new && mv $@.new $@
$(BUILD)/gen/console.list: FORCE
	@mkdir -p $(@D)
	@echo '$(CONSOLE)' $$(command -v node npm) | cmp -s - $@ || echo '$(CONSOLE)' $$(command -v node npm) > $@
$(BUILD)/obj/embed.o $(BUILD)/obj/console.o: $(BUILD)/obj/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	$(call say,cc  )$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(call say,test)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -Itests/unit -MMD -MP -o $@ $< $(LIB) -lcmocka $(LDLIBS)

# What tests/wire/ preloads.
WIRE = $(BUILD)/wire.so
$(WIRE): tests/wire/wire.c
	@mkdir -p $(@D)
	$(call say,test)$(CC) -D_GNU_SOURCE -std=gnu11 -O2 -g $(WARN) -Wno-missing-prototypes -fPIC -shared \
	    -fvisibility=hidden -o $@ $< -ldl -lpthread

# What tests/fault/ preloads and runs.
PRELOADED = shim failing clock
FAULT = $(PRELOADED:%=$(BUILD)/fault/%.so) $(patsubst tests/fault/%.c, $(BUILD)/fault/%, \
          $(filter-out $(PRELOADED:%=tests/fault/%.c), $(wildcard tests/fault/*.c)))
$(BUILD)/fault/%.so: tests/fault/%.c
	@mkdir -p $(@D)
	$(call say,test)$(CC) -D_GNU_SOURCE -std=gnu11 -O2 -g $(WARN) -Wno-missing-prototypes -fPIC -shared \
	    -fvisibility=hidden -o $@ $< -ldl -lpthread
$(BUILD)/fault/%: tests/fault/%.c $(LIB)
	@mkdir -p $(@D)
	$(call say,test)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(LIB) $(LDLIBS)
fault-tools: $(FAULT)
# What crashes, power cuts, full and failing disks, signals and backups do to it: an hour and a half, with a
# line of figures each. ONLY="D1 D4" runs those; SCALE=0.1 makes a tenth of the rounds.
SCALE ?= 1
fault: all fault-tools
	SCALE=$(SCALE) BUILD=$(BUILD) $(PYTHON) tests/fault/run.py $(ONLY)
fault-runners: ONLY = D2
fault-hostile: ONLY = H
fault-multipart: ONLY = D6
fault-runners fault-hostile fault-multipart: fault

# The queue and the schedules in a pretended world (tests/sim/README.md). One seed: SEED=7 make sim.
SIM = $(BUILD)/sim/sim
STEPS ?= 1000000
$(BUILD)/sim/%.o: tests/sim/%.c
	@mkdir -p $(@D)
	$(call say,test)$(CC) $(CPPFLAGS) $(CFLAGS) -Itests/unit -MMD -MP -c -o $@ $<
$(SIM): $(patsubst tests/sim/%.c, $(BUILD)/sim/%.o, $(wildcard tests/sim/*.c)) $(LIB)
	$(call say,link)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
sim: $(SIM)
	$(SIM) --steps $(STEPS) $(if $(SEED),--seed $(SEED) --seeds 1,--seeds 20 --jobs $(JOBS))
# The queue's part of `make fault`: the simulator at full length, and a million events that wait.
fault-sim: all $(SIM) $(BUILD)/bench/rows
	$(SIM) -q --steps $(STEPS) --seeds 20 --jobs $(JOBS) > $(BUILD)/sim/last; cat $(BUILD)/sim/last; grep -q "20 of 20" $(BUILD)/sim/last
	[ -z "$$FAULT_FIGURES" ] || sed 's/^/D10  /' $(BUILD)/sim/last >> "$$FAULT_FIGURES"
	BACKLOG_ROWS=1000000 BUILD=$(BUILD) $(PYTHON) -m pytest -p no:cacheprovider -q -s tests/e2e/test_backlog.py
# The flavour whose faults and clock a test sets (core/base/fault.h, clock_read.c): only what differs is
# compiled again, and comes before the library.
FAULTY = $(patsubst core/%.c, $(BUILD)/faults/obj/%.o, $(shell grep -l 'PERILUNE_FAULTS\|base/fault.h' core/*/*.c))
$(BUILD)/faults/obj/%.o: core/%.c
	@mkdir -p $(@D)
	$(call say,cc  )$(CC) $(CPPFLAGS) -DPERILUNE_FAULTS $(CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/faults/perilune: $(BUILD)/obj/main.o $(FAULTY) $(LIB) $(FETCH)
	$(call say,link)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a, $^) $(LDLIBS)
	@$(if $(FETCH),cp $(FETCH) $(@D)/)
# An hour's retries in seconds; and one minute of real time.
fault-clock: all $(BUILD)/faults/perilune
	BUILD=$(BUILD) $(PYTHON) -m pytest -p no:cacheprovider -q -s tests/e2e/test_clock.py tests/e2e/test_minute.py
sim-short: $(SIM)
	@$(SIM) -q --steps 40000 --seeds 20 --jobs $(JOBS)

# Fuzz targets over their corpora, once (see tests/fuzz/README.md); `make fuzz` searches.
FUZZ = $(wildcard tests/fuzz/fuzz_*.c)
REPLAY = $(FUZZ:tests/fuzz/%.c=$(BUILD)/replay/%)
$(BUILD)/replay/%: tests/fuzz/%.c tests/fuzz/replay.c tests/fuzz/fuzz.h $(LIB)
	@mkdir -p $(@D)
	$(call say,test)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -Itests/fuzz -o $@ $< tests/fuzz/replay.c $(LIB) $(LDLIBS)
$(BUILD)/fuzzers/%: tests/fuzz/%.c tests/fuzz/fuzz.h $(LIB)
	@mkdir -p $(@D)
	$(call say,fuzz)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -Itests/fuzz -o $@ $< $(LIB) $(LDLIBS)
fuzzers: $(FUZZ:tests/fuzz/%.c=$(BUILD)/fuzzers/%)
replay: $(REPLAY)
	@for t in $(REPLAY:$(BUILD)/replay/fuzz_%=%); do $(BUILD)/replay/fuzz_$$t tests/fuzz/corpus/$$t.txt || exit 1; done

FUZZ_FLAGS = -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
             -fno-sanitize-recover=undefined
fuzz:
	packaging/setup.sh build fuzz
	$(MAKE) BUILD=build/fuzz CC=clang WARN=-Wall CFLAGS='$(FUZZ_FLAGS)' CPPFLAGS=-DPERILUNE_FAULTS -j$(JOBS) fuzzers
	PYTHON=$(PYTHON) sh tests/fuzz/run.sh $(ONLY)

# They wait more than they work, so that the lint beside them costs no time. Those that wait longest begin.
LONGEST = $(filter %/test_pool_shares %/test_logs %/test_pool_deaths, $(UNIT))
build-unit: all fault-tools $(WIRE) $(REPLAY) $(UNIT) $(SIM) $(BUILD)/faults/perilune
unit: $(UNIT)
	@BUILD=$(BUILD) sh tests/unit.sh $(LONGEST) $(filter-out $(LONGEST), $(UNIT))

# The inner loop: seconds.
check: all unit

# Everything that gates a change. The last line is the test runner's own.
test:
	packaging/setup.sh build test
	$(MAKE) -j$(JOBS) build-unit
	$(MAKE) -j2 --output-sync=target unit replay sim-short lint
	BUILD=$(BUILD) PYTHON=$(PYTHON) sh tests/suite.sh

# The same suite on a build that checks itself. What a sanitizer cannot live with in the jail is
# relaxed there (proc/jail_filter.h) and shown by name in /healthz.
# The sanitizers' own code makes gcc see truncations that are not there.
ASAN_FLAGS = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined \
             -Wno-format-truncation -Wno-maybe-uninitialized
asan:
	packaging/setup.sh build test
	$(MAKE) BUILD=build/asan CFLAGS='$(ASAN_FLAGS)' CPPFLAGS=-DPERILUNE_FAULTS \
	    STRIP=--preserve-dates -j$(JOBS) build-unit
	$(MAKE) BUILD=build/asan CFLAGS='$(ASAN_FLAGS)' CPPFLAGS=-DPERILUNE_FAULTS \
	    STRIP=--preserve-dates unit replay sim-short
	BUILD=build/asan PYTHON=$(PYTHON) sh tests/suite.sh

# 3,000 files of 0 B to 50 MB up and down by aws s3 and rclone, interrupted and resumed; figures.
sync-long: all
	PERILUNE_SYNC=long BUILD=$(BUILD) $(PYTHON) -m pytest -p no:cacheprovider -q -s tests/e2e/test_sync.py

# The console with 10,000 functions, 100,000 objects and 100,000 log lines; figures. And every page as a picture.
.PHONY: console-scale console-shots
console-scale: all
	CONSOLE_CASES=long_lists SCALE=whole BUILD=$(BUILD) $(PYTHON) -m pytest -p no:cacheprovider -q -s tests/console
console-shots: all
	rm -rf $(BUILD)/shots && mkdir -p $(BUILD)/shots
	SHOTS=$(abspath $(BUILD))/shots BUILD=$(BUILD) $(PYTHON) -m pytest -p no:cacheprovider -q -s tests/console

lint:
	@sh tests/lint.sh

# Every patch of tests/mutants breaks one line; the tests it names must notice.
mutants: all
	$(PYTHON) tests/mutants/run.py

# Which operations of AWS's models are answered, used and read back, from the last run of the suite.
opcov:
	@$(PYTHON) tests/wire/opcov.py $(BUILD)/wire

compile_commands.json: FORCE
	@sh packaging/compile_commands.sh '$(CC) $(CPPFLAGS) $(CFLAGS)' $(SRC) > $@
	@echo "$@: $(words $(SRC)) files"

# PICTURE=path KEY=name uploads that file under that key instead of one made here.
demo:
	packaging/setup.sh build demo
	$(MAKE) all
	@BUILD=$(BUILD) packaging/demo.sh start
demo-stop:
	@BUILD=$(BUILD) packaging/demo.sh stop

$(BUILD)/bench/rows: tests/bench/rows.c $(LIB)
	@mkdir -p $(@D)
	$(call say,test)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(LIB) $(LDLIBS)
$(BUILD)/bench/codec: tests/bench/codec.c $(LIB)
	@mkdir -p $(@D)
	$(call say,test)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(LIB) $(LDLIBS) -ldl

# A runner's program without its jail, for callgrind.
$(BUILD)/bench/runner: tests/bench/runner.c $(LIB)
	@mkdir -p $(@D)
	$(call say,test)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -Itests/unit -MMD -MP -o $@ $< $(LIB) -lcmocka $(LDLIBS)

# Figures with their spread, beside a peer on the same cores; nothing passes or fails.
bench-quick: all
	sh tests/bench/setup.sh
	$(PYTHON) tests/bench/quick.py

# The whole table, with more peers: half an hour. ARGS="--only P1,P4 --rounds 3 --keep".
bench: all $(BUILD)/bench/runner $(BUILD)/bench/rows
	sh tests/bench/setup.sh all
	$(PYTHON) tests/bench/full.py $(ARGS)

# Objects beside nginx's files and s3rver: three minutes. ARGS="--rounds 1".
bench-s3: all
	sh tests/bench/setup.sh all
	$(PYTHON) tests/bench/s3.py $(ARGS)

# A decision over fifty statements: microseconds of the processor, and instructions where there is valgrind.
bench-policy: $(LIB)
	@mkdir -p $(BUILD)/bench
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $(BUILD)/bench/policy tests/bench/policy.c $(LIB) $(LDLIBS)
	@$(BUILD)/bench/policy
	@! command -v valgrind >/dev/null || for n in 1000 2000; do \
	    valgrind --tool=callgrind --callgrind-out-file=$(BUILD)/bench/policy.cg $(BUILD)/bench/policy $$n 2>&1 | \
	    sed -n "s/.*Collected *: */$$n decisions, instructions: /p"; done

# PREFIX is where it will run, DESTDIR what stands before it meanwhile. The unit is not enabled: README.md.
SHARE = $(DESTDIR)$(PREFIX)/share
install: all
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(BUILD)/perilune $(FETCH)
	install -d $(addprefix $(SHARE)/, man/man1 bash-completion/completions zsh/site-functions \
	    fish/vendor_completions.d)
	$(BUILD)/perilune man > $(SHARE)/man/man1/perilune.1
	$(BUILD)/perilune completions bash > $(SHARE)/bash-completion/completions/perilune
	$(BUILD)/perilune completions zsh > $(SHARE)/zsh/site-functions/_perilune
	$(BUILD)/perilune completions fish > $(SHARE)/fish/vendor_completions.d/perilune.fish
	chmod 644 $(SHARE)/man/man1/perilune.1 $(SHARE)/bash-completion/completions/perilune \
	    $(SHARE)/zsh/site-functions/_perilune $(SHARE)/fish/vendor_completions.d/perilune.fish
	install -D -m 644 -t $(SHARE)/perilune/lua $(wildcard lua/meta/*.lua)
	install -D -m 644 -t $(SHARE)/doc/perilune README.md LICENSE packaging/nginx.conf packaging/Caddyfile
	install -D -m 644 packaging/perilune.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/perilune.conf
	install -D -m 644 packaging/perilune.service $(DESTDIR)$(PREFIX)/lib/systemd/system/perilune.service
	sed -i 's|/usr/bin|$(PREFIX)/bin|' $(DESTDIR)$(PREFIX)/lib/systemd/system/perilune.service

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/, bin/perilune bin/perilune-fetch lib/sysusers.d/perilune.conf \
	    lib/systemd/system/perilune.service) $(addprefix $(SHARE)/, man/man1/perilune.1 \
	    bash-completion/completions/perilune zsh/site-functions/_perilune fish/vendor_completions.d/perilune.fish)
	rm -rf $(SHARE)/perilune $(SHARE)/doc/perilune

# $(BUILD)/perilune_VERSION_ARCH.deb, for the Debian it is built on.
deb:
	@packaging/setup.sh build deb >/dev/null
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) MAKE='$(MAKE)' sh packaging/deb.sh

clean:
	@[ ! -f $(BUILD)/demo/pid ] || BUILD=$(BUILD) packaging/demo.sh stop
	rm -rf $(BUILD) compile_commands.json

FORCE:
-include $(shell find $(BUILD)/obj $(BUILD)/unit $(BUILD)/fault $(BUILD)/faults $(BUILD)/sim -name '*.d' 2>/dev/null)
.PHONY: sim sim-short fault-sim fault-clock fault-tools mutants fuzz fuzzers replay bench-policy sync-long bench bench-quick bench-s3 opcov all build-unit unit fault fault-multipart fault-runners fault-hostile check test asan lint demo demo-stop install uninstall deb clean FORCE
.DELETE_ON_ERROR:

# Perilune: `make demo` shows it, `make test` gates a change. README.md says more.
# Objects of core/ go to build/obj; everything but main.o also into an archive that unit tests link.

BUILD   ?= build
CC      ?= gcc
PKGS     = $(LUAJIT) libuv libcrypto jansson expat libzip libseccomp
LUAJIT  ?= luajit
CFLAGS  ?= -O2 -g
WARN     = -Wall -Wextra -Wshadow -Wmissing-prototypes -Wcast-qual -Wvla -Werror
override CPPFLAGS += -Icore -D_GNU_SOURCE $(shell pkg-config --cflags $(PKGS))
override CFLAGS   += -std=gnu11 $(WARN) -fno-strict-aliasing -fstack-protector-strong
override LDLIBS   += $(shell pkg-config --libs $(PKGS)) -llmdb -lhttp_parser -lpthread -lm

SRC  = $(filter-out core/fetch/%, $(wildcard core/*.c core/*/*.c))
OBJ  = $(SRC:core/%.c=$(BUILD)/obj/%.o)
LIB  = $(BUILD)/libperilune.a
UNIT = $(patsubst tests/unit/%.c, $(BUILD)/unit/%, $(wildcard tests/unit/test_*.c))

all: $(BUILD)/perilune

$(BUILD)/perilune: $(BUILD)/obj/main.o $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIB): $(filter-out $(BUILD)/obj/main.o, $(OBJ))
	rm -f $@ && ar rcs $@ $^

$(BUILD)/obj/%.o: core/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -c -o $@ $<

$(BUILD)/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Itests/unit -MMD -o $@ $< $(LIB) -lcmocka $(LDLIBS)

unit: $(UNIT)
	@for t in $(UNIT); do $$t || exit 1; done

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all unit clean

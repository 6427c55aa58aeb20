/* jail: what a process can still do inside, asked of a real one: system calls by number and form,
 * files, descriptors, limits, capabilities; and that LuaJIT compiles there. */
#include <lauxlib.h> /* before base/str.h poisons what it uses */
#include <lua.h>
#include <lualib.h>

#include "proc/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proc/jail_filter.h"
#include "unit.h"

struct page { /* shared with the child */
    volatile uint32_t layers;
    volatile int reached;
    char text[256];
};
static struct page *page;
static struct jail jail;

static int setup(void **state)
{
    (void)state;
    struct err err = {0};
    setenv("TZ", "UTC0", 1); /* as the zygote has it: else the first date opens /etc/localtime */
    tzset();
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (jail_prepare(&jail, false, &err))
        fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    jail_release(&jail);
    munmap(page, sizeof *page);
    return 0;
}

/* The wait status of a child that does `what` inside. */
static int inside(void (*what)(void))
{
    int status;
    pid_t self = getpid();
    memset(page, 0, sizeof *page);
    pid_t pid = fork();
    if (pid == 0) {
        jail_enter(&jail, eventfd(0, EFD_NONBLOCK), self, &page->layers);
        what();
        page->reached = 1;
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void nothing(void)
{
}

static void all_layers_close(void **state)
{
    (void)state;
    char text[160];
    assert_int_equal(inside(nothing), 0);
    assert_int_equal(page->reached, 1);
    jail_layers_text(page->layers, text, sizeof text);
    if (!JAIL_FILTER_SANITIZER)
        assert_string_equal(text, "no_new_privs,landlock,descriptors,capabilities,rlimits,dumpable,"
                                  "parent,seccomp");
    jail_layers_text(page->layers, text, 20); /* too small a buffer is no overflow */
    assert_true(strlen(text) < 20);
}

/* --- system calls -------------------------------------------------------------------------------
 */

static int ask(const char *n, const char *a0, const char *a1, const char *a2, const char *a3)
{
    char text[5][24];
    const char *from[5] = {n, a0, a1, a2, a3};
    char *argv[5];
    for (int i = 0; i < 5; i++) {
        snprintf(text[i], sizeof text[i], "%s", from[i]);
        argv[i] = text[i];
    }
    fflush(stdout);
    int out = dup(1), null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    int rc = jail_test(5, argv);
    fflush(stdout);
    dup2(out, 1);
    close(out);
    close(null);
    return rc;
}

enum { ALLOWED = 0, KILLED = 4 };

static void calls_by_number(void **state)
{
    (void)state;
    if (JAIL_FILTER_SANITIZER)
        return; /* its filter is another */
    static const int killed[] = {0,
                                 2,
                                 3,
                                 4,
                                 5,
                                 13,
                                 14,
                                 16,
                                 17,
                                 19,
                                 20,
                                 22,
                                 23,
                                 29,
                                 30,
                                 31,
                                 32,
                                 33,
                                 39,
                                 41,
                                 42,
                                 46,
                                 47,
                                 56,
                                 57,
                                 58,
                                 59,
                                 61,
                                 62,
                                 72,
                                 83,
                                 87,
                                 90,
                                 101,
                                 102,
                                 105,
                                 109,
                                 117,
                                 134,
                                 155,
                                 157,
                                 160,
                                 161,
                                 165,
                                 186,
                                 200,
                                 206,
                                 234,
                                 250,
                                 257,
                                 272,
                                 283,
                                 288,
                                 290,
                                 298,
                                 303,
                                 308,
                                 310,
                                 317,
                                 319,
                                 321,
                                 322,
                                 323,
                                 332,
                                 424,
                                 425,
                                 426,
                                 434,
                                 435,
                                 437,
                                 438,
                                 439,
                                 444,
                                 446,
                                 447,
                                 0x40000000 + 1,
                                 0x40000000 + 57};
    static const int allowed[] = {9, 10, 11, 12, 15, 25, 96, 201, 202, 219, 228, 231, 318};
    char n[24];
    for (size_t i = 0; i < sizeof killed / sizeof *killed; i++) {
        snprintf(n, sizeof n, "%d", killed[i]);
        if (ask(n, "0", "0", "0", "0") != KILLED)
            fail_msg("system call %s is not killed", n);
    }
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        snprintf(n, sizeof n, "%d", allowed[i]);
        if (ask(n, "0", "0", "0", "0") != ALLOWED)
            fail_msg("system call %s is not allowed", n);
    }
}

static void calls_by_form(void **state)
{
    (void)state;
    if (JAIL_FILTER_SANITIZER)
        return;
    assert_int_equal(ask("1", "1", "0", "0", "0"), KILLED);     /* write to anything else */
    assert_int_equal(ask("1", "2", "0", "0", "0"), KILLED);     /* … */
    assert_int_equal(ask("1", "3", "0", "0", "0"), ALLOWED);    /* write to the bell */
    assert_int_equal(ask("10", "0", "4096", "7", "0"), KILLED); /* mprotect rwx */
    assert_int_equal(ask("10", "0", "4096", "6", "0"), KILLED); /* wx */
    assert_int_equal(ask("10", "0", "4096", "5", "0"), ALLOWED);
    assert_int_equal(ask("10", "0", "4096", "3", "0"), ALLOWED);
    assert_int_equal(ask("9", "0", "4096", "7", "34"), KILLED); /* mmap rwx */
    assert_int_equal(ask("9", "0", "4096", "5", "34"), KILLED); /* mmap rx */
    assert_int_equal(ask("9", "0", "4096", "3", "34"), ALLOWED);
    assert_int_equal(ask("202", "0", "0", "0", "0"), ALLOWED);   /* FUTEX_WAIT */
    assert_int_equal(ask("202", "0", "1", "0", "0"), KILLED);    /* FUTEX_WAKE */
    assert_int_equal(ask("202", "0", "6", "0", "0"), KILLED);    /* FUTEX_LOCK_PI */
    assert_int_equal(ask("202", "0", "129", "0", "0"), ALLOWED); /* a wake within the process */
    assert_int_equal(ask("302", "0", "9", "0", "0"), ALLOWED);   /* own RLIMIT_AS */
    assert_int_equal(ask("302", "1", "9", "0", "0"), KILLED);    /* another's */
    assert_int_equal(ask("302", "0", "7", "0", "0"), KILLED);    /* another limit */
    assert_int_equal(ask("302", "0", "9", "0", "1"), KILLED);    /* reading the old one */
    char usage[] = "x", *argv[] = {usage};
    assert_int_equal(jail_test(0, argv), 2);
    assert_int_equal(jail_test(1, argv), 2);
}

/* --- the layers, each by what it forbids, in a jail without the filter ---------------------------
 */

static void look_around(void)
{
    struct rlimit r;
    char bad[8] = {0};
    int fd = open("/etc/passwd", O_RDONLY);
    bad[0] = fd >= 0 || errno != EACCES; /* landlock */
    pid_t pid = fork();                  /* root may: its number of processes is not checked */
    if (pid == 0)
        _exit(0);
    bad[1] = pid > 0 && getuid() != 0;
    getrlimit(RLIMIT_FSIZE, &r);
    bad[2] = r.rlim_max != 0;
    getrlimit(RLIMIT_NPROC, &r);
    bad[3] = r.rlim_max != 0;
    for (int i = 0; i < 64; i++)
        if (i != JAIL_BELL && !(JAIL_FILTER_SANITIZER && i == 2) && fcntl(i, F_GETFD) >= 0)
            bad[4] = 1;
    bad[5] = syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL) == 0; /* capabilities */
    bad[6] = kill(getppid(), 0) == 0;                                   /* landlock's scope */
    for (size_t i = 0; i < sizeof bad; i++)
        page->text[i] = (char)('0' + bad[i]);
}

static void layers_forbid_by_themselves(void **state)
{
    (void)state;
    struct jail whole = jail;
    jail.filter = NULL; /* weak: goes on without it */
    jail.weak = true;
    inside(look_around);
    assert_int_equal(page->reached, 1);
    assert_false(page->layers & 1u << JAIL_SECCOMP);
    page->text[6] = '0'; /* needs a kernel with the newest Landlock */
    assert_string_equal(page->text, "00000000");
    jail.weak = false; /* and fails closed, with its name */
    int status = inside(nothing);
    assert_int_equal(page->reached, 0);
    assert_int_equal(jail_failed_layer(status), JAIL_SECCOMP);
    jail = whole;
}

static void wrong_parent_fails_closed(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        jail_enter(&jail, eventfd(0, 0), 1, &page->layers);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(jail_failed_layer(status), JAIL_PARENT);
    assert_string_equal(jail_layer_name(JAIL_PARENT), "parent");
    assert_null(jail_layer_name(JAIL_LAYERS));
}

/* --- LuaJIT inside ------------------------------------------------------------------------------
 */

static void lua_hot_loop(void)
{
    jail_limit_memory(64);
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_dostring(L, "local s = 0 for i = 1, 1e6 do s = s + i % 7 end\n"
                         "local u = require 'jit.util'\n"
                         "local t = os.date('%Y') .. os.clock() .. os.time()\n"
                         "return (u.traceinfo(1) and 'compiled ' or 'interpreted ') .. s"))
        snprintf(page->text, sizeof page->text, "%s", lua_tostring(L, -1));
    else
        snprintf(page->text, sizeof page->text, "%s", lua_tostring(L, -1));
    lua_close(L);
}

static void lua_recursion(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_dostring(L, "local function f(s) return (s:gsub('.', f)) end return pcall(f, 'x')"))
        return;
    snprintf(page->text, sizeof page->text, "%s", lua_tostring(L, -1));
}

static void lua_memory(void)
{
    jail_limit_memory(64); /* 182 MiB of address space in all */
    for (int i = 0; i < 1000; i++)
        if (mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) {
            snprintf(page->text, sizeof page->text, "%d", i);
            return;
        }
}

static void luajit_compiles_inside(void **state)
{
    (void)state;
    int status = inside(lua_hot_loop);
    assert_int_equal(status, 0);
    assert_string_equal(page->text, "compiled 2999998");
    status = inside(lua_recursion); /* deep C recursion is an error, not a crash */
    assert_int_equal(status, 0);
    if (!JAIL_FILTER_SANITIZER) {
        assert_int_equal(inside(lua_memory), 0);
        assert_true(atoi(page->text) > 100 && atoi(page->text) < 183);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_layers_close),
        cmocka_unit_test(calls_by_number),
        cmocka_unit_test(calls_by_form),
        cmocka_unit_test(layers_forbid_by_themselves),
        cmocka_unit_test(wrong_parent_fails_closed),
        cmocka_unit_test(luajit_compiles_inside),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

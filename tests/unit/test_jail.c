/* jail: what a process can still do inside, asked of a real one: system calls by number and form,
 * files, descriptors, limits, capabilities; and that LuaJIT compiles there. */
#include <lauxlib.h> /* before base/str.h poisons what it uses */
#include <lua.h>
#include <lualib.h>

#include "proc/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
    bad[2] = !JAIL_FILTER_SANITIZER && r.rlim_max != 0;
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

/* --- one layer switched off after the other -----------------------------------------------------
 */

enum { INHERITED = 50, NOBODY = 65534 }; /* a descriptor left open; a user without rights */

/* Attempts: true when the world outside, or what the limits hold back, was reached. */

static bool reads_a_file(void)
{
    return open("/etc/passwd", O_RDONLY) >= 0;
}

static bool makes_a_folder(void)
{
    return mkdir("/tmp/perilune-test-jail", 0700) == 0 && rmdir("/tmp/perilune-test-jail") == 0;
}

static bool runs_a_program(void)
{
    page->reached = 1; /* nobody comes back to say so */
    execl("/bin/true", "true", (char *)NULL);
    page->reached = 0;
    return false;
}

static bool connects(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == ECONNREFUSED;
}

static bool signals_its_parent(void)
{
    return kill(getppid(), 0) == 0;
}

static bool forks(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0;
}

static bool writes_a_file(void)
{
    int fd = memfd_create("x", 0);
    signal(SIGXFSZ, SIG_IGN);
    return write(fd, "x", 1) == 1;
}

static bool opens_many(void)
{
    int last = 0;
    for (int i = 0; i < 10; i++)
        last = dup(JAIL_BELL);
    return last >= 0;
}

static bool locks_memory(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && mlock(p, 4096) == 0;
}

static bool uses_what_it_inherited(void)
{
    return fcntl(INHERITED, F_GETFD) >= 0;
}

static bool changes_its_root(void)
{
    return chroot("/") == 0;
}

static bool can_be_traced(void)
{
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0;
}

static bool outlives_its_parent(void)
{
    int sig = 0;
    return prctl(PR_GET_PDEATHSIG, &sig, 0, 0, 0) != 0 || sig != SIGKILL;
}

/* What the layers beside the filter claim, each with the ones that hold it back. All of it is made
 * with system calls that the filter kills for. */
static const struct attempt {
    const char *name;
    bool (*reaches)(void);
    uint32_t held_by;
    int abi;   /* Landlock's, from which it holds */
    bool root; /* made by root, who has lost only the capabilities */
} attempts[] = {
    {"a file", reads_a_file, 1u << JAIL_LANDLOCK, 1, false},
    {"a file, by root", reads_a_file, 1u << JAIL_LANDLOCK, 1, true},
    {"a folder", makes_a_folder, 1u << JAIL_LANDLOCK, 1, false},
    {"a program", runs_a_program, 1u << JAIL_LANDLOCK, 1, false},
    {"a connection", connects, 1u << JAIL_LANDLOCK, 4, false},
    {"a signal", signals_its_parent, 1u << JAIL_LANDLOCK, 6, true},
    {"a process", forks, 1u << JAIL_RLIMITS, 0, false},
    {"a file of its own", writes_a_file, 1u << JAIL_RLIMITS, 0, false},
    {"descriptors", opens_many, 1u << JAIL_RLIMITS, 0, false},
    {"locked memory", locks_memory, 1u << JAIL_RLIMITS, 0, false},
    {"an inherited descriptor", uses_what_it_inherited, 1u << JAIL_DESCRIPTORS, 0, false},
    {"a root", changes_its_root, 1u << JAIL_CAPABILITIES, 0, true},
    {"tracing", can_be_traced, 1u << JAIL_DUMPABLE, 0, true},
    {"a later life", outlives_its_parent, 1u << JAIL_PARENT, 0, false},
};

/* The wait status of a child that makes the attempt in a jail without these layers; *reached says
 * whether it came through. */
static int try_without(const struct attempt *a, uint32_t without, bool *reached)
{
    int status;
    pid_t self = getpid();
    memset(page, 0, sizeof *page);
    jail.without = without;
    pid_t pid = fork();
    if (pid == 0) {
        int bell = eventfd(0, EFD_NONBLOCK);
        dup2(1, INHERITED);
        if (!a->root && getuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY))
            _exit(1);
        jail_enter(&jail, bell, self, &page->layers);
        page->text[0] = 'i'; /* inside */
        page->reached = a->reaches();
        _exit(0);
    }
    jail.without = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *reached = page->reached;
    return status;
}

static void each_layer_is_missed_by_itself(void **state)
{
    (void)state;
    const uint32_t filter = 1u << JAIL_SECCOMP;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
    if (JAIL_FILTER_SANITIZER)
        return;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        const struct attempt *a = &attempts[i];
        bool reached;
        if (a->abi > abi || (a->root && getuid() != 0) ||
            (a->held_by == 1u << JAIL_CAPABILITIES && chroot("/") != 0))
            continue; /* it cannot be made here, jail or not */
        for (unsigned off = 0; off < JAIL_LAYERS; off++) {
            uint32_t without = 1u << off;
            int status = try_without(a, without, &reached);
            if (off == JAIL_NO_NEW_PRIVS) { /* the filter is not to be had without it */
                if (page->text[0] || jail_failed_layer(status) < 0)
                    fail_msg("a jail without no_new_privs: status %#x", (unsigned)status);
                continue;
            }
            if (off != JAIL_SECCOMP &&
                (!page->text[0] || !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS))
                fail_msg("%s, without %s: status %#x", a->name, jail_layer_name(off),
                         (unsigned)status);
            without |= filter; /* now without the filter, too */
            try_without(a, without, &reached);
            if (!page->text[0] || ((a->held_by & ~without) != 0 && reached))
                fail_msg("%s is reached without %s and the filter", a->name, jail_layer_name(off));
        }
        try_without(a, filter | a->held_by, &reached);
        if (!reached)
            fail_msg("%s: something else holds it back", a->name);
    }
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
        cmocka_unit_test(each_layer_is_missed_by_itself),
        cmocka_unit_test(wrong_parent_fails_closed),
        cmocka_unit_test(luajit_compiles_inside),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

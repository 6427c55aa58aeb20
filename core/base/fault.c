/* fault: the table behind FAULT(name), in test builds only.
 *
 * A handful of rows under one mutex: places that can fail are never on a path where a lock would
 * matter to a test. The control file is looked at on every hit and read again when its inode, size
 * or time differs, so that a test can break the disk of a running server and mend it. A file that
 * was removed means no faults. Bad lines end the process: a fault that silently does not happen
 * would make a test pass for nothing. */
#ifdef PERILUNE_FAULTS

#include "base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

enum { ROWS = 16, KILL = -1 };

static struct {
    pthread_mutex_t lock;
    struct {
        char name[32];
        int error;
        uint64_t skip, count;
    } rows[ROWS];
    size_t n;
    struct stat seen; /* of the control file when it was last read */
} faults = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int error_of(const char *text)
{
    static const struct {
        const char *name;
        int error;
    } names[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EROFS", EROFS},
                 {"ENOMEM", ENOMEM}, {"EINTR", EINTR},   {"KILL", KILL}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, text) == 0)
            return names[i].error;
    return atoi(text);
}

static void parse(struct str spec)
{
    faults.n = 0;
    while (spec.n) {
        struct str line = str_trim(str_cut(&spec, '\n'));
        char z[128], error[16];
        unsigned long long skip = 0, count = UINT64_MAX;
        if (line.n == 0)
            continue;
        if (line.n >= sizeof z || faults.n == ROWS)
            fatal("faults: too long");
        memcpy(z, line.p, line.n);
        z[line.n] = 0;
        int got =
            sscanf(z, "%31s %15s %llu %llu", faults.rows[faults.n].name, error, &skip, &count);
        faults.rows[faults.n].error = got >= 2 ? error_of(error) : 0;
        if (faults.rows[faults.n].error == 0)
            fatal("faults: bad line \"%s\"", z);
        faults.rows[faults.n].skip = skip;
        faults.rows[faults.n].count = count;
        faults.n++;
    }
}

static void read_control_file(void)
{
    const char *path = getenv("PERILUNE_FAULT_FILE");
    struct stat st = {0};
    char text[4096];
    if (!path)
        return;
    if (stat(path, &st) != 0)
        st = (struct stat){0};
    if (st.st_ino == faults.seen.st_ino && st.st_size == faults.seen.st_size &&
        st.st_mtim.tv_sec == faults.seen.st_mtim.tv_sec &&
        st.st_mtim.tv_nsec == faults.seen.st_mtim.tv_nsec)
        return;
    faults.seen = st;
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    if (f)
        fclose(f);
    parse(str_of(text, n));
}

int fault_hit(const char *name)
{
    int error = 0;
    pthread_mutex_lock(&faults.lock);
    read_control_file();
    for (size_t i = 0; i < faults.n && error == 0; i++) {
        if (strcmp(faults.rows[i].name, name) != 0)
            continue;
        if (faults.rows[i].skip)
            faults.rows[i].skip--;
        else if (faults.rows[i].count) {
            faults.rows[i].count--;
            error = faults.rows[i].error;
        }
    }
    pthread_mutex_unlock(&faults.lock);
    if (error == KILL)
        kill(getpid(), SIGKILL);
    return error;
}

void fault_set(const char *spec)
{
    pthread_mutex_lock(&faults.lock);
    parse(str_c(spec));
    pthread_mutex_unlock(&faults.lock);
}

#else

/* A release build has nothing here; ISO C wants a declaration all the same. */
struct fault_unused;

#endif

/* log: the server's own messages (not the functions' logs), one line each on stderr.
 *
 * Under systemd lines carry the "<N>" priority prefix; on a terminal they are plain. Secrets never
 * reach this file. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdnoreturn.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* Lines above `level` are dropped; the default is INFO. `name` precedes each line ("core"). */
void log_init(const char *name, enum log_level level);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Writes the line and aborts. For start-up and broken invariants only: no input may reach it. */
noreturn void fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Stays in release builds. */
#define ASSERT(c)                                                                                  \
    do {                                                                                           \
        if (__builtin_expect(!(c), 0))                                                             \
            fatal("%s:%d: assertion failed: %s", __FILE__, __LINE__, #c);                          \
    } while (0)

#endif

/* log: one write(2) per line, so that lines of several processes do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    const char *name;
    enum log_level level;
    int journal; /* stderr is the journal: prefix priorities */
} cfg = {"perilune", LOG_LEVEL_INFO, 0};

void log_init(const char *name, enum log_level level)
{
    cfg.name = name;
    cfg.level = level;
    cfg.journal = getenv("JOURNAL_STREAM") != NULL;
}

static void emit(enum log_level level, const char *fmt, va_list ap)
{
    char line[2048];
    int n = cfg.journal ? snprintf(line, sizeof line, "<%d>%s: ", level, cfg.name)
                        : snprintf(line, sizeof line, "%s: ", cfg.name);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    size_t len = (size_t)n + (m < 0 ? 0 : (size_t)m);
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    line[len++] = '\n';
    if (write(2, line, len) < 0)
        return;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    if (level > cfg.level)
        return;
    va_list ap;
    va_start(ap, fmt);
    emit(level, fmt, ap);
    va_end(ap);
}

noreturn void fatal(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    emit(LOG_LEVEL_ERROR, fmt, ap);
    va_end(ap);
    abort();
}

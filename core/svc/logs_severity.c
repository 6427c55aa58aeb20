/* logs_severity: names of levels. Apart from the rest, since who only asks for a name needs no log. */
#include "svc/logs.h"

static const char *const severities[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};

const char *log_severity_name(enum log_severity level)
{
    return level <= LOG_FATAL ? severities[level] : severities[LOG_INFO];
}

bool log_severity_parse(struct str s, enum log_severity *out)
{
    for (int i = LOG_TRACE; i <= LOG_FATAL; i++)
        if (str_ieq(s, str_c(severities[i]))) {
            *out = (enum log_severity)i;
            return true;
        }
    return false;
}

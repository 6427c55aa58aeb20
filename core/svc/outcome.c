/* outcome: the texts are those of AWS Lambda where it has them; scripts look for them. */
#include "svc/outcome.h"

#include <signal.h>
#include <sys/wait.h>

static void set(struct outcome *o, const char *type, const char *status)
{
    *o = (struct outcome){.type = type, .status = status};
}

void outcome_timeout(struct outcome *o, uint32_t timeout_ms)
{
    set(o, "Sandbox.Timedout", "timeout");
    snprintf(o->text, sizeof o->text, "Task timed out after %u.%02u seconds", timeout_ms / 1000,
             timeout_ms % 1000 / 10);
}

void outcome_memory(struct outcome *o, uint32_t memory_mb)
{
    set(o, "Runtime.OutOfMemory", "error");
    snprintf(o->text, sizeof o->text, "memory limit of %u MB exceeded", memory_mb);
}

static const char *signal_text(int sig)
{
    switch (sig) {
    case SIGSEGV:
        return "segmentation fault";
    case SIGBUS:
        return "bus error";
    case SIGILL:
        return "illegal instruction";
    case SIGFPE:
        return "floating point exception";
    case SIGABRT:
        return "aborted";
    case SIGTRAP:
        return "trace/breakpoint trap";
    case SIGSYS:
        return "bad system call";
    case SIGTERM:
        return "terminated";
    case SIGKILL:
        return "killed";
    default:
        return NULL;
    }
}

void outcome_exit(struct outcome *o, int wait_status, bool memory_refused, uint32_t memory_mb)
{
    int sig = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    /* LuaJIT may crash when an allocation fails inside a trace: at the cap that is the cap */
    bool crashed = sig == SIGSEGV || sig == SIGBUS || sig == SIGABRT;
    if (sig == SIGKILL || (memory_refused && (crashed || !sig))) {
        outcome_memory(o, memory_mb);
        return;
    }
    set(o, "Runtime.ExitError", "error");
    o->violation = sig == SIGSYS;
    const char *name = signal_text(sig);
    if (sig && name)
        snprintf(o->text, sizeof o->text, "Runtime exited with error: signal: %s", name);
    else if (sig)
        snprintf(o->text, sizeof o->text, "Runtime exited with error: signal: %d", sig);
    else if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status))
        snprintf(o->text, sizeof o->text, "Runtime exited with error: exit status %d",
                 WEXITSTATUS(wait_status));
    else
        snprintf(o->text, sizeof o->text, "Runtime exited without providing a reason");
}

void outcome_broken(struct outcome *o)
{
    set(o, "Runtime.ExitError", "error");
    snprintf(o->text, sizeof o->text, "Runtime exited without providing a reason");
}

void outcome_json(const struct outcome *o, const char *request_id, struct buf *out)
{
    /* nothing in these texts needs escaping */
    buf_printf(out, "{\"errorType\":\"%s\",\"errorMessage\":\"RequestId: %s Error: %s\"}", o->type,
               request_id, o->text);
}

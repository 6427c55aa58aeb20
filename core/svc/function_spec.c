/* function_spec: what a function's settings may be, before any store is asked.
 *
 * The limits and texts are Lambda's; the differences are deliberate: memory from 1 MB, handlers of
 * the form file.function, and our own list of runtimes. Pure functions. */
#include "base/log.h"
#include "svc/function.h"

enum { DESCRIPTION_MAX = 256, HANDLER_MAX = 128, ROLE_MAX = 512 };

#define NAME_PATTERN                                                                               \
    "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)"  \
    "?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?"
#define ROLE_PATTERN "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+"

static const char *const reserved[] = {
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
};

static int fault(struct err *err, struct str value, const char *member, const char *constraint)
{
    int shown = value.n > 160 ? 160 : (int)value.n;
    return err_set(err, E_VALIDATION,
                   "1 validation error detected: Value '%.*s' at '%s' failed to satisfy "
                   "constraint: Member must %s",
                   shown, value.p, member, constraint);
}

static int too_long(struct err *err, struct str value, const char *member, size_t max)
{
    char constraint[64];
    snprintf(constraint, sizeof constraint, "have length less than or equal to %zu", max);
    return fault(err, value, member, constraint);
}

static int number_fault(struct err *err, uint64_t value, const char *member, unsigned max)
{
    char shown[24], constraint[64];
    int n = snprintf(shown, sizeof shown, "%llu", (unsigned long long)value);
    snprintf(constraint, sizeof constraint, "have value less than or equal to %u", max);
    return fault(err, str_of(shown, (size_t)n), member, constraint);
}

static bool word(struct str s, const char *more)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == 0 || !strchr(more, c)))
            return false;
    }
    return s.n > 0;
}

int function_name_check(struct str name, struct err *err)
{
    if (!name.p)
        return err_set(err, E_VALIDATION,
                       "1 validation error detected: Value null at 'functionName' failed to "
                       "satisfy constraint: Member must not be null");
    if (!word(name, "-_"))
        return fault(err, name, "functionName",
                     "satisfy regular expression pattern: " NAME_PATTERN);
    return name.n > FUNCTION_NAME_MAX ? too_long(err, name, "functionName", FUNCTION_NAME_MAX) : 0;
}

static int check_runtime(struct str runtime, struct err *err)
{
    if (str_is(runtime, "lua") || str_is(runtime, "luajit") || str_is(runtime, "lua5.1") ||
        (str_starts(runtime, STR("provided")) && word(runtime, ".")))
        return 0;
    int shown = runtime.n > 80 ? 80 : (int)runtime.n;
    return err_set(err, E_INVALID,
                   "Value '%.*s' at 'runtime' failed to satisfy constraint: Member must satisfy "
                   "enum value set: [lua, luajit, lua5.1, provided*] (provided* for packages "
                   "without a file named bootstrap)",
                   shown, runtime.p);
}

static int check_handler(struct str handler, struct err *err)
{
    if (handler.n > HANDLER_MAX)
        return too_long(err, handler, "handler", HANDLER_MAX);
    for (size_t i = 0; i < handler.n; i++)
        if ((unsigned char)handler.p[i] <= ' ' || handler.p[i] == 0x7f)
            return fault(err, handler, "handler", "satisfy regular expression pattern: [^\\s]+");
    ptrdiff_t dot = -1;
    for (size_t i = 0; i < handler.n; i++)
        if (handler.p[i] == '.')
            dot = (ptrdiff_t)i;
    if (dot <= 0 || (size_t)dot + 1 == handler.n || handler.p[dot - 1] == '/')
        return err_set(err, E_INVALID,
                       "The handler '%.*s' is not of the form file.function, such as handler.main",
                       STR_FMT(handler));
    return 0;
}

static int check_role(struct str role, struct err *err)
{
    struct str rest = role, part[6];
    for (size_t i = 0; i < 5; i++)
        part[i] = str_cut(&rest, ':');
    part[5] = rest;
    bool ok = role.n <= ROLE_MAX && str_is(part[0], "arn") && str_starts(part[1], STR("aws")) &&
              str_is(part[2], "iam") && part[3].n == 0 && part[4].n == 12 && word(part[4], "") &&
              str_starts(part[5], STR("role/")) && word(str_from(part[5], 5), "+=,.@-_/");
    return ok ? 0 : fault(err, role, "role", "satisfy regular expression pattern: " ROLE_PATTERN);
}

static int check_env(const struct fn_spec *spec, struct err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < spec->env_count; i++) {
        struct str name = spec->env[i].name;
        total += name.n + spec->env[i].value.n;
        for (size_t k = 0; k < sizeof reserved / sizeof *reserved; k++)
            if (str_is(name, reserved[k]))
                return err_set(err, E_INVALID,
                               "Lambda was unable to configure your environment variables because "
                               "the environment variables you have provided contains reserved "
                               "keys that are currently not supported for modification. Reserved "
                               "keys used in this request: %s",
                               reserved[k]);
        if (!word(name, "_") || name.p[0] == '_' || /* one letter is enough here */
            (name.p[0] >= '0' && name.p[0] <= '9'))
            return fault(err, name, "environment.variables",
                         "satisfy constraint: [Member must satisfy regular expression pattern: "
                         "[a-zA-Z]([a-zA-Z0-9_])+]");
        if (spec->env[i].value.n && memchr(spec->env[i].value.p, 0, spec->env[i].value.n))
            return fault(err, name, "environment.variables", "not hold NUL bytes");
    }
    if (total > FUNCTION_ENV_MAX)
        return err_set(err, E_INVALID,
                       "Lambda was unable to configure your environment variables because the "
                       "environment variables you have provided exceeded the 4KB limit.");
    return 0;
}

static int check_required(const struct fn_spec *spec, struct err *err)
{
    if (!spec->role.p)
        return err_set(err, E_VALIDATION,
                       "1 validation error detected: Value null at 'role' failed to satisfy "
                       "constraint: Member must not be null");
    if (!spec->runtime.p || !spec->handler.p)
        return err_set(err, E_INVALID,
                       "Runtime and Handler are mandatory parameters for functions created with "
                       "deployment packages.");
    return 0;
}

int fn_spec_check(const struct fn_spec *spec, bool create, struct err *err)
{
    int rc = function_name_check(spec->name, err);
    if (rc == 0 && create)
        rc = check_required(spec, err);
    if (rc == 0 && spec->runtime.p)
        rc = check_runtime(spec->runtime, err);
    if (rc == 0 && spec->handler.p)
        rc = check_handler(spec->handler, err);
    if (rc == 0 && spec->role.p)
        rc = check_role(spec->role, err);
    if (rc == 0 && spec->description.n > DESCRIPTION_MAX)
        rc = too_long(err, spec->description, "description", DESCRIPTION_MAX);
    if (rc == 0 && spec->timeout_s > FUNCTION_TIMEOUT_MAX_S)
        rc = number_fault(err, spec->timeout_s, "timeout", FUNCTION_TIMEOUT_MAX_S);
    if (rc == 0 && spec->memory_mb > FUNCTION_MEMORY_MAX_MB)
        rc = number_fault(err, spec->memory_mb, "memorySize", FUNCTION_MEMORY_MAX_MB);
    if (rc == 0 && spec->log_format.p && !str_is(spec->log_format, "Text") &&
        !str_is(spec->log_format, "JSON"))
        rc = fault(err, spec->log_format, "loggingConfig.logFormat",
                   "satisfy enum value set: [JSON, Text]");
    return rc ? rc : check_env(spec, err);
}

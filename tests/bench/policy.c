/* policy: what a decision over fifty statements costs.
 *
 *     build/bench/policy [COUNT]
 *
 * Every statement has to be looked at: none allows. Four documents, from "another service's actions"
 * to "a condition that is asked and not met". The figure is the processor time of the best of many
 * rounds, so that a busy machine shows up as more rounds, not as a slower policy. COUNT decisions of
 * the worst document and nothing else: for callgrind. */
#include <time.h>

#include "auth/policy.h"
#include "base/buf.h"

enum { STATEMENTS = 50, ROUNDS = 400, EACH = 200 };

static const struct {
    const char *name, *statement; /* one %d or two */
} shapes[] = {
    {"other actions",
     "{\"Effect\":\"Allow\",\"Action\":[\"dynamodb:Get%d\",\"dynamodb:Put*\"],\"Resource\":\"*\"}"},
    {"other resources", "{\"Effect\":\"Allow\",\"Action\":[\"s3:Put%d\",\"s3:Get*\"],\"Resource\":["
                        "\"arn:aws:s3:::bucket-%d/*\",\"arn:aws:s3:::other/*/thumb.jpg\"]}"},
    {"variables", "{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::home-%d/"
                  "${aws:username}/"
                  "*\"}"},
    {"conditions",
     "{\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::*\","
     "\"Condition\":"
     "{\"StringEquals\":{\"aws:PrincipalType\":\"User\"},\"IpAddress\":{\"aws:SourceIp\":"
     "\"10.%d.0.0/16\"}}}"},
};

static struct policy *make(const char *statement)
{
    struct buf b = BUF_INIT;
    buf_lit(&b, "{\"Version\":\"2012-10-17\",\"Statement\":[");
    for (int i = 0; i < STATEMENTS; i++) {
        char one[512];
        snprintf(one, sizeof one, statement, i, i);
        buf_printf(&b, "%s%s", i ? "," : "", one);
    }
    buf_lit(&b, "]}");
    struct policy *p = policy_parse(buf_str(&b), POLICY_IDENTITY, NULL);
    buf_deinit(&b);
    if (!p)
        exit(1);
    return p;
}

static size_t find(void *ctx, struct str name, struct str *values, size_t max)
{
    (void)ctx, (void)max;
    if (str_is(name, "aws:username"))
        values[0] = STR("somebody");
    else if (str_is(name, "aws:principaltype"))
        values[0] = STR("User");
    else if (str_is(name, "aws:sourceip"))
        values[0] = STR("192.168.10.20");
    else
        return 0;
    return 1;
}

static const struct policy_query question = {
    .action = {"s3:GetObject", 12},
    .resource = {"arn:aws:s3:::bucket-50/a/picture.jpg", 36},
    .find = find,
};

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        struct policy *p = make(shapes[3].statement);
        for (int i = atoi(argv[1]); i > 0; i--)
            if (policy_eval(p, &question) != POLICY_NONE)
                return 1;
        policy_free(p);
        return 0;
    }
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        struct policy *p = make(shapes[s].statement);
        int64_t best = INT64_MAX;
        for (int r = 0; r < ROUNDS; r++) {
            int64_t t0 = cpu_ns();
            for (int i = 0; i < EACH; i++)
                if (policy_eval(p, &question) != POLICY_NONE)
                    return 1;
            int64_t ns = (cpu_ns() - t0) / EACH;
            if (ns < best)
                best = ns;
        }
        printf("policy, %d statements, %-16s %6.2f us\n", STATEMENTS, shapes[s].name,
               (double)best / 1000);
        policy_free(p);
    }
    return 0;
}

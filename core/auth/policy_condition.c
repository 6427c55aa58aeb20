/* policy_condition: the operators of Condition blocks.
 *
 * An operator's name is taken apart once: a set quantifier before it, "IfExists" behind it, a "Not"
 * inside. Values are brought into the form they are compared in when the document is read; one that
 * the operator cannot take refuses the document, because a Deny that could never match would be no
 * Deny.
 *
 * A key without a value: a negated operator is met, …IfExists is met, ForAllValues is met, Null says
 * so; all else is not. */
#include <arpa/inet.h>
#include <math.h>

#include "auth/arn.h"
#include "auth/policy_doc.h"
#include "base/clock.h"
#include "base/codec.h"

/* Names in lower case whose values callers hand in whenever they exist, and those that AWS has and
 * that have no value in a house of one account. A name that ends in '/' has a key of the user's
 * behind it. */
static const char *const known_keys[] = {
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:currenttime",
    "aws:epochtime",
    "aws:federatedprovider",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalservicename",
    "aws:principaltag/",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:requesttag/",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceidentity",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:tagkeys",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
    "aws:vpcsourceip",
    "iam:passedtoservice",
    "iam:policyarn",
    "lambda:functionarn",
    "lambda:functionurlauthtype",
    "lambda:principal",
    "lambda:sourcefunctionarn",
    "s3:authtype",
    "s3:delimiter",
    "s3:max-keys",
    "s3:prefix",
    "s3:requestobjecttag/",
    "s3:requestobjecttagkeys",
    "s3:existingobjecttag/",
    "s3:resourceaccount",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:tlsversion",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-content-sha256",
    "s3:x-amz-copy-source",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-write-acp",
    "s3:x-amz-metadata-directive",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-storage-class",
    "s3:x-amz-website-redirect-location",
    "sts:externalid",
    "sts:rolesessionname",
};

bool condition_key_known(struct str key)
{
    for (size_t i = 0; i < sizeof known_keys / sizeof *known_keys; i++) {
        struct str known = str_c(known_keys[i]);
        bool open = known.p[known.n - 1] == '/';
        if (open ? str_starts(key, known) && key.n > known.n : str_eq(key, known))
            return true;
    }
    return false;
}

/* --- names of operators -----------------------------------------------------------------------
 */

static const struct {
    const char *name;
    enum policy_operator op;
    bool negated;
} operators[] = {
    {"StringEquals", OP_STRING, false},
    {"StringNotEquals", OP_STRING, true},
    {"StringEqualsIgnoreCase", OP_STRING_NO_CASE, false},
    {"StringNotEqualsIgnoreCase", OP_STRING_NO_CASE, true},
    {"StringLike", OP_STRING_LIKE, false},
    {"StringNotLike", OP_STRING_LIKE, true},
    {"ArnEquals", OP_ARN, false},
    {"ArnLike", OP_ARN, false},
    {"ArnNotEquals", OP_ARN, true},
    {"ArnNotLike", OP_ARN, true},
    {"NumericEquals", OP_NUMBER_EQ, false},
    {"NumericNotEquals", OP_NUMBER_EQ, true},
    {"NumericLessThan", OP_NUMBER_LT, false},
    {"NumericLessThanEquals", OP_NUMBER_LE, false},
    {"NumericGreaterThan", OP_NUMBER_GT, false},
    {"NumericGreaterThanEquals", OP_NUMBER_GE, false},
    {"DateEquals", OP_DATE_EQ, false},
    {"DateNotEquals", OP_DATE_EQ, true},
    {"DateLessThan", OP_DATE_LT, false},
    {"DateLessThanEquals", OP_DATE_LE, false},
    {"DateGreaterThan", OP_DATE_GT, false},
    {"DateGreaterThanEquals", OP_DATE_GE, false},
    {"Bool", OP_BOOL, false},
    {"IpAddress", OP_IP, false},
    {"NotIpAddress", OP_IP, true},
    {"BinaryEquals", OP_BINARY, false},
    {"Null", OP_NULL, false},
};

/* Operators' names are compared without case, as AWS does. */
static bool cut_front(struct str *s, struct str word)
{
    if (s->n < word.n || !str_ieq(str_of(s->p, word.n), word))
        return false;
    *s = str_from(*s, word.n);
    return true;
}

void condition_operator(struct str name, struct condition *out)
{
    struct str suffix = STR("IfExists");
    out->op = OP_UNKNOWN;
    if (cut_front(&name, STR("ForAllValues:")))
        out->set = SET_ALL;
    else if (cut_front(&name, STR("ForAnyValue:")))
        out->set = SET_ANY;
    if (name.n > suffix.n && str_ieq(str_from(name, name.n - suffix.n), suffix)) {
        out->if_exists = true;
        name.n -= suffix.n;
    }
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!str_ieq(name, str_c(operators[i].name)))
            continue;
        out->op = operators[i].op;
        out->negated = operators[i].negated;
    }
    if (out->op == OP_NULL && (out->if_exists || out->set != SET_NONE))
        out->op = OP_UNKNOWN;
}

/* --- values -----------------------------------------------------------------------------------
 */

static bool number(struct str s, double *out)
{
    char text[64], *end;
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    if (strspn(text, "+-.0123456789eE") < s.n)
        return false;
    *out = strtod(text, &end);
    return *end == 0 && isfinite(*out);
}

static bool digits(struct str s, size_t from, size_t n, int *out)
{
    *out = 0;
    if (from + n > s.n)
        return false;
    for (size_t i = from; i < from + n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        *out = *out * 10 + (s.p[i] - '0');
    }
    return true;
}

/* "Z", "+01:00" or nothing behind a time. */
static bool zone(struct str s, int64_t *offset_ms)
{
    int h, m;
    *offset_ms = 0;
    if (s.n == 0 || str_is(s, "Z"))
        return true;
    if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-') || s.p[3] != ':' || !digits(s, 1, 2, &h) ||
        !digits(s, 4, 2, &m) || h > 23 || m > 59)
        return false;
    *offset_ms = (int64_t)(h * 60 + m) * 60000 * (s.p[0] == '-' ? -1 : 1);
    return true;
}

/* "2026", "2026-11", "2026-11-27", "2026-11-27T10:00[:00[.123]]Z" or seconds since 1970. */
static bool date(struct str s, int64_t *ms)
{
    int year, month = 1, day = 1, hour = 0, minute = 0, second = 0;
    int64_t offset, fraction = 0;
    double epoch;
    if (s.n > 4 && number(s, &epoch) && fabs(epoch) < 1e13) {
        *ms = (int64_t)(epoch * 1000);
        return true;
    }
    if (!digits(s, 0, 4, &year))
        return false;
    s = str_from(s, 4);
    if (s.n && (s.p[0] != '-' || !digits(s, 1, 2, &month)))
        return false;
    s = str_from(s, s.n ? 3 : 0);
    if (s.n && (s.p[0] != '-' || !digits(s, 1, 2, &day)))
        return false;
    s = str_from(s, s.n ? 3 : 0);
    if (s.n) {
        if (s.n < 6 || s.p[0] != 'T' || !digits(s, 1, 2, &hour) || s.p[3] != ':' ||
            !digits(s, 4, 2, &minute))
            return false;
        s = str_from(s, 6);
        if (s.n && s.p[0] == ':') {
            if (!digits(s, 1, 2, &second))
                return false;
            s = str_from(s, 3);
        }
        if (s.n && s.p[0] == '.') {
            int64_t weight = 100;
            for (s = str_from(s, 1); s.n && s.p[0] >= '0' && s.p[0] <= '9'; s = str_from(s, 1)) {
                fraction += (s.p[0] - '0') * weight;
                weight /= 10;
            }
        }
    }
    if (!zone(s, &offset) || month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 ||
        minute > 59 || second > 60)
        return false;
    *ms = clock_join(year, month, day, hour, minute, second) + fraction - offset;
    return true;
}

static bool ip(struct str s, unsigned char out[16], bool *v4)
{
    char text[64];
    struct in_addr a4;
    struct in6_addr a6;
    if (s.n == 0 || s.n >= sizeof text || str_index(s, 0, 0) >= 0)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    *v4 = inet_pton(AF_INET, text, &a4) == 1;
    if (!*v4 && inet_pton(AF_INET6, text, &a6) != 1)
        return false;
    memset(out, 0, 16);
    if (*v4) {
        out[10] = out[11] = 0xFF;
        memcpy(out + 12, &a4, 4);
    } else {
        memcpy(out, &a6, 16);
    }
    return true;
}

/* "10.0.0.0/8", "10.0.0.1", "2001:db8::/32" */
static bool cidr(struct str s, struct operand *out)
{
    struct str bits = s, address = str_cut(&bits, '/');
    uint64_t n = 0;
    bool v4;
    if (!ip(address, out->ip, &v4))
        return false;
    if (bits.p && (!str_u64(bits, &n) || n > (v4 ? 32 : 128)))
        return false;
    out->ip_prefix = (unsigned char)(bits.p ? n + (v4 ? 96 : 0) : 128);
    return true;
}

static bool same_net(const struct operand *o, const unsigned char a[16])
{
    size_t whole = o->ip_prefix / 8, rest = o->ip_prefix % 8;
    if (memcmp(o->ip, a, whole) != 0)
        return false;
    return rest == 0 || ((o->ip[whole] ^ a[whole]) & (0xFF << (8 - rest)) & 0xFF) == 0;
}

int condition_operand(struct arena *a, const struct condition *c, struct str text, int flags,
                      struct operand *out, bool *unknown)
{
    bool ok = true;
    *out = (struct operand){.ms = 0};
    switch (c->op) {
    case OP_STRING:
    case OP_STRING_NO_CASE:
        flags |= PATTERN_LITERAL;
        /* fall through */
    case OP_STRING_LIKE:
    case OP_ARN:
        return pattern_compile(a, text, flags, &out->pattern, unknown) ? 0 : E_LIMIT;
    case OP_BINARY: {
        struct buf b = BUF_INIT;
        ok = base64_decode(&b, text);
        out->pattern = (struct pattern){.kind = PATTERN_EXACT, .text = arena_dup(a, buf_str(&b))};
        buf_deinit(&b);
        break;
    }
    case OP_NUMBER_EQ ... OP_NUMBER_GE:
        ok = number(text, &out->number);
        break;
    case OP_DATE_EQ ... OP_DATE_GE:
        ok = date(text, &out->ms);
        break;
    case OP_BOOL:
    case OP_NULL:
        out->truth = str_ieq(text, STR("true"));
        ok = out->truth || str_ieq(text, STR("false"));
        break;
    case OP_IP:
        ok = cidr(text, out);
        break;
    case OP_UNKNOWN:
        break;
    }
    return ok ? 0 : E_BAD_POLICY;
}

/* --- asking -----------------------------------------------------------------------------------
 */

/* Each of the six parts by itself, so that a star does not reach over a colon into the next. */
static bool arn_like(const struct pattern *p, struct str s, const struct policy_query *q,
                     bool *unresolved)
{
    char space[PATTERN_SPACE];
    struct str text;
    struct arn w, a;
    /* a prefix is a glob without its star */
    if (p->kind == PATTERN_PREFIX) {
        if (p->text.n >= PATTERN_SPACE)
            return false;
        memcpy(space, p->text.p, p->text.n);
        space[p->text.n] = WILD_RUN;
        text = str_of(space, p->text.n + 1);
    } else if (!pattern_expand(p, q, space, &text)) {
        *unresolved = true;
        return false;
    }
    if (!arn_parse(text, &w) || !arn_parse(s, &a))
        return false;
    return pattern_wild(w.partition, a.partition) && pattern_wild(w.service, a.service) &&
           pattern_wild(w.region, a.region) && pattern_wild(w.account, a.account) &&
           pattern_wild(w.resource, a.resource);
}

static bool equal_no_case(const struct pattern *p, struct str s, const struct policy_query *q,
                          bool *unresolved)
{
    char space[PATTERN_SPACE];
    struct str text;
    if (pattern_expand(p, q, space, &text))
        return str_ieq(text, s);
    *unresolved = true;
    return false;
}

static bool compare(enum policy_operator op, int order)
{
    switch (op) {
    case OP_NUMBER_EQ:
    case OP_DATE_EQ:
        return order == 0;
    case OP_NUMBER_LT:
    case OP_DATE_LT:
        return order < 0;
    case OP_NUMBER_LE:
    case OP_DATE_LE:
        return order <= 0;
    case OP_NUMBER_GT:
    case OP_DATE_GT:
        return order > 0;
    case OP_NUMBER_GE:
    case OP_DATE_GE:
        return order >= 0;
    default:
        return false;
    }
}

/* A client's header can be long, and a pattern of many '?' is tried at each of its bytes. Nothing that
 * a policy would name is that long. */
enum { WILD_VALUE_MAX = 2048 };

static bool value_matches(const struct condition *c, const struct operand *want, struct str got,
                          const struct policy_query *q, bool *unresolved)
{
    unsigned char address[16];
    int64_t ms;
    double n;
    bool v4;
    if ((c->op == OP_STRING_LIKE || c->op == OP_ARN) && got.n > WILD_VALUE_MAX &&
        want->pattern.kind != PATTERN_ANY) {
        *unresolved = true;
        return false;
    }
    switch (c->op) {
    case OP_STRING:
    case OP_STRING_LIKE:
        return pattern_match(&want->pattern, got, q, unresolved);
    case OP_STRING_NO_CASE:
        return equal_no_case(&want->pattern, got, q, unresolved);
    case OP_ARN:
        return arn_like(&want->pattern, got, q, unresolved);
    case OP_NUMBER_EQ ... OP_NUMBER_GE:
        return number(got, &n) && compare(c->op, (n > want->number) - (n < want->number));
    case OP_DATE_EQ ... OP_DATE_GE:
        return date(got, &ms) && compare(c->op, (ms > want->ms) - (ms < want->ms));
    case OP_BOOL:
        return str_ieq(got, want->truth ? STR("true") : STR("false"));
    case OP_IP:
        return ip(got, address, &v4) && same_net(want, address);
    case OP_BINARY: {
        struct buf b = BUF_INIT;
        bool same = base64_decode(&b, got) && str_eq(buf_str(&b), want->pattern.text);
        buf_deinit(&b);
        return same;
    }
    case OP_NULL:
    case OP_UNKNOWN:
        break;
    }
    return false;
}

static bool any_operand(const struct condition *c, struct str got, const struct policy_query *q,
                        bool *unresolved)
{
    for (size_t i = 0; i < c->count; i++)
        if (value_matches(c, &c->values[i], got, q, unresolved))
            return true;
    return false;
}

bool condition_met(const struct condition *c, const struct policy_query *q, bool *unresolved)
{
    struct str got[POLICY_VALUES_MAX];
    size_t n = policy_values(q, c->key, got, POLICY_VALUES_MAX), matching = 0;
    if (c->op == OP_NULL) {
        for (size_t i = 0; i < c->count; i++)
            if (c->values[i].truth == (n == 0))
                return true;
        return false;
    }
    if (n == 0)
        return c->set == SET_ALL || c->if_exists || (c->set == SET_NONE && c->negated);
    for (size_t i = 0; i < n; i++)
        matching += any_operand(c, got[i], q, unresolved);
    if (c->set == SET_ALL)
        return c->negated ? matching == 0 : matching == n;
    if (c->set == SET_ANY)
        return c->negated ? matching < n : matching > 0;
    return c->negated ? matching == 0 : matching > 0;
}

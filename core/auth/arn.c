/* arn: taking names apart, and AWS's wildcards.
 *
 * A function may be called by name, by partial ARN or by full ARN, each with a qualifier; all of
 * them are checked here against the same two patterns, so that no other file has to know the forms.
 * An ARN of another region or account is a function that is not here: not found, not malformed.
 *
 * Matching goes from star to star: what lies between two stars is searched with memmem, which is
 * linear; only a piece that holds a '?' is compared position by position. Nothing recurses and
 * nothing backs up over a star that has been passed, so a hostile pattern costs at most the product
 * of its length and the text's, both bounded by the limits on documents and names. */
#include "auth/arn.h"

#include "base/err.h"

bool arn_parse(struct str s, struct arn *out)
{
    struct str rest = s;
    struct str *parts[] = {&out->partition, &out->service, &out->region, &out->account};
    if (!str_is(str_cut(&rest, ':'), "arn"))
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!rest.p)
            return false;
        *parts[i] = str_cut(&rest, ':');
    }
    out->resource = rest;
    return out->partition.n && out->service.n && rest.n;
}

static bool name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static bool is_name(struct str s, size_t max)
{
    if (s.n == 0 || s.n > max)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!name_byte(s.p[i]))
            return false;
    return true;
}

static bool is_account(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n == 12;
}

/* *rest starts with one more field that equals z: cuts it off. */
static bool skip_field(struct str *rest, const char *z)
{
    struct str after = *rest;
    if (!after.p || !str_is(str_cut(&after, ':'), z) || !after.p)
        return false;
    *rest = after;
    return true;
}

int arn_function(struct str s, struct str region, struct str *name, struct str *qualifier)
{
    struct str rest = s, account = {NULL, 0};
    bool here = true;
    *name = *qualifier = (struct str){NULL, 0};
    if (s.n > 256)
        return E_VALIDATION;
    if (str_index(s, ':', 0) < 0) {
        *name = s;
        return is_name(s, 64) ? 0 : E_VALIDATION;
    }
    if (str_starts(rest, STR("arn:"))) {
        struct arn a;
        if (!arn_parse(rest, &a) || !str_is(a.service, "lambda") || !is_account(a.account))
            return E_VALIDATION;
        here = str_is(a.partition, "aws") && str_eq(a.region, region);
        account = a.account;
        rest = a.resource;
        if (!skip_field(&rest, "function"))
            return E_VALIDATION;
    } else {
        struct str after = rest, first = str_cut(&after, ':');
        if (is_account(first) && after.p && skip_field(&after, "function")) {
            account = first;
            rest = after;
        } else {
            skip_field(&rest, "function");
        }
    }
    *name = str_cut(&rest, ':');
    if (!is_name(*name, 64))
        return E_VALIDATION;
    if (rest.p) {
        if (!str_is(rest, "$LATEST") && !is_name(rest, 128))
            return E_VALIDATION;
        *qualifier = rest;
    }
    return here && (!account.p || str_is(account, ACCOUNT_ID)) ? 0 : E_NOT_FOUND;
}

/* --- wildcards --------------------------------------------------------------------------------
 */

/* piece (no runs) at the start of s. */
static bool piece_at(struct str piece, const char *s, char one)
{
    for (size_t i = 0; i < piece.n; i++)
        if (piece.p[i] != s[i] && piece.p[i] != one)
            return false;
    return true;
}

/* Index of the first place in s where piece fits, or -1. */
static ptrdiff_t piece_find(struct str piece, struct str s, char one)
{
    if (str_index(piece, one, 0) < 0)
        return str_find(s, piece);
    for (size_t i = 0; i + piece.n <= s.n; i++)
        if (piece_at(piece, s.p + i, one))
            return (ptrdiff_t)i;
    return -1;
}

bool wild_match(struct str pattern, struct str s, char run, char one)
{
    ptrdiff_t star = str_index(pattern, run, 0);
    if (star < 0)
        return pattern.n == s.n && piece_at(pattern, s.p, one);
    struct str head = str_of(pattern.p, (size_t)star);
    if (s.n < head.n || !piece_at(head, s.p, one))
        return false;
    s = str_from(s, head.n);
    pattern = str_from(pattern, (size_t)star + 1);
    while ((star = str_index(pattern, run, 0)) >= 0) {
        struct str piece = str_of(pattern.p, (size_t)star);
        ptrdiff_t at = piece_find(piece, s, one);
        if (at < 0)
            return false;
        s = str_from(s, (size_t)at + piece.n);
        pattern = str_from(pattern, (size_t)star + 1);
    }
    return s.n >= pattern.n && piece_at(pattern, s.p + (s.n - pattern.n), one);
}

bool arn_match(struct str pattern, struct str s)
{
    return wild_match(pattern, s, '*', '?');
}

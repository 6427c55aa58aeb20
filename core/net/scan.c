/* scan: what a head must be, and nothing else.
 *
 * http-parser as packaged is lenient: it takes a bare line feed, blanks before a colon, folded
 * lines, two Content-Lengths. Each of these has been used to make two servers disagree about where
 * a request ends. So this file reads the head first, by RFC 9112 without its tolerances, and
 * http-parser only cuts what has passed. The one tolerance kept is a single empty line before the
 * request line, which the RFC asks for and which cannot change any framing.
 *
 * Lines are read once each, when their line feed has come. A head that stays incomplete is bounded
 * by the caps; time is the connection's matter. */
#include "net/scan.h"

enum { TOKEN = 1, VALUE = 2, TARGET = 4, HOST = 8 };

#define ALNUM(c)                                                                                   \
    (((c) >= '0' && (c) <= '9') || ((c) >= 'A' && (c) <= 'Z') || ((c) >= 'a' && (c) <= 'z'))
#define IS_TOKEN(c)                                                                                \
    (ALNUM(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || (c) == '&' ||             \
     (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || (c) == '^' ||          \
     (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
#define IS_HOST(c)                                                                                 \
    (ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~' || (c) == '%' ||             \
     (c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' || (c) == ')' ||          \
     (c) == '*' || (c) == '+' || (c) == ',' || (c) == ';' || (c) == '=' || (c) == ':' ||           \
     (c) == '[' || (c) == ']')
#define CLASS(c)                                                                                   \
    ((IS_TOKEN(c) ? TOKEN : 0) | ((c) == 9 || ((c) >= 32 && (c) != 127) ? VALUE : 0) |             \
     ((c) > 32 && (c) < 127 && (c) != '#' ? TARGET : 0) | (IS_HOST(c) ? HOST : 0))
#define CLASS4(c) CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define CLASS16(c) CLASS4(c), CLASS4((c) + 4), CLASS4((c) + 8), CLASS4((c) + 12)
#define CLASS64(c) CLASS16(c), CLASS16((c) + 16), CLASS16((c) + 32), CLASS16((c) + 48)

static const unsigned char class_of[256] = {CLASS64(0), CLASS64(64), CLASS64(128), CLASS64(192)};

static bool all(struct str s, unsigned char class)
{
    unsigned char got = class;
    for (size_t i = 0; i < s.n; i++)
        got &= class_of[(unsigned char)s.p[i]];
    return got;
}

bool scan_is_token_byte(unsigned char c)
{
    return class_of[c] & TOKEN;
}

bool scan_is_value_byte(unsigned char c)
{
    return class_of[c] & VALUE;
}

bool scan_token(struct str s)
{
    return s.n && all(s, TOKEN);
}

bool scan_value(struct str s)
{
    return all(s, VALUE);
}

static enum scan_rc bad(struct scan *s, int status, const char *why)
{
    s->status = status;
    s->why = why;
    return SCAN_BAD;
}

bool scan_field(struct str line, struct str *name, struct str *value)
{
    size_t i = 0;
    while (i < line.n && class_of[(unsigned char)line.p[i]] & TOKEN)
        i++;
    if (i == 0 || i == line.n || line.p[i] != ':')
        return false;
    *name = str_of(line.p, i);
    *value = str_from(line, i + 1);
    if (!all(*value, VALUE))
        return false;
    *value = str_trim(*value);
    return true;
}

/* http://HOST…: the authority of an absolute-form target must be one that could be a Host. */
static bool absolute_form(struct str target)
{
    ptrdiff_t colon = str_index(target, ':', 0);
    struct str scheme = str_of(target.p, colon < 0 ? 0 : (size_t)colon);
    if (!str_ieq(scheme, STR("http")) && !str_ieq(scheme, STR("https")))
        return false;
    struct str rest = str_from(target, scheme.n);
    if (!str_starts(rest, STR("://")))
        return false;
    rest = str_from(rest, 3);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    return n && all(str_of(rest.p, n), HOST);
}

static enum scan_rc request_line(struct scan *s, struct str in, struct str line)
{
    struct str rest = line, method = str_cut(&rest, ' ');
    if (!scan_token(method))
        return bad(s, 400, "the method is not a token");
    struct str target = str_cut(&rest, ' ');
    if (target.n == 0 || !rest.p)
        return bad(s, 400, "the request line is not METHOD, target and version");
    if (target.n > SCAN_TARGET_MAX)
        return bad(s, 414, "the request target is too long");
    if (!all(target, TARGET))
        return bad(s, 400, "the request target holds a byte that is not allowed");
    if (rest.n != 8 || !str_starts(rest, STR("HTTP/1.")) || (rest.p[7] | 1) != '1')
        return bad(s, 400, "the version is neither HTTP/1.0 nor HTTP/1.1");
    if (str_is(method, "CONNECT"))
        return bad(s, 405, "CONNECT is not served");
    if (target.p[0] != '/' && !(str_is(target, "*") && str_is(method, "OPTIONS")) &&
        !absolute_form(target))
        return bad(s, 400, "the request target has no known form");
    s->minor = rest.p[7] - '0';
    s->method_n = (uint16_t)method.n;
    s->target_at = (uint16_t)(target.p - in.p);
    s->target_n = (uint16_t)target.n;
    s->has_line = true;
    return SCAN_MORE;
}

static enum scan_rc length_header(struct scan *s, struct str value)
{
    uint64_t n;
    if (s->has_length)
        return bad(s, 400, "there are two Content-Length headers");
    if (!str_u64(value, &n) || n > INT64_MAX)
        return bad(s, 400, "Content-Length is not a number");
    s->has_length = true;
    s->content_length = (int64_t)n;
    return SCAN_MORE;
}

static void connection_header(struct scan *s, struct str value)
{
    while (value.p) {
        struct str token = str_trim(str_cut(&value, ','));
        s->token_close |= str_ieq(token, STR("close"));
        s->token_keep |= str_ieq(token, STR("keep-alive"));
    }
}

/* The five headers that decide about the connection; their lengths differ, so that most headers
 * cost one switch. */
static enum scan_rc known_header(struct scan *s, struct str in, struct str name, struct str value)
{
    switch (name.n) {
    case 4:
        if (!str_ieq(name, STR("host")))
            break;
        if (s->has_host)
            return bad(s, 400, "there are two Host headers");
        if (value.n == 0 || !all(value, HOST))
            return bad(s, 400, "Host is not a host name");
        s->has_host = true;
        s->host_at = (uint16_t)(value.p - in.p);
        s->host_n = (uint16_t)value.n;
        break;
    case 6:
        if (!str_ieq(name, STR("expect")))
            break;
        s->expect =
            s->expect || str_ieq(value, STR("100-continue")); /* of others S3 takes no note */
        break;
    case 10:
        if (str_ieq(name, STR("connection")))
            connection_header(s, value);
        break;
    case 14:
        if (str_ieq(name, STR("content-length")))
            return length_header(s, value);
        break;
    case 17:
        if (!str_ieq(name, STR("transfer-encoding")))
            break;
        if (s->has_coding)
            return bad(s, 400, "there are two Transfer-Encoding headers");
        s->has_coding = true;
        s->chunked = str_ieq(value, STR("chunked"));
        break;
    }
    return SCAN_MORE;
}

static enum scan_rc header_line(struct scan *s, struct str in, struct str line)
{
    struct str name, value;
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return bad(s, 400, "a header line begins with a blank");
    if (!scan_field(line, &name, &value))
        return bad(s, 400, "a header line is malformed");
    if (++s->headers > SCAN_HEADERS_MAX)
        return bad(s, 431, "there are too many headers");
    return known_header(s, in, name, value);
}

static enum scan_rc finish(struct scan *s)
{
    if (!s->has_host && s->minor == 1)
        return bad(s, 400, "there is no Host header");
    if (s->has_coding) {
        if (s->minor == 0)
            return bad(s, 400, "HTTP/1.0 knows no Transfer-Encoding");
        if (s->has_length)
            return bad(s, 400, "there are Transfer-Encoding and Content-Length");
        if (!s->chunked)
            return bad(s, 501, "the transfer coding is not chunked");
        s->content_length = -1;
    }
    s->expect = s->expect && s->minor == 1;
    s->keep_alive = !s->token_close && (s->minor == 1 || s->token_keep);
    return SCAN_DONE;
}

/* No further line feed in what has come: refuses what can only get worse. */
static enum scan_rc incomplete(struct scan *s, struct str in)
{
    s->looked = in.n;
    if (in.n > s->at && !s->has_line) {
        unsigned char first = (unsigned char)in.p[s->at];
        if (!(class_of[first] & TOKEN) && (first != '\r' || s->start))
            return bad(s, 400, "the method is not a token");
        if (in.n - s->at > SCAN_TARGET_MAX + 64)
            return bad(s, 414, "the request target is too long");
    }
    if (in.n >= SCAN_HEAD_MAX)
        return bad(s, 431, "the request head is too large");
    return SCAN_MORE;
}

enum scan_rc scan_head(struct scan *s, struct str in)
{
    for (;;) {
        ptrdiff_t lf = str_index(in, '\n', s->looked);
        if (lf < 0)
            return incomplete(s, in);
        struct str line = str_of(in.p + s->at, (size_t)lf - s->at);
        if (line.n == 0 || line.p[line.n - 1] != '\r')
            return bad(s, 400, "a line does not end with CR and LF");
        line.n--;
        s->at = s->looked = (size_t)lf + 1;
        if (s->at > SCAN_HEAD_MAX)
            return s->has_line ? bad(s, 431, "the request head is too large")
                               : bad(s, 414, "the request target is too long");
        enum scan_rc rc;
        if (s->has_line && line.n == 0)
            return finish(s);
        if (s->has_line) {
            rc = header_line(s, in, line);
        } else if (line.n == 0 && s->start == 0) {
            s->start = 2;
            rc = SCAN_MORE;
        } else {
            rc = request_line(s, in, line);
        }
        if (rc != SCAN_MORE)
            return rc;
    }
}

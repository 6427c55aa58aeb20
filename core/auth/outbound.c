/* outbound: one parser of URLs, one table of addresses.
 *
 * Hosts follow the rule that browsers have: if the last label is a number, the whole must be an IPv4
 * address in one of inet_aton's spellings, and becomes four decimal numbers; anything else is a name
 * of letters, digits, '-' and '_'. IDN must come in its ASCII form: whoever writes bytes above 127
 * is told so. Paths have their dot segments removed (percent-encoded ones too: many servers decode
 * before they walk), unreserved characters decoded, everything that is not a URL character encoded.
 *
 * Addresses: what is not listed in IPv4 is public; in IPv6 only 2000::/3 is, less what is listed. */
#include "auth/outbound.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "auth/arn.h"

static int refuse(struct err *err, struct str url, const char *why)
{
    size_t end = 0;
    while (end < url.n && end < 200 && url.p[end] != '?') /* a query may hold a key */
        end++;
    return err_set(err, E_INVALID, "'%.*s' is no URL that can be asked for: %s", (int)end, url.p,
                   why);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Value of a hex digit of either case, or -1. */
static int hex(char c)
{
    c = lower(c);
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* --- hosts ------------------------------------------------------------------------------------- */

/* One number of an IPv4 address: decimal, octal (0…) or hexadecimal (0x…). */
static bool ipv4_number(struct str s, uint64_t *out)
{
    uint64_t base = 10;
    if (s.n >= 2 && s.p[0] == '0' && lower(s.p[1]) == 'x') {
        base = 16;
        s = str_from(s, 2);
    } else if (s.n >= 2 && s.p[0] == '0') {
        base = 8;
        s = str_from(s, 1);
    } else if (s.n == 0) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        int digit = hex(s.p[i]);
        if (digit < 0 || (uint64_t)digit >= base || *out > UINT32_MAX)
            return false;
        *out = *out * base + (uint64_t)digit;
    }
    return *out <= UINT32_MAX;
}

static struct str last_label(struct str host)
{
    struct str rest = host, label = host;
    while (rest.p)
        label = str_cut(&rest, '.');
    return label;
}

/* All digits, or 0x and hex digits, however many. */
static bool is_number(struct str label)
{
    bool sixteen = label.n >= 2 && label.p[0] == '0' && lower(label.p[1]) == 'x';
    bool all = label.n > 0;
    for (size_t i = sixteen ? 2 : 0; i < label.n; i++)
        all = all && (sixteen ? hex(label.p[i]) >= 0 : is_digit(label.p[i]));
    return all;
}

/* a.b.c.d, a.b.c, a.b or a, as inet_aton has it: the last number fills what is left. */
static bool parse_ipv4(struct str host, uint32_t *out)
{
    uint64_t n[4] = {0};
    size_t count = 0;
    struct str rest = host;
    while (rest.p) {
        if (count == 4 || !ipv4_number(str_cut(&rest, '.'), &n[count]))
            return false;
        count++;
    }
    if (count == 0)
        return false;
    uint64_t address = n[count - 1];
    if (address >= 1ULL << (8 * (5 - count)))
        return false;
    for (size_t i = 0; i + 1 < count; i++) {
        if (n[i] > 255)
            return false;
        address |= n[i] << (8 * (3 - i));
    }
    *out = (uint32_t)address;
    return true;
}

static void put_ipv4(char host[static OUTBOUND_HOST_MAX], uint32_t a)
{
    snprintf(host, OUTBOUND_HOST_MAX, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

/* Between brackets. IPv4-mapped ones become IPv4: it is the same address. */
static const char *take_ipv6(struct str text, struct outbound *out)
{
    struct in6_addr a;
    char z[64];
    if (text.n >= sizeof z)
        return "its address is none";
    memcpy(z, text.p, text.n);
    z[text.n] = 0;
    if (strlen(z) != text.n || inet_pton(AF_INET6, z, &a) != 1)
        return "its address is none";
    if (IN6_IS_ADDR_V4MAPPED(&a))
        put_ipv4(out->host, (uint32_t)a.s6_addr[12] << 24 | (uint32_t)a.s6_addr[13] << 16 |
                                (uint32_t)a.s6_addr[14] << 8 | a.s6_addr[15]);
    else
        inet_ntop(AF_INET6, &a, out->host, sizeof out->host);
    return NULL;
}

static bool name_ok(struct str host)
{
    struct str rest = host;
    if (host.n == 0 || host.n >= OUTBOUND_HOST_MAX)
        return false;
    while (rest.p) {
        struct str label = str_cut(&rest, '.');
        if (label.n == 0 || label.n > 63)
            return false;
        for (size_t i = 0; i < label.n; i++) {
            char c = lower(label.p[i]);
            if (!((c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_'))
                return false;
        }
    }
    return true;
}

static const char *take_host(struct str host, struct outbound *out)
{
    uint32_t address;
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        return take_ipv6(str_of(host.p + 1, host.n - 2), out);
    for (size_t i = 0; i < host.n; i++)
        if ((unsigned char)host.p[i] >= 0x80)
            return "a host with letters outside of ASCII must be written in its xn-- form";
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    if (host.n == 0)
        return "it names no host";
    if (is_number(last_label(host))) {
        if (!parse_ipv4(host, &address))
            return "its address is none";
        put_ipv4(out->host, address);
        return NULL;
    }
    if (!name_ok(host))
        return "its host is no name";
    for (size_t i = 0; i < host.n; i++)
        out->host[i] = lower(host.p[i]);
    out->host[host.n] = 0;
    return NULL;
}

static const char *take_port(struct str text, struct outbound *out)
{
    uint64_t n = 0;
    out->port = out->tls ? 443 : 80;
    if (text.n == 0) /* "host:" is "host" */
        return NULL;
    if (!str_u64(text, &n) || n == 0 || n > 65535)
        return "its port is none";
    out->port = (uint16_t)n;
    return NULL;
}

/* Where the port begins: index of the ':' behind the host, or n. */
static size_t port_at(struct str authority)
{
    ptrdiff_t close = authority.n && authority.p[0] == '[' ? str_index(authority, ']', 0) : 0;
    ptrdiff_t colon = close < 0 ? -1 : str_index(authority, ':', (size_t)close);
    return colon < 0 ? authority.n : (size_t)colon;
}

static const char *take_authority(struct str authority, struct outbound *out)
{
    for (size_t i = 0; i < authority.n; i++) {
        unsigned char c = (unsigned char)authority.p[i];
        if (c == '@')
            return "user names and passwords do not belong into a URL: send an Authorization "
                   "header";
        if (c <= ' ' || c == 0x7f || c == '\\' || c == '%')
            return "its host is no name";
    }
    size_t colon = port_at(authority);
    const char *why = take_host(str_of(authority.p, colon), out);
    if (why)
        return why;
    return take_port(colon < authority.n ? str_from(authority, colon + 1) : STR(""), out);
}

/* --- path and query ---------------------------------------------------------------------------- */

static bool unreserved(char c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || is_digit(c) || (c && strchr("-._~", c));
}

static bool put(struct outbound *out, char c)
{
    if (out->url_n == OUTBOUND_URL_MAX)
        return false;
    out->url[out->url_n++] = c;
    return true;
}

static bool put_escaped(struct outbound *out, unsigned char c)
{
    static const char digits[] = "0123456789ABCDEF";
    return put(out, '%') && put(out, digits[c >> 4]) && put(out, digits[c & 15]);
}

/* One byte of text at s.p[*i] in its canonical form; *i moves over an escape. */
static bool put_one(struct outbound *out, struct str s, size_t *i)
{
    char c = s.p[*i];
    if (c == '%' && *i + 2 < s.n && hex(s.p[*i + 1]) >= 0 && hex(s.p[*i + 2]) >= 0) {
        c = (char)(hex(s.p[*i + 1]) << 4 | hex(s.p[*i + 2]));
        *i += 2;
        return unreserved(c) ? put(out, c) : put_escaped(out, (unsigned char)c);
    }
    if (unreserved(c) || (c && strchr("!$&'()*+,;=:@/?", c)))
        return put(out, c);
    return put_escaped(out, (unsigned char)c);
}

/* Segments one after the other; "." and ".." are done away with as they come. */
static bool put_path(struct outbound *out, struct str path)
{
    size_t root = out->url_n; /* of the first '/' */
    for (size_t i = 0; i < path.n;) {
        size_t begin = out->url_n;
        if (!put(out, '/'))
            return false;
        for (i++; i < path.n && path.p[i] != '/'; i++)
            if (!put_one(out, path, &i))
                return false;
        struct str segment = str_of(out->url + begin + 1, out->url_n - begin - 1);
        bool up = str_is(segment, ".."), last = i >= path.n;
        if (!up && !str_is(segment, "."))
            continue;
        out->url_n = begin;
        while (up && out->url_n > root && out->url[--out->url_n] != '/')
            ;
        if (last && !put(out, '/'))
            return false;
    }
    return out->url_n > root || put(out, '/');
}

static bool put_query(struct outbound *out, struct str query)
{
    if (!query.p)
        return true;
    if (!put(out, '?'))
        return false;
    for (size_t i = 0; i < query.n; i++)
        if (!put_one(out, query, &i))
            return false;
    return true;
}

static void put_origin(struct outbound *out)
{
    bool six = strchr(out->host, ':') != NULL;
    int n = snprintf(out->url, sizeof out->url, "%s://%s%s%s", out->tls ? "https" : "http",
                     six ? "[" : "", out->host, six ? "]" : "");
    out->url_n = (size_t)n;
    if (out->port != (out->tls ? 443 : 80))
        out->url_n += (size_t)snprintf(out->url + out->url_n, 8, ":%u", out->port);
    out->origin_n = out->url_n;
}

static size_t find_any(struct str s, const char *stops)
{
    size_t i = 0;
    while (i < s.n && !(s.p[i] && strchr(stops, s.p[i])))
        i++;
    return i;
}

int outbound_parse(struct str url, struct outbound *out, struct err *err)
{
    struct str rest = url;
    for (size_t i = 0; i < url.n; i++)
        if ((unsigned char)url.p[i] < ' ' || url.p[i] == 0x7f)
            return refuse(err, str_of(url.p, i), "it holds control bytes");
    if (url.n > OUTBOUND_URL_MAX)
        return refuse(err, url, "it is too long");
    struct str scheme = str_of(url.p, find_any(url, ":/?#"));
    out->tls = str_ieq(scheme, STR("https"));
    if (!out->tls && !str_ieq(scheme, STR("http")))
        return refuse(err, url, "it must begin with http:// or https://");
    rest = str_from(rest, scheme.n);
    if (!str_starts(rest, STR("://")))
        return refuse(err, url, "it must begin with http:// or https://");
    rest = str_from(rest, 3);
    size_t n = find_any(rest, "/?#\\");
    if (n < rest.n && rest.p[n] == '\\')
        return refuse(err, url, "it holds a backslash");
    const char *why = take_authority(str_of(rest.p, n), out);
    if (why)
        return refuse(err, url, why);
    put_origin(out);
    rest = str_from(rest, n);
    rest.n = find_any(rest, "#");
    n = find_any(rest, "?");
    struct str query = n < rest.n ? str_from(rest, n + 1) : (struct str){NULL, 0};
    bool fits = put_path(out, str_of(rest.p, n));
    out->scope_n = out->url_n;
    if (!fits || !put_query(out, query))
        return refuse(err, url, "it is too long");
    out->url[out->url_n] = 0;
    return 0;
}

/* --- redirects --------------------------------------------------------------------------------- */

/* "https:…": letters, digits, "+-." up to a colon. */
static bool has_scheme(struct str s)
{
    size_t n = find_any(s, ":/?#");
    return n && n < s.n && s.p[n] == ':';
}

int outbound_join(const struct outbound *base, struct str location, struct outbound *out,
                  struct err *err)
{
    char text[2 * OUTBOUND_URL_MAX + 16];
    size_t keep = base->origin_n;
    location = str_trim(location);
    if (location.n == 0 || location.n > OUTBOUND_URL_MAX)
        return refuse(err, location, location.n ? "it is too long" : "it is empty");
    if (has_scheme(location))
        return outbound_parse(location, out, err);
    if (str_starts(location, STR("//")))
        keep = base->tls ? 6 : 5; /* "https:" */
    else if (location.p[0] == '?' || location.p[0] == '#')
        keep = location.p[0] == '?' ? base->scope_n : base->url_n;
    else if (location.p[0] != '/')
        for (keep = base->scope_n; base->url[keep - 1] != '/'; keep--)
            ;
    memcpy(text, base->url, keep);
    memcpy(text + keep, location.p, location.n);
    return outbound_parse(str_of(text, keep + location.n), out, err);
}

/* --- patterns ---------------------------------------------------------------------------------- */

/* What is before and behind the host's end. */
struct url_parts {
    struct str scheme, host, port, path; /* port and path "" when there is none */
};

static bool split(struct str s, struct url_parts *p)
{
    ptrdiff_t at = str_find(s, STR("://"));
    if (at < 0)
        return false;
    p->scheme = str_of(s.p, (size_t)at);
    s = str_from(s, (size_t)at + 3);
    ptrdiff_t slash = str_index(s, '/', 0);
    struct str authority = slash < 0 ? s : str_of(s.p, (size_t)slash);
    p->path = slash < 0 ? STR("") : str_from(s, (size_t)slash);
    size_t colon = port_at(authority);
    p->host = str_of(authority.p, colon);
    p->port = colon < authority.n ? str_from(authority, colon + 1) : STR("");
    return true;
}

static bool has_wildcard(struct str s)
{
    return str_index(s, '*', 0) >= 0 || str_index(s, '?', 0) >= 0;
}

static struct str own_port(struct str scheme, struct str port)
{
    return port.n ? port : str_is(scheme, "https") ? STR("443") : STR("80");
}

bool outbound_match(struct str pattern, struct str url, bool literal_host)
{
    char low[OUTBOUND_HOST_MAX + 2];
    struct url_parts p, u;
    if (str_is(pattern, "*"))
        return !literal_host;
    if (!split(pattern, &p) || !split(url, &u) || p.host.n > sizeof low)
        return false;
    for (size_t i = 0; i < p.host.n; i++)
        low[i] = lower(p.host.p[i]);
    struct str host = str_of(low, p.host.n);
    if (literal_host && has_wildcard(host))
        return false;
    if (!p.path.n) /* a host alone is its front page, unless it ends in a star */
        p.path = str_ends(pattern, STR("*")) ? STR("*") : STR("/");
    return str_eq(p.scheme, u.scheme) && arn_match(host, u.host) &&
           arn_match(own_port(p.scheme, p.port), own_port(u.scheme, u.port)) &&
           arn_match(p.path, u.path);
}

/* --- addresses --------------------------------------------------------------------------------- */

static const struct {
    uint32_t net;
    unsigned bits;
    const char *kind;
} ipv4_nets[] = {
    {0x00000000, 8, "unspecified"},    /* this host, this network */
    {0x0a000000, 8, "private"},        /* 10/8 */
    {0x64400000, 10, "private"},       /* 100.64/10, carriers' NAT; clouds' metadata too */
    {0x7f000000, 8, "loopback"},       /* 127/8 */
    {0xa9fe0000, 16, "link-local"},    /* 169.254/16, clouds' metadata */
    {0xac100000, 12, "private"},       /* 172.16/12 */
    {0xc0000000, 24, "reserved"},      /* 192.0.0/24 */
    {0xc0000200, 24, "documentation"}, /* 192.0.2/24 */
    {0xc0586300, 24, "reserved"},      /* 192.88.99/24, relays of 6to4 */
    {0xc0a80000, 16, "private"},       /* 192.168/16 */
    {0xc6120000, 15, "reserved"},      /* 198.18/15, benchmarks */
    {0xc6336400, 24, "documentation"}, /* 198.51.100/24 */
    {0xcb007100, 24, "documentation"}, /* 203.0.113/24 */
    {0xe0000000, 4, "multicast"},      /* 224/4 */
    {0xf0000000, 4, "reserved"},       /* 240/4, broadcast */
};

static const char *ipv4_kind(uint32_t a)
{
    for (size_t i = 0; i < sizeof ipv4_nets / sizeof *ipv4_nets; i++)
        if ((a ^ ipv4_nets[i].net) >> (32 - ipv4_nets[i].bits) == 0)
            return ipv4_nets[i].kind;
    return NULL;
}

static uint32_t word(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static const char *ipv6_kind(const unsigned char *a)
{
    uint32_t w[4] = {word(a), word(a + 4), word(a + 8), word(a + 12)};
    if (w[0] == 0 && w[1] == 0 && w[2] == 0xffff) /* IPv4-mapped */
        return ipv4_kind(w[3]);
    if (w[0] == 0x0064ff9b && w[1] == 0 && w[2] == 0) /* NAT64 */
        return ipv4_kind(w[3]);
    if (w[0] == 0 && w[1] == 0 && w[2] == 0)
        return w[3] == 1 ? "loopback" : w[3] == 0 ? "unspecified" : "reserved";
    if (a[0] == 0xff)
        return "multicast";
    if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
        return "link-local";
    if ((a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) == 0xc0))
        return "private";
    if ((a[0] & 0xe0) != 0x20)
        return "reserved";
    if (w[0] == 0x20010db8 || w[0] >> 12 == 0x3fff0)
        return "documentation";
    if (w[0] >> 9 == 0x20010000 >> 9) /* 2001::/23: Teredo and the registries' own */
        return "reserved";
    if (w[0] >> 16 == 0x2002) /* 6to4 */
        return ipv4_kind(w[0] << 16 | w[1] >> 16);
    if ((w[2] | 0x02000000) == 0x02005efe) /* ISATAP */
        return ipv4_kind(w[3]);
    return NULL;
}

const char *outbound_not_public(const struct sockaddr *address)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    if (address->sa_family == AF_INET) {
        memcpy(&four, address, sizeof four);
        return ipv4_kind(ntohl(four.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        memcpy(&six, address, sizeof six);
        return ipv6_kind(six.sin6_addr.s6_addr);
    }
    return "unknown";
}

/* outbound: where a function's HTTP requests may go: URLs in one spelling, addresses by class.
 *
 * There are many ways to write one URL and many to write one address, and a policy that is asked
 * about one of them while a library connects to another is no policy. So a URL is parsed here, and
 * only here: strictly, and into one canonical text. Policies are asked about that text, and it is
 * what perilune-fetch is handed. Pure functions. */
#ifndef AUTH_OUTBOUND_H
#define AUTH_OUTBOUND_H

#include <sys/socket.h>

#include "base/err.h"

enum { OUTBOUND_URL_MAX = 8 * 1024, OUTBOUND_HOST_MAX = 254 };

struct outbound {
    bool tls;
    uint16_t port;
    char host[OUTBOUND_HOST_MAX]; /* lower case, no dot at the end; IPv6 without brackets */
    size_t url_n;
    size_t scope_n;  /* bytes of url before the query: what policies are asked about */
    size_t origin_n; /* bytes of scheme, host and port */
    char url[OUTBOUND_URL_MAX + 1]; /* NUL-terminated; no port when it is the scheme's own, no
                                       fragment, a path always */
};

/* http and https only. Refused with E_INVALID: user names, hosts that are no ASCII names or whose
 * last part is a number but no address, ports out of range, control bytes, backslashes before the
 * path, more than OUTBOUND_URL_MAX bytes. Made one: letter case, decimal, octal and hex addresses,
 * IPv4 in IPv6, a trailing dot, the default port, dot segments, percent-encoding. */
int outbound_parse(struct str url, struct outbound *out, struct err *err);
/* What a Location header in an answer from `base` points to. */
int outbound_join(const struct outbound *base, struct str location, struct outbound *out,
                  struct err *err);

/* Does a policy's Resource cover the URL (canonical, without query)? "*", or
 * SCHEME://HOST[:PORT][/PATH] with wildcards that stay in their part: a star in the host never
 * reaches into the path. Without a port only the scheme's own is covered. literal_host: and does it
 * spell out the host? */
bool outbound_match(struct str pattern, struct str url, bool literal_host);

/* NULL for an address that anybody on the internet may be reached at; else what kind of address it
 * is ("loopback", "private", "link-local", …). Looks into IPv4 in IPv6, 6to4, NAT64. Families other
 * than AF_INET and AF_INET6: "unknown". */
const char *outbound_not_public(const struct sockaddr *address);

#endif

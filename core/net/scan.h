/* scan: the strict reading of a request head, before anything else looks at it.
 *
 * Pure: bytes in, verdict out. The head is read line by line as it arrives; each byte is looked at
 * a bounded number of times however small the pieces are. What this scan lets pass has exactly one
 * meaning: one framing, one Host, names that are tokens, values without control bytes. */
#ifndef NET_SCAN_H
#define NET_SCAN_H

#include "base/str.h"

enum {
    SCAN_HEAD_MAX = 32 * 1024,   /* bytes of a head, its empty line included */
    SCAN_TARGET_MAX = 16 * 1024, /* bytes of a request target */
    SCAN_HEADERS_MAX = 100,
};

enum scan_rc { SCAN_MORE, SCAN_DONE, SCAN_BAD };

struct scan {
    size_t at;        /* start of the first line not yet read */
    size_t looked;    /* bytes searched for a line feed */
    uint16_t start;   /* offset of the request line (2 after a tolerated empty line) */
    uint16_t headers; /* header lines read */
    uint16_t method_n;
    uint16_t target_at, target_n; /* as sent */
    uint16_t host_at, host_n;     /* value of Host; host_n 0: none */
    int minor;                    /* HTTP/1.minor */
    int64_t content_length;       /* 0 when absent, -1 when chunked */
    bool has_line, has_host, has_length, has_coding, chunked;
    bool token_close, token_keep; /* in Connection */
    bool expect;                  /* Expect: 100-continue */
    bool keep_alive;              /* set by SCAN_DONE */
    int status;                   /* of SCAN_BAD: what to answer */
    const char *why;              /* of SCAN_BAD: one clause for a human; static */
};

/* `in` starts at the head's first byte and only ever grows between calls; s is zeroed before the
 * first. SCAN_DONE: s->at is the size of the head. SCAN_BAD is final. */
enum scan_rc scan_head(struct scan *s, struct str in);

/* One header line without its CRLF: false when it is malformed. Used for trailers in tests. */
bool scan_field(struct str line, struct str *name, struct str *value);
/* A method or header name; a header value as it may stand on the wire. */
bool scan_token(struct str s);
bool scan_value(struct str s);
bool scan_is_token_byte(unsigned char c);
bool scan_is_value_byte(unsigned char c);

#endif

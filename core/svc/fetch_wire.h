/* fetch_wire: what core and perilune-fetch say to each other over one stream socket.
 *
 * Frames {u32 size, u16 type, u16 0, u32 id} and `size` bytes, in the machine's byte order (both
 * ends are one machine's). Bodies of FETCH_REQUEST, FETCH_ANSWER and FETCH_END are recs. To each
 * REQUEST that is not cancelled comes either ANSWER, BODY, END with FETCH_OK, or END alone. The end
 * of the stream ends perilune-fetch. */
#ifndef SVC_FETCH_WIRE_H
#define SVC_FETCH_WIRE_H

#include <stdint.h>

enum fetch_type {
    FETCH_REQUEST = 1, /* to perilune-fetch */
    FETCH_CANCEL,      /* to it: nothing */
    FETCH_ANSWER,      /* from it: status, headers, size of what follows */
    FETCH_BODY,        /* from it: the bytes */
    FETCH_END,         /* from it: how it went */
};

struct fetch_frame {
    uint32_t size;
    uint16_t type, zero;
    uint32_t id;
};

enum {
    FETCH_SOCKET = 0, /* descriptor in perilune-fetch */
    FETCH_CA = 3,     /* descriptor of the file of trusted certificates, when there is one */
    FETCH_REQUEST_MAX = 8 * 1024 * 1024,
    FETCH_BODY_MAX = 24 * 1024 * 1024,
    FETCH_HEADERS_MAX = 100,            /* lines of an answer's head */
    FETCH_HEADER_BYTES_MAX = 64 * 1024, /* and their bytes */
    FETCH_REST_MAX = 2 * 64 * 1024,     /* frames other than REQUEST and BODY */
};

enum fetch_field {
    FETCH_URL = 1, /* canonical */
    FETCH_HOST,    /* what it must be parsed to, else it is refused */
    FETCH_PORT,    /* u64, likewise */
    FETCH_METHOD,
    FETCH_HEADER,  /* repeated. REQUEST: "Name: value"; ANSWER: rec {1 name, lower case; 2 value} */
    FETCH_CONTENT, /* the request's body; absent: none */
    FETCH_TIMEOUT_MS, /* u64 */
    FETCH_MAX_BYTES,  /* u64, of the body, decompressed */
    FETCH_PRIVATE,    /* u64 1: addresses that are not public may be connected to */
    FETCH_STATUS,     /* u64 */
    FETCH_SIZE,       /* u64 */
    FETCH_HOW,        /* u64, enum fetch_how */
    FETCH_TEXT,       /* why, a sentence */
};

enum fetch_how { FETCH_OK, FETCH_TIMEOUT, FETCH_FAILED, FETCH_REFUSED, FETCH_TOO_LARGE };

#endif

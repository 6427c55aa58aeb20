/* form_data: multipart/form-data as browsers send it, read as it comes.
 *
 * Fields before the file are collected, the file's bytes are handed on, whatever follows the file
 * is passed over, as S3 does. Hostile bytes: what is kept in memory is bounded. */
#ifndef API_FORM_DATA_H
#define API_FORM_DATA_H

#include "base/buf.h"
#include "base/err.h"

enum {
    FORM_BOUNDARY_MAX = 70,       /* RFC 2046 */
    FORM_HEAD_MAX = 8 * 1024,     /* of one part */
    FORM_FIELDS_MAX = 128 * 1024, /* all values before the file together */
};

struct form_data_sink {
    /* Each answers 0, or an E_* that ends the reading. Strings are valid during the call. */
    int (*field)(void *ctx, struct str name, struct str value);
    int (*file)(void *ctx, struct str filename, struct str content_type); /* begins */
    int (*data)(void *ctx, struct str bytes);
};

struct form_data {
    const struct form_data_sink *sink;
    void *ctx;
    int state;
    bool begun;                            /* some bytes of the file have been looked at */
    char delimiter[FORM_BOUNDARY_MAX + 5]; /* "\r\n--" boundary */
    size_t delimiter_n, fields;            /* bytes */
    struct buf in, name;
};

/* The boundary of a Content-Type; p NULL when it is no multipart/form-data with a proper one. */
struct str form_data_boundary(struct str content_type);
void form_data_init(struct form_data *f, struct str boundary, const struct form_data_sink *sink,
                    void *ctx);
void form_data_deinit(struct form_data *f);
/* 0; E_BAD_FORM, E_LIMIT, or what the sink said. After an error no more is to be fed. */
int form_data_feed(struct form_data *f, struct str bytes);
/* At the end of the body: 0 when a file came and was complete; E_NO_FILE, E_BAD_FORM. */
int form_data_end(struct form_data *f);

#endif

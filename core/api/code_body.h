/* code_body: the body of CreateFunction and UpdateFunctionCode, taken as it arrives.
 *
 * The body is JSON whose one large member, ZipFile, is the zip in base64. That member is decoded on
 * the way, to memory while it is small and to a blob beyond; what remains of the JSON is small and
 * parsed at the end. So a 50 MiB package costs the core about a MiB. */
#ifndef API_CODE_BODY_H
#define API_CODE_BODY_H

#include "api/gate.h"
#include "svc/package.h"

struct code_body;

/* For a row with BODY_STREAM. nested: ZipFile is a member of the member Code. done is called once:
 * rc 0 with c->json set (an object, without ZipFile) and *src filled in, both valid until the
 * reply; src->zip.p is NULL and src->blob 0 when there was no ZipFile. The body has then been
 * checked against what was signed. On an error done(c, rc, NULL, err). A blob in src is the
 * callee's (own_blob). */
void code_body_take(struct call *c, bool nested,
                    void (*done)(struct call *c, int rc, const struct package_source *src,
                                 const struct err *err));

/* --- the filter by itself, for tests: bytes in, JSON and zip out ---------------------------------
 */

struct code_filter {
    struct buf json; /* the text with ZipFile's value cut out */
    void (*zip)(void *ctx, struct str bytes);
    void (*again)(void *ctx); /* a second ZipFile: forget the first */
    void *ctx;
    bool nested, found;
    int rc; /* 0, E_LIMIT (other members too large), E_INVALID (not base64) */
    /* where in the text we are */
    enum { CODE_PLAIN, CODE_STRING, CODE_ESCAPE, CODE_ZIP, CODE_ZIP_ESCAPE, CODE_ZIP_U } state;
    unsigned depth;
    bool key_next; /* the next string at this depth is a key */
    bool is_key, is_code, zip_next, padded;
    bool array[3]; /* container at depth 1 and 2 is an array */
    char key[8];
    size_t key_n;
    unsigned hex, hex_n;
    struct buf base64; /* not yet decoded */
};
void code_filter_init(struct code_filter *f, bool nested);
void code_filter_feed(struct code_filter *f, struct str bytes);
/* After the last byte: decodes the rest. */
void code_filter_end(struct code_filter *f);
void code_filter_deinit(struct code_filter *f);

#endif

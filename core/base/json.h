/* json: small glue over jansson, for the control plane only (function payloads never become json_t
 * trees in the core).
 *
 * Parsing follows RFC 8259 strictly, with depth <= 100 and, for a name that comes twice, the last
 * value. Getters check types: a member that is absent or null is "not given", a member of another
 * type is E_BAD_JSON with a text that names it. Strings are borrowed from the tree. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

enum { JSON_DEPTH_MAX = 100 };

/* Any JSON value; the caller owns the reference. NULL with err (E_BAD_JSON: "Could not parse
 * request body into json: …") when s is none. */
json_t *json_parse(struct str s, struct err *err);

/* Members of an object. 0; E_BAD_JSON when the type is another. Not given: *out is left as it was
 * for int and bool, and p NULL for str, NULL for object and array. */
int json_member_str(const json_t *o, const char *name, struct str *out, struct err *err);
int json_member_int(const json_t *o, const char *name, int64_t *out, struct err *err);
int json_member_bool(const json_t *o, const char *name, bool *out, struct err *err);
int json_member_object(const json_t *o, const char *name, json_t **out, struct err *err);
int json_member_array(const json_t *o, const char *name, json_t **out, struct err *err);

/* The bytes of a JSON string; p NULL for any other type or NULL. */
struct str json_bytes(const json_t *v);
/* A JSON string of any bytes: what is not UTF-8 becomes U+FFFD. */
json_t *json_text(struct str s);
/* Appends compact text; members in insertion order. v stays the caller's. */
void json_write(struct buf *out, const json_t *v);
/* Appends s as a JSON string with its quotes; what is not UTF-8 becomes U+FFFD. */
void json_quote(struct buf *out, struct str s);

#endif

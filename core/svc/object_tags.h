/* object_tags: replacing the tags of an object that is there. */
#ifndef SVC_OBJECT_TAGS_H
#define SVC_OBJECT_TAGS_H

#include "svc/object.h"

enum { OBJECT_TAGS_MAX = 10 };

/* Writes the tags (pairs; empty: none) into the object's record, and the event ObjectTagging:Put,
 * or :Delete, with it. Everything is copied. E_NO_BUCKET, E_NO_KEY. */
void object_set_tags(struct objects *o, struct str bucket, struct str key, bool put,
                     struct str tags, const char *request_id, const char *peer,
                     const char *principal, void (*done)(void *ctx, int rc, const struct err *err),
                     void *ctx);

#endif

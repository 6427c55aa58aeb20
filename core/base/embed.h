/* embed: files of the source tree that travel inside the binary.
 *
 * The build embeds lua/ and blueprints/ (their README.md apart) under their paths in the tree, in
 * sorted order: "lua/events.lua", "blueprints/s3-upload/blueprint.lua". Bytes are constant and
 * followed by a NUL that is not counted. */
#ifndef BASE_EMBED_H
#define BASE_EMBED_H

#include "base/str.h"

/* The generated table; ends with a row whose path is NULL. Use the functions. */
struct embed_entry {
    const char *path, *begin, *end;
};
extern const struct embed_entry embed_table[];
/* The web console's built files, each packed by gzip: "index.html.gz", "assets/main-….js.gz". Empty
 * when the build had no npm. */
extern const struct embed_entry embed_console[];

/* The file's bytes, or p NULL when there is none of that path. */
struct str embed_find(struct str path);
/* The i-th file whose path starts with prefix, in order of path; false when there are no more. */
bool embed_at(struct str prefix, size_t i, struct str *path, struct str *bytes);

#endif

/* out: what commands print: tables and lines for people, one JSON document for programs.
 *
 * Text that came from elsewhere (object keys, log lines, messages) may hold terminal escapes: on a
 * terminal its control bytes are shown, not obeyed; into a pipe it goes as it is. Colour only on a
 * terminal, and never under NO_COLOR. */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include <jansson.h>

#include "base/buf.h"

/* A value as text, flags as jansson has them, every number as short as it reads back; the caller
 * frees it. */
char *out_dumps(const json_t *v, size_t flags);
/* The same on stdout. */
void out_dump(const json_t *v, size_t flags);
/* One document on stdout, indented, members in the order they were set. Takes the reference.
 * Answers CLI_OK. */
int out_json(json_t *json);
/* Text of elsewhere on stdout. */
void out_text(struct str s);
/* "NAME  VALUE" with the value in one column; a NULL or empty value prints nothing. */
void out_field(const char *name, const char *value);

/* A table: header row first, then rows of the same number of cells; out_table_end prints them in
 * columns and frees it. */
struct out_table;
struct out_table *out_table_new(size_t columns);
/* n cells, copied. NULL is an empty cell. */
void out_row(struct out_table *t, const char *const *cells);
void out_table_end(struct out_table *t);

enum out_colour {
    OUT_PLAIN,
    OUT_RED,
    OUT_YELLOW,
    OUT_DIM,
    OUT_GREEN,
    OUT_MAGENTA,
    OUT_CYAN,
    OUT_BOLD
};
/* Starts (or with OUT_PLAIN ends) a colour on stdout where colours are wanted. */
void out_colour(enum out_colour c);

/* Members of a JSON object as C strings and numbers, "" and 0 when absent or of another type. */
const char *out_str(const json_t *object, const char *name);
long long out_int(const json_t *object, const char *name);
/* One line a thing of a server's report: "  created  role  thumbs-role"; the list holds {"type",
 * "name"} objects or strings. */
void out_things(const char *verb, const json_t *list);
/* The "name" members of a list of objects, one a line: for completions and scripts. Answers CLI_OK.
 */
int out_names(const json_t *list);
/* "1.5 KiB" for people; the result is valid until the fourth next call. */
const char *out_size(uint64_t bytes);

#endif

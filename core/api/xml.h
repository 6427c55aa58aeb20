/* xml: request bodies in XML, read into a small tree.
 *
 * For documents of at most some hundred KiB from signed callers: no DTD (so no entities but the
 * five), bounded depth and number of elements, attributes ignored, namespace prefixes dropped. */
#ifndef API_XML_H
#define API_XML_H

#include "base/arena.h"
#include "base/err.h"

enum { XML_DEPTH_MAX = 16, XML_ELEMENTS_MAX = 10000 };

struct xml_node {
    struct str name; /* without prefix */
    struct str text; /* character data directly inside, all pieces joined; "" for none */
    struct xml_node *child, *next; /* first child; next sibling */
};

/* The root element in the arena. E_BAD_XML when the document is not well formed, has a DTD or is
 * beyond the bounds. */
int xml_parse(struct arena *a, struct str doc, struct xml_node **root);
/* First child of that name, or NULL. */
const struct xml_node *xml_child(const struct xml_node *n, const char *name);
/* Text of the first child of that name without surrounding blanks and line ends; p NULL when there
 * is none. */
struct str xml_child_text(const struct xml_node *n, const char *name);

#endif

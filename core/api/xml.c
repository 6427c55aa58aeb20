/* xml: expat's events into a tree of the request's arena.
 *
 * Expat is told to stop at the first DTD, element too many or allocation refused; what it has seen
 * until then is dropped with the arena. Character data comes in pieces: an element's text is
 * collected in a buffer per depth and copied once, at its end. */
#include "api/xml.h"

#include <expat.h>

#include "base/buf.h"

struct level {
    struct xml_node *node, *last_child;
    struct buf text;
};

struct reading {
    XML_Parser parser;
    struct arena *arena;
    struct level levels[XML_DEPTH_MAX];
    int depth; /* open elements */
    size_t elements;
    struct xml_node *root;
    bool refused;
};

static void refuse(struct reading *r)
{
    r->refused = true;
    XML_StopParser(r->parser, XML_FALSE);
}

static void start(void *ctx, const char *name, const char **attributes)
{
    struct reading *r = ctx;
    (void)attributes;
    if (r->refused)
        return;
    if (r->depth == XML_DEPTH_MAX || ++r->elements > XML_ELEMENTS_MAX) {
        refuse(r);
        return;
    }
    const char *colon = strrchr(name, ':');
    struct xml_node *n = arena_zalloc(r->arena, sizeof *n);
    struct str copy = arena_dup(r->arena, str_c(colon ? colon + 1 : name));
    if (!n || !copy.n) { /* no memory, or a prefix and nothing after it */
        refuse(r);
        return;
    }
    n->name = copy;
    n->text = STR("");
    if (r->depth == 0) {
        r->root = n;
    } else {
        struct level *up = &r->levels[r->depth - 1];
        *(up->last_child ? &up->last_child->next : &up->node->child) = n;
        up->last_child = n;
    }
    struct level *l = &r->levels[r->depth++];
    l->node = n;
    l->last_child = NULL;
    buf_clear(&l->text);
}

static void end(void *ctx, const char *name)
{
    struct reading *r = ctx;
    (void)name;
    if (r->refused)
        return;
    struct level *l = &r->levels[--r->depth];
    if (l->text.n)
        l->node->text = arena_dup(r->arena, buf_str(&l->text));
    if (l->text.rc || !l->node->text.p)
        refuse(r);
}

static void text(void *ctx, const char *p, int n)
{
    struct reading *r = ctx;
    if (!r->refused && r->depth > 0)
        buf_add(&r->levels[r->depth - 1].text, str_of(p, (size_t)n));
}

static void doctype(void *ctx, const char *name, const char *system_id, const char *public_id,
                    int has_internal_subset)
{
    (void)name, (void)system_id, (void)public_id, (void)has_internal_subset;
    refuse(ctx);
}

int xml_parse(struct arena *a, struct str doc, struct xml_node **root)
{
    struct reading r = {.arena = a};
    if (doc.n > INT32_MAX)
        return E_BAD_XML;
    r.parser = XML_ParserCreate(NULL);
    if (!r.parser)
        return E_INTERNAL;
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, start, end);
    XML_SetCharacterDataHandler(r.parser, text);
    XML_SetStartDoctypeDeclHandler(r.parser, doctype);
    bool ok = XML_Parse(r.parser, doc.p, (int)doc.n, XML_TRUE) == XML_STATUS_OK && !r.refused;
    XML_ParserFree(r.parser);
    for (size_t i = 0; i < XML_DEPTH_MAX; i++)
        buf_deinit(&r.levels[i].text);
    *root = ok ? r.root : NULL;
    return ok && r.root ? 0 : E_BAD_XML;
}

const struct xml_node *xml_child(const struct xml_node *n, const char *name)
{
    for (const struct xml_node *c = n->child; c; c = c->next)
        if (str_is(c->name, name))
            return c;
    return NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str xml_child_text(const struct xml_node *n, const char *name)
{
    const struct xml_node *c = xml_child(n, name);
    if (!c)
        return str_of(NULL, 0);
    struct str s = c->text;
    while (s.n && is_blank(s.p[0]))
        s = str_from(s, 1);
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

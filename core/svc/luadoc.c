/* luadoc: line by line. Comments wait until they meet what they describe: a function, a table, or,
 * for a class without one, the next blank line. */
#include "svc/luadoc.h"

#include "base/embed.h"
#include "base/json.h"

struct pending { /* comments without their subject */
    struct buf text;
    json_t *fields, *params, *returns;
    struct str class_name; /* p NULL: none */
};

struct parser {
    json_t *module, *classes;
    struct str name; /* the module's */
    struct pending p;
    struct str table;    /* "local Writer = {}": the table of … */
    json_t *table_class; /* … this class, borrowed */
};

static void pending_reset(struct pending *p)
{
    buf_deinit(&p->text);
    json_decref(p->fields);
    json_decref(p->params);
    json_decref(p->returns);
    *p = (struct pending){.fields = json_array(), .params = json_array(), .returns = json_array()};
}

/* --- pieces of a line --------------------------------------------------------------------------
 */

static struct str word(struct str *rest)
{
    size_t n = 0;
    *rest = str_trim(*rest);
    while (n < rest->n && rest->p[n] != ' ')
        n++;
    struct str w = str_of(rest->p, n);
    *rest = str_trim(str_from(*rest, n));
    return w;
}

/* A type may hold blanks inside brackets and quotes, and after the colon of "fun(…): T". */
static struct str type_of(struct str *rest)
{
    int depth = 0;
    bool quoted = false;
    size_t n = 0;
    *rest = str_trim(*rest);
    for (; n < rest->n; n++) {
        char c = rest->p[n];
        if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '(' || c == '{' || c == '<' || c == '['))
            depth++;
        else if (!quoted && (c == ')' || c == '}' || c == '>' || c == ']'))
            depth--;
        else if (c == ' ' && !quoted && depth <= 0 && !(n && rest->p[n - 1] == ':'))
            break;
    }
    struct str t = str_of(rest->p, n);
    *rest = str_trim(str_from(*rest, n));
    return t;
}

static json_t *field(struct str name, struct str type, struct str text)
{
    json_t *f = json_object();
    json_object_set_new(f, "name", json_text(name));
    json_object_set_new(f, "type", json_text(type));
    json_object_set_new(f, "text", json_text(text));
    return f;
}

static json_t *take(json_t **list)
{
    json_t *l = *list;
    *list = json_array();
    return l;
}

/* --- subjects ----------------------------------------------------------------------------------
 */

static void end_class(struct parser *ps)
{
    struct pending *p = &ps->p;
    json_t *c = json_object();
    json_object_set_new(c, "name", json_text(p->class_name));
    json_object_set_new(c, "text", json_text(str_trim(buf_str(&p->text))));
    json_object_set_new(c, "fields", take(&p->fields));
    json_object_set_new(c, "methods", json_array());
    json_array_append_new(ps->classes, c);
    ps->table_class = c;
    pending_reset(p);
}

/* "s3 = {}", "local Writer = {}" */
static void on_table(struct parser *ps, struct str name, bool local)
{
    if (local) {
        if (ps->p.class_name.p)
            end_class(ps);
        ps->table = name;
        return;
    }
    json_object_set_new(ps->module, "text", json_text(str_trim(buf_str(&ps->p.text))));
    json_object_set_new(ps->module, "fields", take(&ps->p.fields));
    pending_reset(&ps->p);
}

/* The parameters that may be left out bear their "?" in the definition's params. */
static void put_signature(struct buf *b, struct str name, const json_t *params)
{
    size_t i;
    json_t *p;
    buf_add(b, name);
    buf_addc(b, '(');
    json_array_foreach(params, i, p)
    {
        if (i)
            buf_lit(b, ", ");
        buf_add(b, json_bytes(json_object_get(p, "name")));
    }
    buf_addc(b, ')');
}

/* "s3.get(bucket, key, opts) end" */
static void on_function(struct parser *ps, struct str head)
{
    struct buf signature = BUF_INIT;
    struct str name = str_cut(&head, '('), owner = name;
    ptrdiff_t at = str_index(name, ':', 0) >= 0 ? str_index(name, ':', 0) : str_index(name, '.', 0);
    owner.n = at < 0 ? 0 : (size_t)at;
    bool method = ps->table_class && str_eq(owner, ps->table);
    json_t *f = json_object(), *params = take(&ps->p.params);
    put_signature(&signature, name, params);
    json_object_set_new(f, "name", json_text(name));
    json_object_set_new(f, "signature", json_text(buf_str(&signature)));
    json_object_set_new(f, "text", json_text(str_trim(buf_str(&ps->p.text))));
    json_object_set_new(f, "params", params);
    json_object_set_new(f, "returns", take(&ps->p.returns));
    json_array_append_new(method ? json_object_get(ps->table_class, "methods")
                                 : json_object_get(ps->module, "functions"),
                          f);
    buf_deinit(&signature);
    pending_reset(&ps->p);
}

/* --- lines -------------------------------------------------------------------------------------
 */

static void on_annotation(struct parser *ps, struct str rest)
{
    struct pending *p = &ps->p;
    struct str kind = word(&rest), name, type;
    if (str_is(kind, "class")) {
        name = word(&rest);
        if (name.n && name.p[name.n - 1] == ':')
            name.n--;
        p->class_name = name;
    } else if (str_is(kind, "field") || str_is(kind, "param")) {
        name = word(&rest);
        type = type_of(&rest);
        json_array_append_new(str_is(kind, "field") ? p->fields : p->params,
                              field(name, type, rest));
    } else if (str_is(kind, "return")) {
        type = type_of(&rest);
        name = word(&rest);
        json_array_append_new(p->returns, field(name, type, rest));
    }
}

static void on_line(struct parser *ps, struct str line)
{
    struct pending *p = &ps->p;
    line = str_trim(line);
    if (str_starts(line, STR("---@"))) {
        on_annotation(ps, str_from(line, 4));
    } else if (str_starts(line, STR("---"))) {
        buf_add(&p->text, str_trim(str_from(line, 3)));
        buf_addc(&p->text, ' ');
    } else if (str_starts(line, STR("function "))) {
        on_function(ps, str_from(line, 9));
    } else if (line.n > 5 && str_is(str_from(line, line.n - 5), " = {}")) {
        bool local = str_starts(line, STR("local "));
        on_table(ps, str_of(line.p + (local ? 6 : 0), line.n - 5 - (local ? 6 : 0)), local);
    } else if (line.n == 0 && p->class_name.p) {
        end_class(ps);
    } else if (line.n == 0) {
        pending_reset(p);
    }
}

json_t *luadoc_parse(struct str name, struct str source)
{
    struct parser ps = {.module = json_object(), .classes = json_array(), .name = name};
    pending_reset(&ps.p);
    json_object_set_new(ps.module, "name", json_text(name));
    json_object_set_new(ps.module, "text", json_string(""));
    json_object_set_new(ps.module, "fields", json_array());
    json_object_set_new(ps.module, "functions", json_array());
    json_object_set(ps.module, "classes", ps.classes);
    while (source.n)
        on_line(&ps, str_cut(&source, '\n'));
    on_line(&ps, STR(""));
    pending_reset(&ps.p);
    json_decref(ps.p.fields);
    json_decref(ps.p.params);
    json_decref(ps.p.returns);
    json_decref(ps.classes);
    return ps.module;
}

json_t *luadoc_all(void)
{
    static const char folder[] = "lua/meta/", end[] = ".lua";
    struct str path, source;
    json_t *all = json_array();
    for (size_t i = 0; embed_at(str_c(folder), i, &path, &source); i++) {
        struct str name = str_from(path, sizeof folder - 1);
        name.n -= sizeof end - 1;
        json_array_append_new(all, luadoc_parse(name, source));
    }
    return all;
}

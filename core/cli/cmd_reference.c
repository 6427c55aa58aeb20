/* cmd_reference: what functions can call, for people (text, Markdown) and for programs (JSON), from
 * the definitions that travel in the binary. Needs no server. */
#include "base/json.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "svc/luadoc.h"

enum { WIDTH = 92 };

/* Text in lines of at most WIDTH columns, each after `indent` blanks; bytes count as columns. */
static void wrap(struct str text, int indent)
{
    int column = 0;
    while (text.n) {
        struct str w = str_cut(&text, ' ');
        if (w.n == 0)
            continue;
        if (column && column + 1 + (int)w.n > WIDTH) {
            putchar('\n');
            column = 0;
        }
        printf("%*s%.*s", column ? 1 : indent, "", STR_FMT(w));
        column += (column ? 1 : indent) + (int)w.n;
    }
    if (column)
        putchar('\n');
}

/* The text up to its first full stop. */
static struct str first_sentence(struct str text)
{
    ptrdiff_t stop = str_find(text, STR(". "));
    return stop < 0 ? text : str_of(text.p, (size_t)stop + 1);
}

static void print_fields(const json_t *fields, const char *what, int indent)
{
    size_t i;
    json_t *f;
    json_array_foreach(fields, i, f)
    {
        struct buf b = BUF_INIT;
        buf_printf(&b, "%s%s: %s", what, out_str(f, "name"), out_str(f, "type"));
        if (*out_str(f, "text"))
            buf_printf(&b, " - %s", out_str(f, "text"));
        wrap(buf_str(&b), indent);
        buf_deinit(&b);
    }
}

static void print_functions(const json_t *functions)
{
    size_t i;
    json_t *f;
    json_array_foreach(functions, i, f)
    {
        out_colour(OUT_BOLD);
        printf("\n  %s\n", out_str(f, "signature"));
        out_colour(OUT_PLAIN);
        wrap(str_c(out_str(f, "text")), 6);
        print_fields(json_object_get(f, "params"), "", 6);
        print_fields(json_object_get(f, "returns"), "-> ", 6);
    }
}

static void print_module(const json_t *m)
{
    size_t i;
    json_t *c;
    out_colour(OUT_BOLD);
    printf("%s\n", out_str(m, "name"));
    out_colour(OUT_PLAIN);
    wrap(str_c(out_str(m, "text")), 2);
    print_fields(json_object_get(m, "fields"), "", 4);
    print_functions(json_object_get(m, "functions"));
    json_array_foreach(json_object_get(m, "classes"), i, c)
    {
        if (json_array_size(json_object_get(c, "fields")) +
                json_array_size(json_object_get(c, "methods")) ==
            0)
            continue;
        printf("\n  %s\n", out_str(c, "name"));
        wrap(str_c(out_str(c, "text")), 6);
        print_fields(json_object_get(c, "fields"), "", 6);
        print_functions(json_object_get(c, "methods"));
    }
}

/* --- Markdown ----------------------------------------------------------------------------------
 */

static void mark_fields(const json_t *fields, const char *what)
{
    size_t i;
    json_t *f;
    json_array_foreach(fields, i, f)
    {
        const char *text = out_str(f, "text");
        printf("- %s`%s: %s`%s%s\n", what, out_str(f, "name"), out_str(f, "type"),
               *text ? " - " : "", text);
    }
}

static void mark_functions(const json_t *functions)
{
    size_t i;
    json_t *f;
    json_array_foreach(functions, i, f)
    {
        printf("\n### `%s`\n\n", out_str(f, "signature"));
        if (*out_str(f, "text"))
            printf("%s\n\n", out_str(f, "text"));
        mark_fields(json_object_get(f, "params"), "");
        mark_fields(json_object_get(f, "returns"), "returns ");
    }
}

static void mark_module(const json_t *m)
{
    size_t i;
    json_t *c;
    printf("\n## %s\n\n%s\n", out_str(m, "name"), out_str(m, "text"));
    mark_fields(json_object_get(m, "fields"), "");
    mark_functions(json_object_get(m, "functions"));
    json_array_foreach(json_object_get(m, "classes"), i, c)
    {
        if (json_array_size(json_object_get(c, "fields")) +
                json_array_size(json_object_get(c, "methods")) ==
            0)
            continue;
        printf("\n### %s\n\n%s\n", out_str(c, "name"), out_str(c, "text"));
        mark_fields(json_object_get(c, "fields"), "");
        mark_functions(json_object_get(c, "methods"));
    }
}

/* --- the command -------------------------------------------------------------------------------
 */

static void print_names(const json_t *all)
{
    size_t i, k;
    json_t *m, *f;
    json_array_foreach(all, i, m)
    {
        printf("%s\n", out_str(m, "name"));
        json_array_foreach(json_object_get(m, "functions"), k, f)
        {
            struct str text = first_sentence(str_c(out_str(f, "text")));
            printf(text.n ? "  %-44s %.*s\n" : "  %s%.*s\n", out_str(f, "signature"),
                   STR_FMT(text));
        }
    }
    puts("\n'perilune reference MODULE' says more.");
}

/* The module that is asked for, or the one of "s3.get"; NULL when there is none. */
static json_t *find(const json_t *all, const char *name)
{
    size_t i;
    json_t *m;
    struct str rest = str_c(name), wanted = str_cut(&rest, '.');
    json_array_foreach(all, i, m)
    {
        if (str_is(wanted, out_str(m, "name")))
            return m;
    }
    return NULL;
}

static int run_reference(struct cli *cli)
{
    const char *name = cli_arg(cli, 0);
    json_t *all = luadoc_all(), *one = name ? find(all, name) : NULL;
    size_t i;
    json_t *m;
    if (name && !one) {
        json_decref(all);
        return cli_fail(CLI_NOT_FOUND, "there is no module '%s'; 'perilune reference' lists them",
                        name);
    }
    if (cli_has(cli, "--json")) {
        out_json(one ? json_incref(one) : json_incref(all));
    } else if (cli_has(cli, "--markdown")) {
        puts("# What functions can call");
        json_array_foreach(all, i, m)
        {
            if (!one || one == m)
                mark_module(m);
        }
    } else if (one) {
        print_module(one);
    } else {
        print_names(all);
    }
    json_decref(all);
    return CLI_OK;
}

static const struct cli_flag flags[] = {
    {"--markdown", 0, NULL, "print a page of Markdown", false},
    {"--json", 0, NULL, "print one JSON document", false},
    {0},
};

const struct cli_command cmd_reference = {
    .name = "reference",
    .args = "[MODULE]",
    .help = "what functions can call: s3, kv, http, ...",
    .more = "The same definitions, for editors, are what 'perilune init' puts into a project.",
    .flags = flags,
    .kind = CLI_LOCAL,
    .run = run_reference,
};

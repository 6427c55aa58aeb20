/* cmd_kv: the functions' key-value store, seen from outside.
 *
 * A value goes to stdout as its bytes are (a newline is added on a terminal only), and comes from
 * the command line, a file or standard input. */
#include <unistd.h>

#include "base/codec.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/stdin.h"

enum { VALUE_MAX = 256 * 1024, PAGE = 1000 };

/* "/perilune/v1/kv[/NS[/KEY]]" */
static void put_path(struct buf *out, const char *ns, const char *key)
{
    buf_lit(out, "/perilune/v1/kv");
    const char *const parts[] = {ns, key};
    for (size_t i = 0; i < 2 && parts[i]; i++) {
        buf_addc(out, '/');
        uri_encode(out, str_c(parts[i]), false);
    }
}

static void set_bytes(json_t *o, struct str v)
{
    struct buf b = BUF_INIT;
    json_t *text = json_stringn(v.n ? v.p : "", v.n);
    if (text) {
        json_object_set_new(o, "value", text);
        return;
    }
    base64_encode(&b, v);
    json_object_set_new(o, "value_base64", json_text(buf_str(&b)));
    buf_deinit(&b);
}

/* --- get ---------------------------------------------------------------------------------------
 */

static int print_value(struct cli *cli, const struct client_res *res)
{
    struct str value = buf_str(&res->body), etag = client_header(res, "etag");
    struct str expires = client_header(res, "x-perilune-expires");
    if (!cli_has(cli, "--json")) {
        out_text(value);
        if (isatty(1))
            putchar('\n');
        return CLI_OK;
    }
    uint64_t version = 0;
    if (etag.n > 2)
        str_u64(str_of(etag.p + 1, etag.n - 2), &version);
    json_t *doc = json_pack("{s:s, s:s, s:I}", "namespace", cli_arg(cli, 0), "key", cli_arg(cli, 1),
                            "version", (json_int_t)version);
    json_object_set_new(doc, "expires", expires.p ? json_text(expires) : json_null());
    set_bytes(doc, value);
    return out_json(doc);
}

static int run_get(struct cli *cli)
{
    struct client c;
    struct client_res res;
    struct buf path = BUF_INIT;
    int rc = client_init(&c, cli);
    put_path(&path, cli_arg(cli, 0), cli_arg(cli, 1));
    struct client_req req = {.service = "perilune", .method = "GET", .path = buf_str(&path)};
    if (rc == CLI_OK)
        rc = client_send(&c, &req, &res);
    buf_deinit(&path);
    if (rc)
        return rc;
    rc = client_check(&c, &res, cli_arg(cli, 1));
    if (rc == CLI_OK)
        rc = print_value(cli, &res);
    client_res_free(&res);
    return rc;
}

/* --- set ---------------------------------------------------------------------------------------
 */

static int make_query(struct cli *cli, struct buf *q)
{
    const char *ttl = cli_value(cli, "--ttl"), *version = cli_value(cli, "--if-version");
    int64_t ms;
    uint64_t number;
    if (ttl && (!cli_duration(ttl, &ms) || ms < 1000))
        return cli_fail(CLI_USAGE, "--ttl '%s' should be like 90s, 10m, 2h or 7d", ttl);
    if (version && !str_u64(str_c(version), &number))
        return cli_fail(CLI_USAGE, "--if-version '%s' should be a version's number", version);
    if (ttl)
        buf_printf(q, "&ttl=%lld", (long long)(ms / 1000));
    if (version)
        buf_printf(q, "&if_version=%s", version);
    if (cli_has(cli, "--if-absent"))
        buf_lit(q, "&if_absent=1");
    if (q->n)
        buf_drop(q, 1);
    return CLI_OK;
}

static int read_value(struct cli *cli, struct buf *out)
{
    const char *value = cli_arg(cli, 2), *file = cli_value(cli, "--file");
    buf_init(out, VALUE_MAX);
    if (value && file)
        return cli_fail(CLI_USAGE, "give the value once: as an argument or with --file");
    if (!value)
        return stdin_file(file ? file : "-", out);
    buf_add(out, str_c(value));
    return out->rc ? cli_fail(CLI_FAILED, "a value has at most %d bytes", VALUE_MAX) : CLI_OK;
}

static int run_set(struct cli *cli)
{
    struct client c;
    struct client_res res;
    struct buf path = BUF_INIT, query = BUF_INIT, value;
    int rc = client_init(&c, cli);
    if (rc)
        return rc;
    rc = read_value(cli, &value);
    if (rc == CLI_OK)
        rc = make_query(cli, &query);
    put_path(&path, cli_arg(cli, 0), cli_arg(cli, 1));
    struct client_req req = {.service = "perilune",
                             .method = "PUT",
                             .path = buf_str(&path),
                             .query = buf_str(&query),
                             .body = buf_str(&value)};
    if (rc == CLI_OK && (rc = client_send(&c, &req, &res)) == CLI_OK) {
        rc = client_check(&c, &res, cli_arg(cli, 1));
        if (rc == CLI_FAILED && res.status == 412)
            rc = CLI_CONFLICT; /* the key is not as the condition wants it */
        json_t *answer = rc == CLI_OK ? json_parse(buf_str(&res.body), NULL) : NULL;
        if (rc == CLI_OK && cli_has(cli, "--json"))
            out_json(json_pack("{s:s, s:s, s:I}", "namespace", cli_arg(cli, 0), "key",
                               cli_arg(cli, 1), "version", (json_int_t)out_int(answer, "version")));
        json_decref(answer);
        client_res_free(&res);
    }
    buf_deinit(&path);
    buf_deinit(&query);
    buf_deinit(&value);
    return rc;
}

/* --- list --------------------------------------------------------------------------------------
 */

/* Gathers `member` of every page of path?query. */
static int pages(struct client *c, const char *path, const char *query, const char *member,
                 json_t *all)
{
    struct buf whole = BUF_INIT;
    json_t *page = NULL;
    int rc = CLI_OK;
    for (bool more = true; rc == CLI_OK && more;) {
        const char *cursor = page ? out_str(page, "cursor") : "";
        buf_clear(&whole);
        buf_printf(&whole, "%s?%s%s%s%c", path, query, *cursor ? "&cursor=" : "", cursor, 0);
        json_decref(page);
        page = NULL;
        rc = client_json(c, "perilune", "GET", whole.p, NULL, "list", &page);
        json_array_extend(all, json_object_get(page, member));
        more = *out_str(page, "cursor") != 0;
    }
    json_decref(page);
    buf_deinit(&whole);
    return rc;
}

/* "key" or, when it is no text, "key_base64" marked as such. */
static const char *bytes_of(const json_t *item, const char *name, char *space, size_t size)
{
    char other[32];
    const char *text = json_string_value(json_object_get(item, name));
    snprintf(other, sizeof other, "%s_base64", name);
    if (!text)
        snprintf(space, size, "base64:%s", out_str(item, other));
    return text ? text : space;
}

static void print_items(const json_t *items, bool values)
{
    static const char *const head[] = {"KEY", "VERSION", "SIZE", "EXPIRES", "VALUE"};
    size_t columns = values ? 5 : 4, i;
    struct out_table *t = out_table_new(columns);
    json_t *item;
    out_row(t, head);
    json_array_foreach(items, i, item)
    {
        char version[32], size[32], key[1024], value[1024];
        snprintf(version, sizeof version, "%lld", out_int(item, "version"));
        snprintf(size, sizeof size, "%lld", out_int(item, "size"));
        const char *cells[] = {bytes_of(item, "key", key, sizeof key), version, size,
                               out_str(item, "expires"),
                               bytes_of(item, "value", value, sizeof value)};
        out_row(t, cells);
    }
    out_table_end(t);
}

static int list_namespaces(struct cli *cli, struct client *c)
{
    json_t *names = json_array(), *name;
    size_t i;
    int rc = pages(c, "/perilune/v1/kv", "", "namespaces", names);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        return out_json(json_pack("{s:o}", "namespaces", names));
    json_array_foreach(names, i, name)
    {
        out_text(json_bytes(name));
        putchar('\n');
    }
    json_decref(names);
    return rc;
}

static int run_list(struct cli *cli)
{
    struct client c;
    struct buf path = BUF_INIT, query = BUF_INIT;
    const char *ns = cli_arg(cli, 0), *prefix = cli_value(cli, "--prefix");
    bool values = cli_has(cli, "--values");
    int rc = client_init(&c, cli);
    if (rc)
        return rc;
    if (!ns)
        return list_namespaces(cli, &c);
    json_t *items = json_array();
    put_path(&path, ns, NULL);
    buf_addc(&path, 0);
    buf_printf(&query, "limit=%d&values=%d", PAGE, values);
    if (prefix) {
        buf_lit(&query, "&prefix=");
        uri_encode(&query, str_c(prefix), false);
    }
    buf_addc(&query, 0);
    rc = pages(&c, path.p, query.p, "items", items);
    buf_deinit(&path);
    buf_deinit(&query);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        return out_json(json_pack("{s:s, s:o}", "namespace", ns, "items", items));
    if (rc == CLI_OK)
        print_items(items, values);
    json_decref(items);
    return rc;
}

/* --- rm ----------------------------------------------------------------------------------------
 */

static int run_rm(struct cli *cli)
{
    struct client c;
    struct buf path = BUF_INIT;
    json_t *answer = NULL;
    int rc = client_init(&c, cli);
    put_path(&path, cli_arg(cli, 0), cli_arg(cli, 1));
    buf_addc(&path, 0);
    if (rc == CLI_OK)
        rc = client_json(&c, "perilune", "DELETE", path.p, NULL, cli_arg(cli, 1), &answer);
    buf_deinit(&path);
    bool existed = json_is_true(json_object_get(answer, "existed"));
    json_decref(answer);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        out_json(json_pack("{s:s, s:s, s:b}", "namespace", cli_arg(cli, 0), "key", cli_arg(cli, 1),
                           "existed", existed));
    if (rc == CLI_OK && !existed)
        rc = cli_fail(CLI_NOT_FOUND, "there is no key '%s' in namespace '%s'", cli_arg(cli, 1),
                      cli_arg(cli, 0));
    return rc;
}

static const struct cli_flag set_flags[] = {
    {"--file", 0, "FILE", "the value from a file, '-' for standard input", false},
    {"--ttl", 0, "10m", "it goes after that long", false},
    {"--if-absent", 0, NULL, "only when there is no such key yet (exit code 5)", false},
    {"--if-version", 0, "N", "only when the key has that version (exit code 5)", false},
    {0},
};

static const struct cli_flag list_flags[] = {
    {"--prefix", 0, "TEXT", "only keys that begin with it", false},
    {"--values", 0, NULL, "the values too", false},
    {0},
};

const struct cli_command cmd_kv_get = {
    .name = "kv get",
    .args = "NAMESPACE KEY",
    .help = "a value of the functions' key-value store",
    .kind = CLI_CLIENT,
    .run = run_get,
};

const struct cli_command cmd_kv_set = {
    .name = "kv set",
    .args = "NAMESPACE KEY [VALUE]",
    .help = "set a value; from standard input when it is not given",
    .flags = set_flags,
    .kind = CLI_CLIENT,
    .run = run_set,
};

const struct cli_command cmd_kv_list = {
    .name = "kv list",
    .args = "[NAMESPACE]",
    .help = "the keys of a namespace, or the namespaces",
    .flags = list_flags,
    .kind = CLI_CLIENT,
    .run = run_list,
};

const struct cli_command cmd_kv_rm = {
    .name = "kv rm",
    .args = "NAMESPACE KEY",
    .help = "remove a key",
    .kind = CLI_CLIENT,
    .run = run_rm,
};

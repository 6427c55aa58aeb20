/* cmd_bucket: buckets and objects, for the few things one does by hand; `perilune aws s3` has the
 * rest. Bodies are streamed both ways; a download appears under its name only when it is whole. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "cli/bucket_xml.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

struct place { /* an argument: "s3://B/KEY", "B/KEY" or a path */
    struct str bucket, key;
};

/* False when the text is no s3:// address. */
static bool parse_place(const char *text, struct place *out)
{
    struct str s = str_c(text);
    if (!str_starts(s, STR("s3://")))
        return false;
    s = str_from(s, 5);
    out->bucket = str_cut(&s, '/');
    out->key = s.p ? s : STR("");
    return true;
}

static void object_path(struct buf *out, const struct place *p)
{
    buf_addc(out, '/');
    uri_encode(out, p->bucket, false);
    if (p->key.n) {
        buf_addc(out, '/');
        uri_encode(out, p->key, true);
    }
}

/* A request without a body; the answer is the caller's when 0. */
static int simple(struct client *c, const char *method, const struct place *p, struct str query,
                  struct client_res *res)
{
    struct buf path = BUF_INIT;
    object_path(&path, p);
    struct client_req req = {
        .service = "s3", .method = method, .path = buf_str(&path), .query = query};
    int rc = client_send(c, &req, res);
    buf_deinit(&path);
    return rc;
}

/* The same for commands that only want to know whether it worked. */
static int done(struct cli *cli, const char *method, const struct place *p, const char *verb)
{
    struct client c;
    struct client_res res;
    int rc = client_init(&c, cli);
    if (rc == CLI_OK)
        rc = simple(&c, method, p, STR(""), &res);
    if (rc)
        return rc;
    rc = client_check(&c, &res, cli_arg(cli, 0));
    client_res_free(&res);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        return out_json(json_pack("{s:s, s:s#, s:s#}", "result", verb, "bucket", p->bucket.p,
                                  (int)p->bucket.n, "key", p->key.p, (int)p->key.n));
    if (rc == CLI_OK)
        printf("%s %s\n", verb, cli_arg(cli, 0));
    return rc;
}

static int run_mb(struct cli *cli)
{
    struct place p;
    if (!parse_place(cli_arg(cli, 0), &p))
        p = (struct place){str_c(cli_arg(cli, 0)), STR("")};
    if (p.key.n || p.bucket.n == 0 || str_index(p.bucket, '/', 0) >= 0)
        return cli_fail(CLI_USAGE, "'%s' is no bucket's name", cli_arg(cli, 0));
    return done(cli, "PUT", &p, "made");
}

static int run_rm(struct cli *cli)
{
    struct place p;
    if (!parse_place(cli_arg(cli, 0), &p) || p.bucket.n == 0 || p.key.n == 0)
        return cli_fail(CLI_USAGE, "name one object, like s3://BUCKET/KEY (a bucket: perilune aws "
                                   "s3 rb)");
    return done(cli, "DELETE", &p, "removed");
}

/* --- ls ----------------------------------------------------------------------------------------
 */

static void print_listing(const json_t *doc)
{
    struct out_table *t = out_table_new(3);
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(doc, "buckets"), i, row)
        out_row(t, (const char *[]){out_str(row, "created"), "", out_str(row, "name")});
    json_array_foreach(json_object_get(doc, "prefixes"), i, row)
        out_row(t, (const char *[]){"", "PREFIX", json_string_value(row)});
    json_array_foreach(json_object_get(doc, "objects"), i, row)
        out_row(t, (const char *[]){out_str(row, "modified"),
                                    out_size((uint64_t)out_int(row, "size")), out_str(row, "key")});
    out_table_end(t);
}

/* One page of a listing into doc; *token is replaced by the next page's, or freed and NULL. */
static int list_page(struct client *c, const struct place *p, bool all, char **token, json_t *doc)
{
    struct buf query = BUF_INIT;
    struct client_res res;
    struct place bucket = {p->bucket, STR("")};
    if (p->bucket.n) {
        /* in order of name, as the signature has it */
        if (*token) {
            buf_lit(&query, "continuation-token=");
            uri_encode(&query, str_c(*token), false);
            buf_addc(&query, '&');
        }
        if (!all)
            buf_lit(&query, "delimiter=%2F&");
        buf_lit(&query, "encoding-type=url&list-type=2&prefix=");
        uri_encode(&query, p->key, false);
    }
    free(*token);
    *token = NULL;
    int rc = simple(c, "GET", &bucket, buf_str(&query), &res);
    buf_deinit(&query);
    if (rc)
        return rc;
    rc = client_check(c, &res, "bucket ls");
    if (rc == CLI_OK && !bucket_xml_read(buf_str(&res.body), doc, token))
        rc = cli_fail(CLI_FAILED, "bucket ls: the server's answer is not the XML of a listing");
    client_res_free(&res);
    return rc;
}

static int run_ls(struct cli *cli)
{
    struct client c;
    struct place p = {STR(""), STR("")};
    const char *where = cli_arg(cli, 0);
    json_t *doc = json_object();
    char *token = NULL;
    if (where && !parse_place(where, &p)) {
        p.key = str_c(where);
        p.bucket = str_cut(&p.key, '/');
        p.key = p.key.p ? p.key : STR("");
    }
    int rc = client_init(&c, cli);
    if (p.bucket.n) {
        json_object_set_new(doc, "objects", json_array());
        json_object_set_new(doc, "prefixes", json_array());
    } else {
        json_object_set_new(doc, "buckets", json_array());
    }
    do {
        if (rc == CLI_OK)
            rc = list_page(&c, &p, cli_has(cli, "--recursive"), &token, doc);
    } while (rc == CLI_OK && token);
    free(token);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        return out_json(doc);
    if (rc == CLI_OK)
        print_listing(doc);
    json_decref(doc);
    return rc;
}

/* --- cp ----------------------------------------------------------------------------------------
 */

static struct str content_type(struct str name)
{
    static const char *const types[][2] = {
        {".png", "image/png"},       {".jpg", "image/jpeg"},        {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},       {".webp", "image/webp"},       {".svg", "image/svg+xml"},
        {".txt", "text/plain"},      {".html", "text/html"},        {".css", "text/css"},
        {".csv", "text/csv"},        {".json", "application/json"}, {".pdf", "application/pdf"},
        {".js", "text/javascript"},  {".xml", "application/xml"},   {".zip", "application/zip"},
        {".gz", "application/gzip"}, {".mp4", "video/mp4"},         {".mp3", "audio/mpeg"},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct str end = str_c(types[i][0]);
        if (name.n > end.n && str_ieq(str_from(name, name.n - end.n), end))
            return str_c(types[i][1]);
    }
    return STR("application/octet-stream");
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int upload_fd(struct client *c, int fd, uint64_t size, const struct place *to,
                     struct str type)
{
    struct buf path = BUF_INIT;
    struct sigv4_header header = {STR("content-type"), type};
    struct client_res res;
    object_path(&path, to);
    struct client_req req = {
        .service = "s3",
        .method = "PUT",
        .path = buf_str(&path),
        .headers = &header,
        .header_count = 1,
        .body_fd = size ? fd : 0,
        .body_size = size,
    };
    int rc = client_send(c, &req, &res);
    buf_deinit(&path);
    if (rc)
        return rc;
    rc = client_check(c, &res, "bucket cp");
    client_res_free(&res);
    return rc;
}

static int upload(struct client *c, const char *from, const struct place *to, uint64_t *size)
{
    struct stat st;
    struct place whole = *to;
    char key[1100];
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cli_fail(errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s: %s", from,
                        strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return cli_fail(CLI_USAGE, "%s is not a file", from);
    }
    if (to->key.n == 0 || str_ends(to->key, STR("/"))) { /* into a folder: keep the name */
        snprintf(key, sizeof key, "%.*s%s", STR_FMT(to->key), base_name(from));
        whole.key = str_c(key);
    }
    *size = (uint64_t)st.st_size;
    int rc = upload_fd(c, fd, *size, &whole, content_type(whole.key));
    close(fd);
    return rc;
}

struct download {
    int fd;
    uint64_t size;
    int error; /* errno of a failed write */
};

static bool download_sink(void *ctx, struct str bytes)
{
    struct download *d = ctx;
    while (bytes.n) {
        ssize_t n = write(d->fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            d->error = errno;
            return false;
        }
        d->size += (uint64_t)n;
        bytes = str_from(bytes, (size_t)n);
    }
    return true;
}

static int download_fd(struct client *c, const struct place *from, struct download *d)
{
    struct buf path = BUF_INIT;
    struct client_res res;
    object_path(&path, from);
    struct client_req req = {
        .service = "s3",
        .method = "GET",
        .path = buf_str(&path),
        .sink = download_sink,
        .sink_ctx = d,
    };
    int rc = client_send(c, &req, &res);
    buf_deinit(&path);
    if (rc)
        return rc;
    rc = client_check(c, &res, "bucket cp");
    if (rc == CLI_OK && d->error)
        rc = cli_fail(CLI_FAILED, "bucket cp: %s", strerror(d->error));
    client_res_free(&res);
    return rc;
}

static int download(struct client *c, const struct place *from, const char *to, uint64_t *size)
{
    char name[4096], part[4200];
    struct stat st;
    const char *last = from->key.p;
    for (size_t i = 0; i < from->key.n; i++)
        if (from->key.p[i] == '/')
            last = from->key.p + i + 1;
    int n = (int)(from->key.p + from->key.n - last);
    bool folder = (stat(to, &st) == 0 && S_ISDIR(st.st_mode)) || str_ends(str_c(to), STR("/"));
    if (folder && n == 0)
        return cli_fail(CLI_USAGE, "the key ends in '/': say under what name to save it");
    snprintf(name, sizeof name, folder ? "%s/%.*s" : "%s", to, n, last);
    snprintf(part, sizeof part, "%s.part-%ld", name, (long)getpid());
    struct download d = {.fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)};
    if (d.fd < 0)
        return cli_fail(CLI_FAILED, "%s: %s", part, strerror(errno));
    int rc = download_fd(c, from, &d);
    if (close(d.fd) != 0 && rc == CLI_OK)
        rc = cli_fail(CLI_FAILED, "%s: %s", name, strerror(errno));
    if (rc == CLI_OK && rename(part, name) != 0)
        rc = cli_fail(CLI_FAILED, "%s: %s", name, strerror(errno));
    if (rc)
        unlink(part);
    *size = d.size;
    return rc;
}

/* From bucket to bucket by way of a nameless file here. */
static int relay(struct client *c, const struct place *from, struct place *to, uint64_t *size)
{
    const char *tmp = getenv("TMPDIR");
    struct download d = {
        .fd = open(tmp && *tmp ? tmp : "/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600)};
    if (d.fd < 0)
        return cli_fail(CLI_FAILED, "a temporary file: %s", strerror(errno));
    int rc = download_fd(c, from, &d);
    if (to->key.n == 0)
        to->key = from->key;
    if (rc == CLI_OK && lseek(d.fd, 0, SEEK_SET) == 0)
        rc = upload_fd(c, d.fd, d.size, to, content_type(to->key));
    close(d.fd);
    *size = d.size;
    return rc;
}

static int run_cp(struct cli *cli)
{
    struct client c;
    struct place from, to;
    const char *a = cli_arg(cli, 0), *b = cli_arg(cli, 1);
    bool from_s3 = parse_place(a, &from), to_s3 = parse_place(b, &to);
    uint64_t size = 0;
    if (!from_s3 && !to_s3)
        return cli_fail(CLI_USAGE, "one of the two should be like s3://BUCKET/KEY");
    if ((from_s3 && (from.bucket.n == 0 || from.key.n == 0)) || (to_s3 && to.bucket.n == 0))
        return cli_fail(CLI_USAGE, "'%s' names no object: s3://BUCKET/KEY",
                        to_s3 && to.bucket.n == 0 ? b : a);
    int rc = client_init(&c, cli);
    if (rc)
        return rc;
    struct download out = {.fd = 1};
    if (from_s3 && to_s3)
        rc = relay(&c, &from, &to, &size);
    else if (to_s3)
        rc = upload(&c, a, &to, &size);
    else if (strcmp(b, "-") == 0)
        return download_fd(&c, &from, &out);
    else
        rc = download(&c, &from, b, &size);
    if (rc)
        return rc;
    if (cli_has(cli, "--json"))
        return out_json(json_pack("{s:s, s:s, s:I}", "from", a, "to", b, "size", (json_int_t)size));
    printf("%s -> %s (%s)\n", a, b, out_size(size));
    return CLI_OK;
}

static const struct cli_flag ls_flags[] = {
    {"--recursive", 'r', NULL, "all keys, not only to the next '/'", false},
    {0},
};

const struct cli_command cmd_bucket_ls = {
    .name = "bucket ls",
    .args = "[BUCKET[/PREFIX]]",
    .help = "the buckets, or a bucket's objects",
    .flags = ls_flags,
    .kind = CLI_CLIENT,
    .run = run_ls,
};

const struct cli_command cmd_bucket_cp = {
    .name = "bucket cp",
    .args = "FROM TO",
    .help = "copy a file to s3://BUCKET/KEY or back ('-' is standard output)",
    .kind = CLI_CLIENT,
    .run = run_cp,
};

const struct cli_command cmd_bucket_mb = {
    .name = "bucket mb",
    .args = "BUCKET",
    .help = "make a bucket",
    .kind = CLI_CLIENT,
    .run = run_mb,
};

const struct cli_command cmd_bucket_rm = {
    .name = "bucket rm",
    .args = "s3://BUCKET/KEY",
    .help = "remove an object",
    .kind = CLI_CLIENT,
    .run = run_rm,
};

/* bucket_xml: expat calls back; a stack of two names tells which text is what. */
#include "cli/bucket_xml.h"

#include <expat.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/json.h"

struct reader {
    XML_Parser parser;
    json_t *doc, *row; /* row: the bucket or object being read */
    char **token;
    struct buf text;
    bool url, bad;
    char parent[64], name[64];
};

static void on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    struct reader *r = ctx;
    (void)attributes;
    memcpy(r->parent, r->name, sizeof r->parent);
    snprintf(r->name, sizeof r->name, "%s", name);
    buf_clear(&r->text);
    if (!strcmp(name, "Bucket") || !strcmp(name, "Contents")) {
        json_decref(r->row);
        r->row = json_object();
    }
}

static void on_text(void *ctx, const XML_Char *s, int n)
{
    struct reader *r = ctx;
    buf_add(&r->text, str_of(s, (size_t)n));
}

/* A key or prefix: percent-decoded when the listing is. */
static json_t *name_of(struct reader *r)
{
    struct buf plain = BUF_INIT;
    if (!r->url)
        return json_text(buf_str(&r->text));
    r->bad |= !uri_decode(&plain, buf_str(&r->text), true);
    json_t *v = json_text(buf_str(&plain));
    buf_deinit(&plain);
    return v;
}

static void end_member(struct reader *r, const char *name)
{
    struct str text = buf_str(&r->text);
    uint64_t n = 0;
    if (!strcmp(name, "Name"))
        json_object_set_new(r->row, "name", json_text(text));
    else if (!strcmp(name, "CreationDate"))
        json_object_set_new(r->row, "created", json_text(text));
    else if (!strcmp(name, "Key"))
        json_object_set_new(r->row, "key", name_of(r));
    else if (!strcmp(name, "Size"))
        json_object_set_new(r->row, "size", json_integer(str_u64(text, &n) ? (json_int_t)n : 0));
    else if (!strcmp(name, "LastModified"))
        json_object_set_new(r->row, "modified", json_text(text));
    else if (!strcmp(name, "ETag"))
        json_object_set_new(r->row, "etag", json_text(text));
}

static void on_end(void *ctx, const XML_Char *name)
{
    struct reader *r = ctx;
    if (r->row && (!strcmp(name, "Bucket") || !strcmp(name, "Contents"))) {
        json_array_append_new(json_object_get(r->doc, *name == 'B' ? "buckets" : "objects"),
                              r->row);
        r->row = NULL;
    } else if (r->row) {
        end_member(r, name);
    } else if (!strcmp(name, "Prefix") && !strcmp(r->parent, "CommonPrefixes")) {
        json_array_append_new(json_object_get(r->doc, "prefixes"), name_of(r));
    } else if (!strcmp(name, "NextContinuationToken") && r->text.n) {
        free(*r->token);
        *r->token = strndup(r->text.p, r->text.n);
    }
    buf_clear(&r->text);
}

static void on_doctype(void *ctx, const XML_Char *name, const XML_Char *system,
                       const XML_Char *public, int internal)
{
    struct reader *r = ctx;
    (void)name, (void)system, (void)public, (void)internal;
    XML_StopParser(r->parser, XML_FALSE);
}

bool bucket_xml_read(struct str xml, json_t *doc, char **token)
{
    struct reader r = {.doc = doc, .token = token, .parser = XML_ParserCreate("UTF-8")};
    if (!r.parser)
        return false;
    /* said before the keys or after them: look first */
    r.url = str_find(xml, STR("<EncodingType>url</EncodingType>")) >= 0;
    buf_init(&r.text, 64 * 1024);
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    bool ok = xml.n <= INT32_MAX &&
              XML_Parse(r.parser, xml.p ? xml.p : "", (int)xml.n, 1) == XML_STATUS_OK;
    XML_ParserFree(r.parser);
    json_decref(r.row);
    buf_deinit(&r.text);
    return ok && !r.bad;
}

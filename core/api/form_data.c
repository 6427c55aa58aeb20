/* form_data: a search for one delimiter, and a small state machine between its finds.
 *
 *   PREAMBLE -> (delimiter) -> TURN: "--" ends the form, CRLF begins a part
 *            -> HEAD: up to a blank line -> FIELD or FILE: up to the next delimiter -> TURN …
 *
 * The reader behaves as if the body began with CRLF, so that the first boundary is found like the
 * others. Of a file, all but what could be the beginning of a delimiter is handed on at once. */
#include "api/form_data.h"

enum state { PREAMBLE, TURN, HEAD, FIELD, FILE_DATA, AFTER, END };

enum { PREAMBLE_MAX = 4096 };

/* The value of name=value or name="value" in a header's parameters; p NULL: none. */
static struct str parameter(struct str rest, const char *name)
{
    struct str value = {NULL, 0};
    str_cut(&rest, ';');
    while (rest.p && !value.p) {
        struct str one = str_trim(rest), key = str_cut(&one, '=');
        if (!one.p)
            return value;
        one = str_trim(one);
        bool quoted = one.n && one.p[0] == '"';
        ptrdiff_t end = quoted ? str_index(one, '"', 1) : str_index(one, ';', 0);
        while (quoted && end > 0 && one.p[end - 1] == '\\')
            end = str_index(one, '"', (size_t)end + 1);
        if (quoted && end < 0)
            return value;
        struct str got = quoted    ? str_of(one.p + 1, (size_t)end - 1)
                         : end < 0 ? one
                                   : str_of(one.p, (size_t)end);
        if (str_ieq(str_trim(key), str_c(name)))
            value = quoted ? got : str_trim(got);
        rest = end < 0 ? str_of(NULL, 0) : str_from(one, (size_t)end);
        str_cut(&rest, ';');
    }
    return value;
}

struct str form_data_boundary(struct str content_type)
{
    static const char type[] = "multipart/form-data";
    struct str none = {NULL, 0}, got;
    if (content_type.n < sizeof type - 1 ||
        !str_ieq(str_of(content_type.p, sizeof type - 1), STR(type)))
        return none;
    got = parameter(content_type, "boundary");
    return got.n == 0 || got.n > FORM_BOUNDARY_MAX ? none : got;
}

void form_data_init(struct form_data *f, struct str boundary, const struct form_data_sink *sink,
                    void *ctx)
{
    *f = (struct form_data){.sink = sink, .ctx = ctx, .state = PREAMBLE};
    f->delimiter_n = 4 + boundary.n;
    memcpy(f->delimiter, "\r\n--", 4);
    memcpy(f->delimiter + 4, boundary.p, boundary.n);
    buf_lit(&f->in, "\r\n");
}

void form_data_deinit(struct form_data *f)
{
    buf_deinit(&f->in);
    buf_deinit(&f->name);
}

/* --- the steps: each answers 1 when it moved, 0 when it needs more, or an error -----------------
 */

static int find(const struct form_data *f, size_t *at)
{
    ptrdiff_t i = str_find(buf_str(&f->in), str_of(f->delimiter, f->delimiter_n));
    *at = i < 0 ? 0 : (size_t)i;
    return i >= 0;
}

static int skip_preamble(struct form_data *f)
{
    size_t at;
    if (!find(f, &at))
        return f->in.n > PREAMBLE_MAX ? E_BAD_FORM : 0;
    buf_drop(&f->in, at + f->delimiter_n);
    f->state = TURN;
    return 1;
}

static int turn(struct form_data *f)
{
    if (f->in.n < 2)
        return 0;
    bool last = f->in.p[0] == '-' && f->in.p[1] == '-';
    if (!last && (f->in.p[0] != '\r' || f->in.p[1] != '\n'))
        return E_BAD_FORM;
    /* the CRLF stays: a head without lines is then CRLF CRLF like the others' ends */
    f->state = last ? END : HEAD;
    return 1;
}

static int begin_part(struct form_data *f, struct str head)
{
    struct str disposition = {NULL, 0}, type = {NULL, 0}, name, filename;
    while (head.p) {
        struct str line = str_trim(str_cut(&head, '\n')), value;
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        value = line;
        struct str key = str_trim(str_cut(&value, ':'));
        if (value.p && str_ieq(key, STR("content-disposition")))
            disposition = str_trim(value);
        else if (value.p && str_ieq(key, STR("content-type")))
            type = str_trim(value);
    }
    name = parameter(disposition, "name");
    filename = parameter(disposition, "filename");
    if (name.n == 0 || !str_ieq(str_of(disposition.p, disposition.n < 9 ? 0 : 9), STR("form-data")))
        return E_BAD_FORM;
    if (str_ieq(name, STR("file"))) {
        f->state = FILE_DATA;
        return f->sink->file(f->ctx, filename.p ? filename : STR(""), type.p ? type : STR(""));
    }
    buf_clear(&f->name);
    buf_add(&f->name, name);
    f->state = FIELD;
    return f->name.rc;
}

static int read_head(struct form_data *f)
{
    ptrdiff_t end = str_find(buf_str(&f->in), STR("\r\n\r\n"));
    if (end < 0)
        return f->in.n > FORM_HEAD_MAX ? E_BAD_FORM : 0;
    int rc = begin_part(f, str_of(f->in.p, (size_t)end));
    /* one CRLF stays here too, for a value that is empty */
    buf_drop(&f->in, (size_t)end + 2);
    return rc ? rc : 1;
}

static int read_field(struct form_data *f)
{
    size_t at;
    bool found = find(f, &at);
    if (f->fields + (found ? at : f->in.n) > FORM_FIELDS_MAX)
        return E_LIMIT;
    if (!found)
        return 0;
    f->fields += at;
    struct str value = at < 2 ? STR("") : str_of(f->in.p + 2, at - 2);
    int rc = f->sink->field(f->ctx, buf_str(&f->name), value);
    buf_drop(&f->in, at + f->delimiter_n);
    f->state = TURN;
    return rc ? rc : 1;
}

static int read_file(struct form_data *f)
{
    size_t at;
    bool found = find(f, &at);
    if (!found && f->in.n < f->delimiter_n + 2)
        return 0;
    size_t n = found ? at : f->in.n - f->delimiter_n;
    size_t skip = f->begun ? 0 : 2; /* the CRLF that the head left */
    f->begun = true;
    int rc = n > skip ? f->sink->data(f->ctx, str_of(f->in.p + skip, n - skip)) : 0;
    buf_drop(&f->in, found ? at + f->delimiter_n : n);
    if (found)
        f->state = AFTER;
    return rc ? rc : found ? 1 : 0;
}

int form_data_feed(struct form_data *f, struct str bytes)
{
    int rc = 1;
    if (f->state == AFTER || f->state == END)
        return 0;
    buf_add(&f->in, bytes);
    if (f->in.rc)
        return E_LIMIT;
    while (rc > 0) {
        switch ((enum state)f->state) {
        case PREAMBLE:
            rc = skip_preamble(f);
            break;
        case TURN:
            rc = turn(f);
            break;
        case HEAD:
            rc = read_head(f);
            break;
        case FIELD:
            rc = read_field(f);
            break;
        case FILE_DATA:
            rc = read_file(f);
            break;
        case AFTER:
        case END:
            rc = 0;
            break;
        }
    }
    return rc;
}

int form_data_end(struct form_data *f)
{
    return f->state == AFTER ? 0 : f->state == END ? E_NO_FILE : E_BAD_FORM;
}

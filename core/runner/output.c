/* output: cuts, mends and sends. A frame's bytes are copied into the ring by the channel, so a text
 * that is UTF-8 already is sent from where it lies. */
#include "runner/output.h"

#include "base/json.h"
#include "runner/text.h"
#include "svc/logs.h"

enum { LINE_MAX_BYTES = FRAME_BODY_MAX - 1, PART_MAX = 8 * 1024, MASK_MIN = 4, MASK_LINE_MIN = 8 };

void output_begin(struct runner *r)
{
    struct output *o = &r->output;
    o->sent = o->cut = 0;
    buf_clear(&o->part[0]);
    buf_clear(&o->part[1]);
}

static void emit(struct runner *r, int level, struct str text)
{
    char head = (char)level;
    do {
        struct str part = text_cut(text, LINE_MAX_BYTES);
        channel_runner_send(r->ch, FRAME_LOG, 0, r->invocation, str_of(&head, 1), part);
        text = str_from(text, part.n);
    } while (text.n);
}

void output_notice(struct runner *r, int level, struct str text)
{
    struct buf *line = &r->output.line;
    if (text_valid(text)) {
        emit(r, level, text);
        return;
    }
    buf_clear(line);
    text_mend(line, text);
    emit(r, level, buf_str(line));
    if (line->cap > FRAME_MAX)
        buf_deinit(line);
}

/* --- masks --- */

static void add_mask(struct output *o, struct str text)
{
    if (text.n < MASK_MIN || o->mask_count == MASKS_MAX)
        return;
    for (uint32_t i = 0; i < o->mask_count; i++)
        if (str_eq(o->masks[i], text))
            return;
    char *copy = malloc(text.n);
    if (!copy)
        return;
    memcpy(copy, text.p, text.n);
    o->masks[o->mask_count++] = str_of(copy, text.n);
}

void output_mask(struct runner *r, struct str text)
{
    struct output *o = &r->output;
    struct buf quoted = BUF_INIT;
    add_mask(o, text);
    json_quote(&quoted, text);
    if (quoted.n > 2)
        add_mask(o, str_of(quoted.p + 1, quoted.n - 2));
    buf_deinit(&quoted);
    while (text.n) {
        struct str line = str_cut(&text, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n >= MASK_LINE_MIN)
            add_mask(o, line);
    }
}

static void replace(struct buf *out, struct str text, struct str mask)
{
    ptrdiff_t at;
    buf_clear(out);
    while ((at = str_find(text, mask)) >= 0) {
        buf_add(out, str_of(text.p, (size_t)at));
        buf_lit(out, "****");
        text = str_from(text, (size_t)at + mask.n);
    }
    buf_add(out, text);
}

/* The text without what must not be seen: itself, or in one of the buffers. */
static struct str masked(struct output *o, struct str text)
{
    int side = 0;
    for (uint32_t i = 0; i < o->mask_count; i++) {
        if (str_find(text, o->masks[i]) < 0)
            continue;
        replace(&o->masked[side], text, o->masks[i]);
        text = buf_str(&o->masked[side]);
        side = !side;
    }
    return text;
}

void output_line(struct runner *r, int level, struct str text)
{
    struct output *o = &r->output;
    text = masked(o, text);
    uint64_t room = o->sent < LOG_LINES_MAX ? LOG_LINES_MAX - o->sent : 0;
    if (o->cut || text.n > room) {
        if (o->cut == 0) {
            if (room)
                output_notice(r, level, text_cut(text, room));
            output_notice(r, LOG_WARN,
                          STR("This invocation has logged 1 MiB; what follows is cut."));
            o->cut = text.n - room;
            o->sent = LOG_LINES_MAX;
        } else {
            o->cut += text.n + 1;
        }
        return;
    }
    o->sent += text.n + 1;
    output_notice(r, level, text);
}

/* Sends the whole lines of a begun one, and a begun one that has become long. */
static void flush_lines(struct runner *r, int stream, bool all)
{
    struct buf *part = &r->output.part[stream];
    struct str rest = buf_str(part);
    int level = stream ? LOG_ERROR : LOG_INFO;
    ptrdiff_t at;
    while ((at = str_index(rest, '\n', 0)) >= 0) {
        output_line(r, level, str_of(rest.p, (size_t)at));
        rest = str_from(rest, (size_t)at + 1);
    }
    if (rest.n && (all || rest.n >= PART_MAX)) {
        output_line(r, level, rest);
        rest.n = 0;
    }
    buf_drop(part, part->n - rest.n);
}

void output_write(struct runner *r, int stream, struct str text)
{
    struct buf *part = &r->output.part[stream];
    while (text.n) { /* in pieces, so that a large text is never held twice */
        struct str piece = str_of(text.p, text.n < PART_MAX ? text.n : PART_MAX);
        buf_add(part, piece);
        text = str_from(text, piece.n);
        flush_lines(r, stream, false);
    }
}

void output_end(struct runner *r)
{
    struct output *o = &r->output;
    flush_lines(r, 0, true);
    flush_lines(r, 1, true);
    if (o->cut) {
        char text[80];
        int n = snprintf(text, sizeof text, "%llu bytes of this invocation's log were cut.",
                         (unsigned long long)o->cut);
        output_notice(r, LOG_WARN, str_of(text, (size_t)n));
    }
    if (o->part[0].cap > FRAME_MAX)
        buf_deinit(&o->part[0]);
    if (o->part[1].cap > FRAME_MAX)
        buf_deinit(&o->part[1]);
    buf_deinit(&o->masked[0]);
    buf_deinit(&o->masked[1]);
}

/* runner: hellos of a function URL, one at a time, into the program of a runner without its jail.
 *
 *     build/bench/runner COUNT SOURCE.lua
 *
 * Under callgrind (which cannot look into a jail) two runs that differ in COUNT tell what one hello
 * costs the runner; the child's file is the runner's. */
#include "fake_core.h"

static struct buf hello(void)
{
    static const char *const headers[][2] = {{"host", "127.0.0.1:1969"}};
    struct buf b = BUF_INIT;
    rec_put_str(&b, URL_METHOD, STR("GET"));
    rec_put_str(&b, URL_RAW_PATH, STR("/"));
    rec_put_str(&b, URL_RAW_QUERY, STR(""));
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        size_t mark = rec_begin(&b, URL_HEADER);
        rec_put_str(&b, 1, str_c(headers[i][0]));
        rec_put_str(&b, 2, str_c(headers[i][1]));
        rec_end(&b, mark);
    }
    rec_put_str(&b, URL_DOMAIN, STR("127.0.0.1:1969"));
    rec_put_str(&b, URL_SOURCE_IP, STR("127.0.0.1"));
    rec_put_str(&b, URL_API_ID, STR("thumbs"));
    rec_put_u64(&b, URL_TIME_MS, 1795433524000);
    rec_put_str(&b, URL_PROTOCOL, STR("HTTP/1.1"));
    return b;
}

/* As the core sends it: no client context, a request id of its own each time. */
static void send_hello(struct fake_core *f, struct str event)
{
    static const char arn[] = "arn:aws:lambda:us-east-1:000000000000:function:thumbs";
    struct frame_invoke head = {.event_kind = EVENT_URL,
                                .event_size = (uint32_t)event.n,
                                .attempt = 1,
                                .arn_size = sizeof arn - 1};
    char fixed[sizeof head + sizeof arn], id[40];
    snprintf(id, sizeof id, "11111111-2222-4333-8444-%012u", ++f->id);
    memcpy(head.request_id, id, 36);
    memcpy(fixed, &head, sizeof head);
    memcpy(fixed + sizeof head, arn, sizeof arn - 1);
    atomic_store(&f->shm->entry[0], entry_word(f->id, ENTRY_QUEUED));
    fake_push_payload(f, &f->work, FRAME_INVOKE, FRAME_F_INVOCATION, f->id,
                      str_of(fixed, sizeof fixed - 1), event);
}

static char *read_source(const char *path)
{
    static char text[64 * 1024];
    FILE *in = fopen(path, "r");
    size_t n = in ? fread(text, 1, sizeof text - 1, in) : 0;
    if (!in || !n)
        exit(2);
    text[n] = 0;
    fclose(in);
    return text;
}

int main(int argc, char **argv)
{
    struct fake_core f;
    if (argc != 3)
        return 2;
    struct buf event = hello();
    fake_function(&f, read_source(argv[2]), 128);
    for (int n = atoi(argv[1]); n > 0; n--) {
        send_hello(&f, buf_str(&event));
        if (!fake_until(&f, FRAME_REPLY) || f.reply.error)
            return 1;
    }
    printf("%.*s\n", STR_FMT(rec_str(buf_str(&f.answer), URL_BODY)));
    fake_stop(&f);
    buf_deinit(&event);
    return 0;
}

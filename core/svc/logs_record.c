/* logs_record: see the header for the layout.
 *
 * What comes from the disk is not trusted: every length is checked against what is left before a
 * byte behind it is looked at, and what a record says about itself never reaches further than its
 * own size. */
#include "svc/logs_record.h"

#include "base/crc.h"

/* Where a UUID's 16 bytes stand in its text. */
static const unsigned char uuid_at[16] = {0,  2,  4,  6,  9,  11, 14, 16,
                                          19, 21, 24, 26, 28, 30, 32, 34};

enum { AT_CRC = 4, AT_ID = 8, AT_STAMP = 16, AT_STREAM = 24, AT_KIND = 26, AT_LEVEL = 27 };

/* Value of a lower-case hex digit plus one, 0 for any other byte. A table, because comparisons of
 * random digits are guessed wrongly: 1.4 % of a hello before. */
static const unsigned char digit_of[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16};

/* Only the form that uuid_text gives back. */
static bool uuid_raw(struct str id, char *out)
{
    unsigned bad = 0;
    if (id.n != 36 || id.p[8] != '-' || id.p[13] != '-' || id.p[18] != '-' || id.p[23] != '-')
        return false;
    for (int i = 0; i < 16; i++) {
        unsigned hi = digit_of[(unsigned char)id.p[uuid_at[i]]] - 1u;
        unsigned lo = digit_of[(unsigned char)id.p[uuid_at[i] + 1]] - 1u;
        bad |= hi | lo;
        out[i] = (char)(hi << 4 | (lo & 15));
    }
    return bad < 16;
}

size_t log_record_request(const char *request_id, char out[static 256], uint8_t *flag)
{
    struct str id = str_c(request_id);
    *flag = 0;
    if (id.n == 0)
        return 0;
    if (uuid_raw(id, out)) {
        *flag = LOG_HAS_UUID;
        return 16;
    }
    if (id.n > 255)
        id.n = 255;
    *flag = LOG_HAS_TEXT;
    out[0] = (char)id.n;
    memcpy(out + 1, id.p, id.n);
    return id.n + 1;
}

void log_record_head(char *p, size_t size, uint64_t id, int64_t stamp_ms, uint16_t stream,
                     enum log_kind kind, uint8_t level_and_flags)
{
    uint32_t words[2] = {(uint32_t)size, 0};
    memcpy(p, words, 8);
    memcpy(p + AT_ID, &id, 8);
    memcpy(p + AT_STAMP, &stamp_ms, 8);
    memcpy(p + AT_STREAM, &stream, 2);
    p[AT_KIND] = (char)kind;
    p[AT_LEVEL] = (char)level_and_flags;
}

static uint32_t crc_of(const char *p, size_t size)
{
    return crc32_update(0, p + AT_ID, size - AT_ID);
}

void log_record_seal(char *p, size_t size)
{
    uint32_t crc = crc_of(p, size);
    memcpy(p + AT_CRC, &crc, 4);
}

void log_record_shift(char *p, uint64_t delta)
{
    uint64_t id;
    memcpy(&id, p + AT_ID, 8);
    id += delta;
    memcpy(p + AT_ID, &id, 8);
}

static void uuid_text(const char *raw, char out[static 37])
{
    static const char digits[] = "0123456789abcdef";
    out[8] = out[13] = out[18] = out[23] = '-';
    for (int i = 0; i < 16; i++) {
        out[uuid_at[i]] = digits[(unsigned char)raw[i] >> 4];
        out[uuid_at[i] + 1] = digits[raw[i] & 15];
    }
    out[36] = 0;
}

/* Takes the request id off the front of *rest, and tells it when that is wanted. */
static bool get_request(struct str *rest, uint8_t flags, bool wanted, struct log_record *out)
{
    out->request_n = 0;
    out->request_id[0] = 0;
    if (flags & LOG_HAS_UUID) {
        if (rest->n < 16)
            return false;
        if (wanted) {
            uuid_text(rest->p, out->request_id);
            out->request_n = 36;
        }
        *rest = str_from(*rest, 16);
    } else if (flags & LOG_HAS_TEXT) {
        size_t n = rest->n ? (unsigned char)rest->p[0] : 0;
        if (n == 0 || rest->n < 1 + n)
            return false;
        if (wanted) {
            memcpy(out->request_id, rest->p + 1, n);
            out->request_id[n] = 0;
            out->request_n = n;
        }
        *rest = str_from(*rest, 1 + n);
    }
    return true;
}

static size_t get(struct str bytes, bool checked, bool request_wanted, struct log_record *out)
{
    uint32_t size, crc;
    if (bytes.n < LOG_HEAD)
        return 0;
    memcpy(&size, bytes.p, 4);
    if (size < LOG_HEAD || size > LOG_RECORD_MAX || size > bytes.n)
        return 0;
    memcpy(&crc, bytes.p + AT_CRC, 4);
    if (checked && crc != crc_of(bytes.p, size))
        return 0;
    unsigned kind = (unsigned char)bytes.p[AT_KIND], level = (unsigned char)bytes.p[AT_LEVEL];
    if (kind < LOG_KIND_STREAM || kind > LOG_KIND_REPORT || (level & LOG_LEVEL_MASK) > LOG_FATAL)
        return 0;
    struct str rest = str_of(bytes.p + LOG_HEAD, size - LOG_HEAD);
    if (!get_request(&rest, (uint8_t)level, request_wanted, out))
        return 0;
    if ((kind == LOG_KIND_STREAM && rest.n < 8) ||
        (kind == LOG_KIND_REPORT && rest.n < LOG_REPORT_SIZE))
        return 0;
    memcpy(&out->id, bytes.p + AT_ID, 8);
    memcpy(&out->stamp_ms, bytes.p + AT_STAMP, 8);
    memcpy(&out->stream, bytes.p + AT_STREAM, 2);
    out->kind = (enum log_kind)kind;
    out->level = (enum log_severity)(level & LOG_LEVEL_MASK);
    out->json = level & LOG_AS_JSON;
    out->body = rest;
    return size;
}

size_t log_record_get(struct str bytes, bool checked, struct log_record *out)
{
    struct log_record local;
    return get(bytes, checked, out != NULL, out ? out : &local);
}

size_t log_record_skim(struct str bytes, struct log_record *out)
{
    return get(bytes, false, false, out);
}

size_t log_record_report(const struct log_report *r, char out[static LOG_REPORT_SIZE + 32])
{
    uint32_t words[4] = {(uint32_t)r->duration_us, (uint32_t)r->billed_ms, (uint32_t)r->init_us,
                         r->memory_mb};
    struct str status = str_c(r->status);
    if (status.n > 32)
        status.n = 32;
    memcpy(out, words, sizeof words);
    memcpy(out + sizeof words, &r->memory_peak, 8);
    if (status.n)
        memcpy(out + LOG_REPORT_SIZE, status.p, status.n);
    return LOG_REPORT_SIZE + status.n;
}

static void put_ms(struct buf *out, uint64_t us)
{
    uint64_t hundredths = (us + 5) / 10;
    buf_u64(out, hundredths / 100);
    buf_addc(out, '.');
    buf_addc(out, (char)('0' + hundredths / 10 % 10));
    buf_addc(out, (char)('0' + hundredths % 10));
    buf_lit(out, " ms\t");
}

static void report_text(struct buf *out, struct str request_id, const struct log_report *r,
                        struct str status)
{
    buf_lit(out, "REPORT RequestId: ");
    buf_add(out, request_id);
    buf_lit(out, "\tDuration: ");
    put_ms(out, r->duration_us);
    buf_lit(out, "Billed Duration: ");
    buf_u64(out, r->billed_ms);
    buf_lit(out, " ms\tMemory Size: ");
    buf_u64(out, r->memory_mb);
    buf_lit(out, " MB\tMax Memory Used: ");
    buf_u64(out, (r->memory_peak + (1 << 20) - 1) >> 20);
    buf_lit(out, " MB\t");
    if (r->init_us) {
        buf_lit(out, "Init Duration: ");
        put_ms(out, r->init_us);
    }
    if (status.n) {
        buf_lit(out, "Status: ");
        buf_add(out, status);
    }
}

void log_report_text(struct buf *out, const char *request_id, const struct log_report *r)
{
    report_text(out, str_c(request_id), r, str_c(r->status));
}

void log_record_text(const struct log_record *r, struct buf *out)
{
    struct str id = str_of(r->request_id, r->request_n);
    uint32_t words[4];
    struct log_report report = {0};
    switch (r->kind) {
    case LOG_KIND_LINE:
        if (r->json)
            log_line_json(out, r->stamp_ms, r->level, id, r->body);
        else
            buf_add(out, r->body);
        break;
    case LOG_KIND_START:
        if (r->json) {
            log_start_json(out, r->stamp_ms, id, r->body);
            break;
        }
        buf_lit(out, "START RequestId: ");
        buf_add(out, id);
        buf_lit(out, " Version: ");
        buf_add(out, r->body.n ? r->body : STR("$LATEST"));
        break;
    case LOG_KIND_END:
        buf_lit(out, "END RequestId: ");
        buf_add(out, id);
        break;
    case LOG_KIND_REPORT:
        memcpy(words, r->body.p, sizeof words);
        report.duration_us = words[0];
        report.billed_ms = words[1];
        report.init_us = words[2];
        report.memory_mb = words[3];
        memcpy(&report.memory_peak, r->body.p + sizeof words, 8);
        if (r->json)
            log_report_json(out, r->stamp_ms, id, &report, str_from(r->body, LOG_REPORT_SIZE));
        else
            report_text(out, id, &report, str_from(r->body, LOG_REPORT_SIZE));
        break;
    case LOG_KIND_STREAM:
        break;
    }
}

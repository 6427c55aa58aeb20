/* logs_record: one event as bytes, in memory and on the disk alike; and its text.
 *
 * A record is a head of LOG_HEAD bytes, an optional request id, a body by kind. Little endian,
 * unaligned:
 *
 *   u32 size    whole record      u32 crc    CRC-32 of what follows it; filled in when written out
 *   u64 id      grows; id >> 20 is the ingestion time in ms
 *   i64 stamp   ms                u16 stream number in its block
 *   u8  kind                      u8 level | LOG_HAS_* | LOG_AS_JSON
 *
 * A block is a run of records that can be read alone: before a stream's first event it holds a
 * LOG_KIND_STREAM record that gives the number its name. Number 0's begins a block. */
#ifndef SVC_LOGS_RECORD_H
#define SVC_LOGS_RECORD_H

#include "svc/logs.h"

enum log_kind {
    LOG_KIND_STREAM = 1, /* i64 created_ms, name; id is that of the event it precedes */
    LOG_KIND_LINE,       /* text */
    LOG_KIND_START,      /* version, "" for $LATEST */
    LOG_KIND_END,        /* nothing */
    LOG_KIND_REPORT,     /* u32 duration_us, billed_ms, init_us, memory_mb; u64 peak; status text */
};

enum {
    LOG_HEAD = 28,
    LOG_HAS_UUID = 0x10, /* 16 bytes precede the body */
    LOG_HAS_TEXT = 0x20, /* u8 n and n bytes precede the body */
    LOG_AS_JSON = 0x40,  /* is shown as JSON */
    LOG_LEVEL_MASK = 0x0f,
    LOG_TEXT_MAX = 256 * 1024,
    LOG_RECORD_MAX = LOG_TEXT_MAX + LOG_HEAD + 256,
    LOG_REPORT_SIZE = 24,
    LOG_ID_SHIFT = 20,
};

struct log_record {
    uint64_t id;
    int64_t stamp_ms;
    uint16_t stream;
    enum log_kind kind;
    enum log_severity level;
    bool json;
    char request_id[256]; /* text, "" for none */
    size_t request_n;
    struct str body; /* borrowed */
};

/* A request id in the form it is stored in: up to 256 bytes; *flag is LOG_HAS_* or 0. */
size_t log_record_request(const char *request_id, char out[static 256], uint8_t *flag);
/* Writes a head (crc 0) at p. */
void log_record_head(char *p, size_t size, uint64_t id, int64_t stamp_ms, uint16_t stream,
                     enum log_kind kind, uint8_t level_and_flags);
/* The record at the front of bytes: its size, or 0 when it is malformed, cut off, or (checked) its
 * CRC is wrong. out may be NULL. */
size_t log_record_get(struct str bytes, bool checked, struct log_record *out);
/* The same, unchecked and without the text of the request's id: what the log's own writing needs. */
size_t log_record_skim(struct str bytes, struct log_record *out);
/* Fills in the CRC of the record of that size at p. */
void log_record_seal(char *p, size_t size);
/* Adds delta to a record's id; not sealed yet. */
void log_record_shift(char *p, uint64_t delta);
/* Body of a REPORT; returns its size (at most LOG_REPORT_SIZE + 32). */
size_t log_record_report(const struct log_report *r, char out[static LOG_REPORT_SIZE + 32]);
/* Appends the event's message. */
void log_record_text(const struct log_record *r, struct buf *out);

#endif

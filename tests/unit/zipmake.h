/* zipmake: zips made by hand, field by field, so that each field can lie. */
#ifndef ZIPMAKE_H
#define ZIPMAKE_H

#include "base/buf.h"
#include "base/crc.h"

struct zm_entry {
    struct str name, data; /* data as stored in the archive */
    struct str local_name; /* p NULL: the same */
    uint16_t flags, method;
    uint32_t mode;         /* Unix mode, 0 none */
    uint64_t size;         /* unpacked; 0: data.n */
    uint32_t crc;          /* 0: of data */
    uint64_t local_size;   /* 0: size */
    int64_t at;            /* header offset in the directory; 0: right */
    struct str extra;      /* of the directory */
    uint32_t packed_shown; /* directory's packed field; 0: data.n */
    uint32_t size_shown;   /* directory's size field; 0: size */
};

struct zm {
    struct buf zip, directory;
    uint32_t count;
};

static inline void zm_u16(struct buf *b, uint32_t v)
{
    buf_addc(b, (char)v);
    buf_addc(b, (char)(v >> 8));
}

static inline void zm_u32(struct buf *b, uint32_t v)
{
    zm_u16(b, v);
    zm_u16(b, v >> 16);
}

static inline void zm_u64(struct buf *b, uint64_t v)
{
    zm_u32(b, (uint32_t)v);
    zm_u32(b, (uint32_t)(v >> 32));
}

static inline void zm_directory(struct zm *z, const struct zm_entry *e, uint64_t at)
{
    struct buf *d = &z->directory;
    uint64_t size = e->size ? e->size : e->data.n;
    zm_u32(d, 0x02014b50);
    zm_u16(d, 3 << 8 | 20);
    zm_u16(d, 20);
    zm_u16(d, e->flags);
    zm_u16(d, e->method);
    zm_u32(d, 0x00210000);
    zm_u32(d, e->crc ? e->crc : crc32_update(0, e->data.p, e->data.n));
    zm_u32(d, e->packed_shown ? e->packed_shown : (uint32_t)e->data.n);
    zm_u32(d, e->size_shown ? e->size_shown : (uint32_t)size);
    zm_u16(d, (uint32_t)e->name.n);
    zm_u16(d, (uint32_t)e->extra.n);
    zm_u16(d, 0);
    zm_u16(d, 0);
    zm_u16(d, 0);
    zm_u32(d, e->mode << 16);
    zm_u32(d, (uint32_t)(e->at ? (uint64_t)e->at : at));
    buf_add(d, e->name);
    buf_add(d, e->extra);
    z->count++;
}

static inline void zm_add(struct zm *z, const struct zm_entry *e)
{
    struct buf *b = &z->zip;
    struct str name = e->local_name.p ? e->local_name : e->name;
    uint64_t at = b->n, size = e->size ? e->size : e->data.n;
    zm_u32(b, 0x04034b50);
    zm_u16(b, 20);
    zm_u16(b, e->flags);
    zm_u16(b, e->method);
    zm_u32(b, 0x00210000);
    zm_u32(b, e->crc ? e->crc : crc32_update(0, e->data.p, e->data.n));
    zm_u32(b, (uint32_t)e->data.n);
    zm_u32(b, (uint32_t)(e->local_size ? e->local_size : size));
    zm_u16(b, (uint32_t)name.n);
    zm_u16(b, 0);
    buf_add(b, name);
    buf_add(b, e->data);
    zm_directory(z, e, at);
}

static inline void zm_file(struct zm *z, const char *name, const char *data)
{
    zm_add(z, &(struct zm_entry){.name = str_c(name), .data = str_c(data)});
}

/* Directory and end record; z.zip is the archive. count_shown and size_off lie when not 0. */
static inline void zm_end(struct zm *z, uint32_t count_shown, int32_t size_off)
{
    struct buf *b = &z->zip;
    uint32_t at = (uint32_t)b->n, size = (uint32_t)z->directory.n;
    uint32_t count = count_shown ? count_shown : z->count;
    buf_add(b, buf_str(&z->directory));
    zm_u32(b, 0x06054b50);
    zm_u16(b, 0);
    zm_u16(b, 0);
    zm_u16(b, count);
    zm_u16(b, count);
    zm_u32(b, (uint32_t)((int32_t)size + size_off));
    zm_u32(b, at);
    zm_u16(b, 0);
}

/* The same with a 64-bit end record that says count, in front of one that says `short_count`. */
static inline void zm_end64(struct zm *z, uint64_t count, uint32_t short_count)
{
    struct buf *b = &z->zip;
    uint64_t at = b->n, size = z->directory.n, end_at;
    buf_add(b, buf_str(&z->directory));
    end_at = b->n;
    zm_u32(b, 0x06064b50);
    zm_u64(b, 44);
    zm_u16(b, 45);
    zm_u16(b, 45);
    zm_u32(b, 0);
    zm_u32(b, 0);
    zm_u64(b, count);
    zm_u64(b, count);
    zm_u64(b, size);
    zm_u64(b, at);
    zm_u32(b, 0x07064b50);
    zm_u32(b, 0);
    zm_u64(b, end_at);
    zm_u32(b, 1);
    zm_u32(b, 0x06054b50);
    zm_u16(b, 0);
    zm_u16(b, 0);
    zm_u16(b, short_count);
    zm_u16(b, short_count);
    zm_u32(b, 0xffffffff);
    zm_u32(b, 0xffffffff);
    zm_u16(b, 0);
}

static inline void zm_free(struct zm *z)
{
    buf_deinit(&z->zip);
    buf_deinit(&z->directory);
    *z = (struct zm){0};
}

#endif

/* zipscan: is this zip a sound package? Reads the layout only, unpacks nothing.
 *
 * Pure functions on bytes (in memory or behind a descriptor), so that they can be fuzzed without a
 * server. What the scan lets through: one disk; a central directory that lies right before the end
 * record and holds exactly the entries it says; local headers that agree with it; no two entries
 * sharing a byte; stored or deflated, not encrypted; plain files and folders under relative names;
 * no name twice; at most 65,535 entries and PACKAGE_UNPACKED_MAX bytes. */
#ifndef SVC_ZIPSCAN_H
#define SVC_ZIPSCAN_H

#include "base/err.h"

struct zip_bytes {
    struct str mem; /* the zip, or p NULL: */
    int fd;         /* read with pread */
    uint64_t size;  /* of the zip, in both cases */
};
/* n bytes at offset at into p: 0, E_BAD_ZIP past the end, E_IO. */
int zip_bytes_read(const struct zip_bytes *z, uint64_t at, void *p, size_t n);

struct zip_entry {
    struct str name; /* without a leading "./"; lies in zipscan.names */
    struct str raw;  /* as the archive has it */
    uint32_t index;  /* in the central directory */
    uint32_t crc;
    uint16_t method;    /* 0 stored, 8 deflated */
    uint64_t header_at; /* local header */
    uint64_t packed, size;
};

struct zipscan {
    struct zip_entry *entries; /* files only, sorted by name */
    size_t count;
    size_t total_entries; /* with folders */
    size_t names_size;    /* bytes of all files' names */
    uint64_t size;        /* bytes of all files, unpacked */
    char *names;
};

/* 0 and *out (zipscan_deinit), or E_BAD_ZIP, E_INVALID (empty, too much unpacked), E_IO with AWS's
 * text, where known, followed by what is wrong. */
int zipscan(const struct zip_bytes *z, struct zipscan *out, struct err *err);
void zipscan_deinit(struct zipscan *s);
/* The common beginning of those texts; the reason, if any, follows. */
int zip_refuse(struct err *err, struct str name, const char *reason);

#endif

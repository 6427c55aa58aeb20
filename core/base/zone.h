/* zone: time zones, from the system's own data (tzdata, RFC 8536).
 *
 * A zone turns instants into local civil time and back. Civil times are seconds since 1970 as if
 * the clock on the wall were UTC's. Pure functions, but for the two that
 * read a small file. */
#ifndef BASE_ZONE_H
#define BASE_ZONE_H

#include "base/str.h"

enum { ZONE_NAME_MAX = 64, ZONE_FILE_MAX = 64 * 1024 };

struct zone;

/* "Europe/Paris" from /usr/share/zoneinfo; NULL: there is no such zone. "UTC" always is. */
struct zone *zone_load(struct str name);
/* The same, kept under its name; valid until the next call. Read again after ten minutes, so that an
 * update of tzdata is noticed. Loop thread. */
const struct zone *zone_named(struct str name);
/* From a TZif file's bytes, version 2 or later; NULL when they are none. */
struct zone *zone_parse(struct str tzif);
void zone_free(struct zone *z);

/* Seconds east of UTC at that instant. */
int32_t zone_offset_s(const struct zone *z, int64_t utc_s);
/* The instant of a civil time. One that is skipped when clocks go forward gives the first instant
 * after the gap; one that comes twice, the first. */
int64_t zone_instant_s(const struct zone *z, int64_t local_s);

#endif

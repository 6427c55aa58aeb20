/* schedule_entry: inside schedules: one entry of memory for each row, found by its key, and heaps of
 * them by the time at which they are due. Loop thread. */
#ifndef SVC_SCHEDULE_ENTRY_H
#define SVC_SCHEDULE_ENTRY_H

#include "store/key.h"

struct schedules;

#define SCHEDULE_NEVER INT64_MAX

struct schedule_heap { /* by due_s, earliest first */
    struct schedule_entry **of;
    size_t n, cap;
    int64_t (*now_ms)(void); /* on its clock */
};

struct schedule_entry {
    struct schedules *home;
    struct schedule_entry *hash_next;
    struct key key;
    struct schedule_heap *heap; /* where it is, or was last */
    size_t at;                  /* in it */
    size_t place;               /* among all */
    int64_t due_s;              /* SCHEDULE_NEVER: not in it */
    bool busy, again;
    bool refused; /* the queue had no room */
};

struct schedule_entries {
    struct schedule_entry **all; /* unordered */
    size_t count, cap;
    struct schedule_entry *slots[4096];
};

/* A new one; none has that key. Its heap and home are the caller's to set. */
struct schedule_entry *entry_add(struct schedule_entries *s, const struct key *k);
/* NULL: there is none. */
struct schedule_entry *entry_find(struct schedule_entries *s, struct str key);
/* Out of its heap and freed; the last of all takes its place. */
void entry_forget(struct schedule_entries *s, struct schedule_entry *e);

/* Into that heap, at that time; out of the one where it was. */
void entry_due(struct schedule_heap *h, struct schedule_entry *e, int64_t due_s);

#endif

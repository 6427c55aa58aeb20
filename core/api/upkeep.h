/* upkeep: backups and scrubs that are under way: one at a time, on a thread of its own. */
#ifndef API_UPKEEP_H
#define API_UPKEEP_H

struct upkeep;
struct services;

/* Before the store is closed: what is under way is broken off, its client's answer cut. */
void upkeep_stop(struct services *svc);

#endif

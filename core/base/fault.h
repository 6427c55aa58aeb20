/* fault: named places where a test build can be told to fail.
 *
 * `FAULT(store_commit)` is 0 in a release build and costs nothing there. Built with
 * -DPERILUNE_FAULTS it is the errno that the test asked for at this place, or 0. Tests in the same
 * process call fault_set; tests of a whole server name a control file in PERILUNE_FAULT_FILE and
 * rewrite it while the server runs. One line a fault:
 *
 *     NAME ERROR [SKIP [COUNT]]      store_commit EIO 3 2
 *
 * fails the 4th and 5th pass through that place. ERROR is EIO, ENOSPC, EROFS, ENOMEM, a number, or
 * KILL, which ends the process on the spot as a crash would. Without COUNT it fails for good. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#ifdef PERILUNE_FAULTS

#define FAULT(name) fault_hit(#name)

/* The errno to fail with, or 0. Any thread. */
int fault_hit(const char *name);
/* Replaces all faults with the lines of spec; "" clears. Any thread. Aborts on a bad line. */
void fault_set(const char *spec);

#else

#define FAULT(name) 0

#endif
#endif

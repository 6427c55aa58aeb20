/* follower: a function's new log lines, printed as they are written, for 'perilune dev'.
 *
 * A child runs 'perilune logs NAME --follow --json' against PERILUNE_ENDPOINT with the keys of our
 * environment; its lines are printed short, with the function's name, in colours by level. START and
 * END are left out, REPORT becomes what the run cost. A child that ends is started again
 * and goes on behind the last line. */
#ifndef CLI_FOLLOWER_H
#define CLI_FOLLOWER_H

#include <uv.h>

struct follower;

/* Lines from that time on. name is copied. */
struct follower *follower_open(uv_loop_t *loop, const char *name, int64_t from_wall_ms);
/* Frees it when the loop has turned. */
void follower_close(struct follower *f);

/* "12:03:04.123 NAME  " on stdout, for other lines of the same kind. */
void follower_stamp(int64_t wall_ms, const char *name);

#endif

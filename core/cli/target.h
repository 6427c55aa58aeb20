/* target: which server a command talks to, and as whom.
 *
 * The server is --endpoint, else PERILUNE_ENDPOINT, else http://127.0.0.1:1969. The keys are
 * AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN), else those in
 * root.credentials of the data folder: --data, else PERILUNE_DATA, else the server's own default
 * (paths.h) or /var/lib/perilune. Without any keys requests go out unsigned, so
 * that a server that is not there is still reported as such. */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include "cli/cli.h"

struct target {
    char url[320]; /* "http[s]://HOST:PORT", no slash at the end */
    bool tls;
    char host[256]; /* without brackets */
    char port[6];
    char authority[270]; /* HOST[:PORT] as the Host header has it */
    char access_key[129];
    char secret[129];
    char token[4096]; /* "" for none */
    char region[64];
    char keys_from[4200]; /* where the keys came from, or why there are none; for messages */
};

/* 0, or an exit code after a message (a bad URL). */
int target_resolve(const struct cli *cli, struct target *out);
/* The URL alone: "http[s]://HOST[:PORT][/]", "HOST:PORT". False with *why when it is none of ours. */
bool target_parse_url(const char *url, struct target *out, const char **why);

#endif

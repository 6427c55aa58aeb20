/* client: HTTP/1.1 requests to the server, signed, one at a time, blocking.
 *
 * One connection a request. A body goes out from memory or from a file and comes in to memory
 * (bounded) or to a sink, so that size is no matter. --timeout bounds a command's requests taken
 * together. What fails here is said on stderr and answered as an exit code; an answer of any HTTP
 * status is success here, client_check judges it. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>

#include "auth/sigv4.h"
#include "base/buf.h"
#include "cli/target.h"

struct client {
    struct target target;
    int64_t deadline_ms; /* monotonic; 0: none */
    bool quiet;          /* no message when the server is not there or breaks off */
};

/* Reads the command's flags. 0 or an exit code after a message. */
int client_init(struct client *c, const struct cli *cli);

struct client_req {
    const char *service, *method;       /* "lambda", "GET" */
    struct str path;                    /* percent-encoded */
    struct str query;                   /* percent-encoded, without '?' */
    const struct sigv4_header *headers; /* extra ones, all signed */
    size_t header_count;
    struct str body;
    int body_fd; /* > 0: the body is body_size bytes of this file, from its current offset */
    uint64_t body_size;
    /* Takes the body of a 2xx answer as it arrives; false ends the request (client_send answers 0
     * with res->cut set). NULL: the body is collected. */
    bool (*sink)(void *ctx, struct str bytes);
    void *sink_ctx;
};

enum { CLIENT_HEADERS_MAX = 100, CLIENT_BODY_MAX = 64 << 20 };

struct client_res {
    int status;
    bool cut;              /* the sink had enough */
    struct buf body, head; /* head holds the header texts */
    struct client_header {
        size_t name, name_size, value, value_size; /* in head */
    } headers[CLIENT_HEADERS_MAX];
    size_t header_count;
};

/* 0 with *res filled (client_res_free it), or CLI_UNREACHABLE, CLI_TIMEOUT, CLI_FAILED after a
 * message, with nothing to free. */
int client_send(struct client *c, const struct client_req *req, struct client_res *res);
void client_res_free(struct client_res *res);
/* First header of that name; p NULL when absent. */
struct str client_header(const struct client_res *res, const char *name);

/* CLI_OK for a 2xx answer; else prints the server's error (JSON or XML) after "what: " and answers
 * the exit code of its kind. */
int client_check(const struct client *c, const struct client_res *res, const char *what);
/* The exit code of an error answer, without printing. */
int client_exit_code(const struct client_res *res);

/* The usual calls in one: sends (body NULL: none; taken when not), checks, parses. *out (may be
 * NULL) is an object or array, the caller's; {} for an empty answer. */
int client_json(struct client *c, const char *service, const char *method, const char *path,
                json_t *body, const char *what, json_t **out);
/* For what can be done without a server unless it is `needed`: one request whose answer goes to its
 * sink, which sets *any with the first bytes. CLI_UNREACHABLE comes without a word when there is no
 * server, none is needed and nothing has come. */
int client_stream(const struct cli *cli, const struct client_req *req, const char *what,
                  bool needed, const bool *any);

#endif

/* signin: who is signed in to the console, and the links that let one in.
 *
 * Both are 256 random bits that the bearer alone has: the server keeps their SHA-256. A link lives in
 * memory, for a quarter of an hour and one use. A session is a row of T_SIGNINS; it ends twelve hours
 * after its last call (by store time, which nobody sets back), when it is revoked, or with the access
 * key that it stands for: what a session may do is asked of that key's owner at each call, never kept
 * here. Failures are counted by address, so that guessing is slow. Loop thread only. */
#ifndef SVC_SIGNIN_H
#define SVC_SIGNIN_H

#include "store/store.h"

enum {
    SIGNIN_TOKEN_SIZE = 44, /* 43 characters of base64url and a NUL */
    SIGNIN_ID_SIZE = 17,
    SIGNIN_KEY_MAX = 128, /* bytes of an access key's id */
    SIGNIN_AGENT_MAX = 160,
    SIGNIN_MAX = 1000,        /* sessions; the one that was quiet longest makes room, … */
    SIGNIN_KEY_SESSIONS = 50, /* … among those of one key once it has so many */
    SIGNIN_LINKS_MAX = 64,
    SIGNIN_LINK_MS = 15 * 60 * 1000,
    SIGNIN_IDLE_MS = 12 * 60 * 60 * 1000,
    SIGNIN_TRIES = 10, /* failures of one address in SIGNIN_TRIES_MS */
    SIGNIN_TRIES_MS = 5 * 60 * 1000,
};

struct signin { /* borrowed until the next call of a function here */
    char id[SIGNIN_ID_SIZE];
    char access_key[SIGNIN_KEY_MAX + 1];
    char address[46];                 /* where it was opened */
    char agent[SIGNIN_AGENT_MAX + 1]; /* User-Agent then */
    int64_t created_ms, seen_ms;
    /* signin's own */
    unsigned char hash[32];
    int64_t stored_ms; /* seen_ms in the store */
    struct signin *next;
};

struct signins;

/* Reads the rows. */
struct signins *signins_open(struct store *s);
/* Submits what is not yet written; before the store closes. */
void signins_close(struct signins *s);

/* A new link for that access key (of at most SIGNIN_KEY_MAX bytes); the oldest makes room. */
void signin_link(struct signins *s, struct str access_key, int64_t now_ms,
                 char token[static SIGNIN_TOKEN_SIZE]);
/* Uses a link up. false: there is none of that token, or no longer. */
bool signin_redeem(struct signins *s, struct str token, int64_t now_ms,
                   char access_key[static SIGNIN_KEY_MAX + 1]);

/* Opens a session. */
const struct signin *signin_open(struct signins *s, struct str access_key, struct str address,
                                 struct str agent, int64_t now_ms,
                                 char token[static SIGNIN_TOKEN_SIZE]);
/* The session of a token, seen now; NULL when it has ended. */
const struct signin *signin_find(struct signins *s, struct str token, int64_t now_ms);
/* Is there still one of that id? Not a use of it. */
bool signin_lives(struct signins *s, struct str id, int64_t now_ms);
const struct signin *signin_by_id(struct signins *s, struct str id, int64_t now_ms);
/* Ends one; of nobody: nothing. */
void signin_end(struct signins *s, struct str id);
/* Walks those that live: NULL starts, and ends. */
const struct signin *signin_next(struct signins *s, const struct signin *after, int64_t now_ms);

/* 0, or for how many ms that address must wait. */
int64_t signin_wait(struct signins *s, struct str address, int64_t now_ms);
void signin_failed(struct signins *s, struct str address, int64_t now_ms);

#endif

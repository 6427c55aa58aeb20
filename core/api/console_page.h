/* console_page: the console's files, from the binary or from a folder. */
#ifndef API_CONSOLE_PAGE_H
#define API_CONSOLE_PAGE_H

#include "net/http.h"

/* Answers a GET or HEAD of a path outside /v1/: a built file under /assets/, else the page. dir: a
 * descriptor of a built tree, read anew for each request; -1: what is embedded. */
void console_page(struct http_req *req, int dir);

#endif

/* split: cuts a head that passed the scan into method, target and headers. */
#ifndef NET_SPLIT_H
#define NET_SPLIT_H

#include "net/http.h"
#include "net/scan.h"

/* head: exactly the bytes of the scanned head; must outlive req. Fills method, target, path, query,
 * host, headers (room for SCAN_HEADERS_MAX in `headers`), content_length and minor; req->arena is
 * used for a target that has to be rewritten. 0, or the status to refuse with: 501 for a method
 * http-parser does not know, 400 when it disagrees with the scan in anything. */
int split_head(struct str head, const struct scan *scan, struct http_req *req,
               struct http_header *headers);

#endif

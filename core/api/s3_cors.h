/* s3_cors: what browsers are told about pages of other origins. */
#ifndef API_S3_CORS_H
#define API_S3_CORS_H

#include "api/call.h"

/* Before anybody is identified: a request with Origin gets the headers of the first rule that lets
 * it through, whatever the answer will be. The bucket is call.param[0]. */
void s3_cors_headers(struct call *c);
/* Ends the call: OPTIONS, which nobody signs. */
void s3_cors_preflight(struct call *c);

#endif

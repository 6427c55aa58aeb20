/* hostcall_secret: secrets.get. The value goes to the runner, which masks it in its function's log;
 * here nothing of it stays. */
#include "base/rec.h"
#include "svc/hostcall.h"
#include "svc/hostcall_tags.h"
#include "svc/secret.h"

void hostcall_secret_get(struct hostcalls *h, struct hostcall *call)
{
    struct buf value = BUF_INIT, result = BUF_INIT;
    struct err err = {0};
    struct str name = rec_str(call->args, HC_NAME);
    struct store_txn *t = store_read(h->o.store);
    int rc = secret_get(t, name, &value);
    store_read_end(t);
    if (rc == 0) {
        buf_reserve(&result, value.n + 16); /* in one piece, which is wiped below */
        rec_put_str(&result, HC_VALUE, buf_str(&value));
    } else if (rc == E_NOT_FOUND) {
        err_set(&err, rc, "There is no secret \"%.*s\"", STR_FMT(name));
    }
    struct str none = {NULL, 0};
    hostcall_finish(call, rc, rc == 0 ? buf_str(&result) : none, rc ? &err : NULL);
    secret_wipe(&value);
    secret_wipe(&result);
}

/* sts: who am I. */
#include "api/gate.h"
#include "auth/arn.h"

void sts_get_caller_identity(struct call *c)
{
    struct buf b = BUF_INIT;
    xml_element(&b, "Arn", c->who.arn);
    xml_element(&b, "UserId", c->who.user_id);
    xml_element(&b, "Account", STR(ACCOUNT_ID));
    call_result(c, &b);
    buf_deinit(&b);
}

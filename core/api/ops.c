/* ops: the rows of ops.def as a table.
 *
 * It stands alone, so that the gate can be tested with a table of its own. */
#include "api/gate.h"

const struct op gate_ops[] = {
#define REST_JSON(service_, name_, method_, pattern_, status_, body_, limit_, action_, resource_,  \
                  handler_)                                                                        \
    {service_, name_,        PROTO_REST_JSON, method_, pattern_,        "",                        \
     status_,  BODY_##body_, limit_,          action_, RES_##resource_, handler_},
#define S3(name_, method_, scope_, select_, status_, body_, limit_, action_, resource_, handler_)  \
    {"s3",    name_,        PROTO_S3, method_, scope_,          select_,                           \
     status_, BODY_##body_, limit_,   action_, RES_##resource_, handler_},
#define QUERY(service_, name_, action_, resource_, handler_)                                       \
    {service_,  name_,       PROTO_QUERY, "POST",          "/",     "", 200,                       \
     BODY_FORM, 1024 * 1024, action_,     RES_##resource_, handler_},
#define JSON11(service_, target_, name_, action_, resource_, handler_)                             \
    {service_, name_,     PROTO_JSON11,    "POST",  target_ "." name_, "",                         \
     200,      BODY_JSON, 8 * 1024 * 1024, action_, RES_##resource_,   handler_},
#include "api/ops.def"
};
const size_t gate_op_count = sizeof gate_ops / sizeof *gate_ops;
_Static_assert(sizeof gate_ops / sizeof *gate_ops <= GATE_OPS_MAX, "counters are per row");

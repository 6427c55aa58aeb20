/* perilune_settings: what the server is and how it was started, and what its functions can call.
 *
 *   GET /perilune/v1/settings   {"version","region","account","endpoint","console_url","uptime_ms",
 *                                "jail":[{"layer","in_force"}], "settings":[…] (cli/serve_opts.h)}
 *   GET /perilune/v1/reference  {"modules":[…]} (svc/luadoc.h): what an editor completes from */
#include "api/gate.h"
#include "auth/arn.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/version.h"
#include "proc/jail.h"
#include "svc/luadoc.h"
#include "svc/pool.h"

/* The layers there are, in the order in which they are applied. */
static json_t *jail_json(struct str in_force)
{
    json_t *rows = json_array();
    const char *name;
    for (unsigned i = 0; (name = jail_layer_name(i)); i++) {
        struct str rest = in_force, one;
        bool found = false;
        while (rest.n && !found) {
            one = str_cut(&rest, ',');
            found = str_is(one, name);
        }
        json_array_append_new(rows, json_pack("{s:s, s:b}", "layer", name, "in_force", found));
    }
    return rows;
}

void perilune_settings(struct call *c)
{
    struct services *v = c->svc;
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:O}", "version", PERILUNE_VERSION, "region",
                  v->region, "account", ACCOUNT_ID, "endpoint", v->endpoint, "console_url",
                  v->console_url, "uptime_ms", (json_int_t)(clock_wall_ms() - v->started_ms),
                  "jail", jail_json(str_c(pool_jail_layers(v->pool))), "settings", v->settings);
    call_json(c, 200, o);
}

void perilune_reference(struct call *c)
{
    call_json(c, 200, json_pack("{s:o}", "modules", luadoc_all()));
}

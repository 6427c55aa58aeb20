/* target: reads flags, environment and root.credentials; opens no connection. */
#include "cli/target.h"

#include "base/err.h"
#include "cli/paths.h"
#include "cli/root_key.h"

static bool keys_from_environment(struct target *out);
static void keys_from_data(const struct cli *cli, struct target *out);

int target_resolve(const struct cli *cli, struct target *out)
{
    const char *url = cli_value(cli, "--endpoint"), *why;
    memset(out, 0, sizeof *out);
    if (!target_parse_url(url ? url : "http://127.0.0.1:1969", out, &why))
        return cli_fail(CLI_USAGE, "endpoint '%s': %s", url, why);
    const char *region = getenv("AWS_REGION");
    if (!region || !*region)
        region = getenv("AWS_DEFAULT_REGION");
    snprintf(out->region, sizeof out->region, "%s", region && *region ? region : "us-east-1");
    if (!keys_from_environment(out))
        keys_from_data(cli, out);
    return CLI_OK;
}

/* --- the URL -----------------------------------------------------------------------------------
 */

static bool copy(char *to, size_t size, struct str s)
{
    if (s.n == 0 || s.n >= size)
        return false;
    memcpy(to, s.p, s.n);
    to[s.n] = 0;
    return true;
}

bool target_parse_url(const char *url, struct target *out, const char **why)
{
    struct str s = str_c(url), host, port;
    *why = "it should be like http://127.0.0.1:1969";
    out->tls = str_starts(s, STR("https://"));
    if (out->tls || str_starts(s, STR("http://")))
        s = str_from(s, out->tls ? 8 : 7);
    else if (str_find(s, STR("://")) >= 0)
        return false;
    if (str_ends(s, STR("/")))
        s.n--;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == 0x7f || strchr("/?#@", s.p[i]))
            return false;
    bool bracket = s.n > 0 && s.p[0] == '[';
    ptrdiff_t close = bracket ? str_index(s, ']', 0) : 0;
    ptrdiff_t colon = close < 0 ? -1 : str_index(s, ':', (size_t)close);
    if (close < 0 || (bracket && colon < 0 && (size_t)close + 1 != s.n) ||
        (bracket && colon >= 0 && colon != close + 1))
        return false;
    port = out->tls ? STR("443") : STR("80");
    host = colon < 0 ? s : str_of(s.p, (size_t)colon);
    if (colon >= 0)
        port = str_from(s, (size_t)colon + 1);
    if (bracket)
        host = str_of(s.p + 1, (size_t)close - 1);
    uint64_t number;
    if (!str_u64(port, &number) || number == 0 || number > 65535 ||
        !copy(out->host, sizeof out->host, host))
        return false;
    snprintf(out->port, sizeof out->port, "%u", (unsigned)number);
    const char *open = bracket ? "[" : "", *shut = bracket ? "]" : "";
    if (number == (out->tls ? 443 : 80))
        snprintf(out->authority, sizeof out->authority, "%s%s%s", open, out->host, shut);
    else
        snprintf(out->authority, sizeof out->authority, "%s%s%s:%s", open, out->host, shut,
                 out->port);
    snprintf(out->url, sizeof out->url, "http%s://%s", out->tls ? "s" : "", out->authority);
    return true;
}

/* --- the keys ----------------------------------------------------------------------------------
 */

static bool keys_from_environment(struct target *out)
{
    const char *key = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
    const char *token = getenv("AWS_SESSION_TOKEN");
    if (!key || !*key || !secret || !*secret)
        return false;
    snprintf(out->access_key, sizeof out->access_key, "%s", key);
    snprintf(out->secret, sizeof out->secret, "%s", secret);
    snprintf(out->token, sizeof out->token, "%s", token ? token : "");
    snprintf(out->keys_from, sizeof out->keys_from, "AWS_ACCESS_KEY_ID in the environment");
    return true;
}

/* True when the folder settled the matter: it gave keys, or holds some that are of no use to us. */
static bool keys_from_folder(const char *folder, struct target *out)
{
    struct root_key key;
    struct err err = {0};
    int rc = root_key_read(folder, &key, &err);
    snprintf(out->keys_from, sizeof out->keys_from, "%s", err.text);
    if (rc == 0) {
        memcpy(out->access_key, key.access_key, sizeof out->access_key);
        memcpy(out->secret, key.secret, sizeof out->secret);
        snprintf(out->keys_from, sizeof out->keys_from, "%s/root.credentials", folder);
    }
    return rc != E_NOT_FOUND;
}

static void keys_from_data(const struct cli *cli, struct target *out)
{
    const char *given = cli_value(cli, "--data");
    if (given) {
        keys_from_folder(given, out);
        return;
    }
    if (keys_from_folder(paths_data(), out) || keys_from_folder("/var/lib/perilune", out))
        return;
    snprintf(out->keys_from, sizeof out->keys_from,
             "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name the server's data folder "
             "with --data");
}

/* function_policy: the resource policy of a function, a version or an alias, written inside jobs.
 *
 * Statements are kept one by one and as the document that they make together, which must be one
 * that the policy reader takes: what is stored can be judged. */
#include "svc/function_inside.h"

/* The row without its policy, and the statements joined with commas (without `sid`; *found). */
static void split_policy(struct str rec, struct str sid, struct buf *rest, struct buf *rows,
                         struct buf *joined, bool *found)
{
    struct str v;
    uint16_t tag;
    *found = false;
    while (rec_next(&rec, &tag, &v)) {
        if (tag != FN_POLICY && tag != FN_POLICY_JSON && tag != FN_POLICY_REVISION &&
            tag != FN_REVISION) {
            rec_put_str(rest, tag, v);
        } else if (tag == FN_POLICY && str_eq(rec_str(v, 1), sid)) {
            *found = true;
        } else if (tag == FN_POLICY) {
            rec_put_str(rows, tag, v);
            if (joined->n)
                buf_addc(joined, ',');
            buf_add(joined, rec_str(v, 2));
        }
    }
}

static void add_statement(struct buf *rows, struct buf *joined, struct str sid, struct str text)
{
    size_t mark = rec_begin(rows, FN_POLICY);
    rec_put_str(rows, 1, sid);
    rec_put_str(rows, 2, text);
    rec_end(rows, mark);
    if (joined->n)
        buf_addc(joined, ',');
    buf_add(joined, text);
}

/* Writes the row with these statements. */
static int put_policy(struct store_txn *t, struct str name, struct str qualifier, struct buf *rest,
                      struct buf *rows, struct buf *joined, struct err *err)
{
    struct buf doc = BUF_INIT;
    int rc = 0;
    if (joined->n)
        buf_printf(&doc, "{\"Version\":\"2012-10-17\",\"Id\":\"default\",\"Statement\":[%.*s]}",
                   STR_FMT(buf_str(joined)));
    if (doc.n > FUNCTION_POLICY_MAX)
        rc = err_set(err, E_POLICY_LENGTH,
                     "The final policy size (%zu) is bigger than the limit (%d).", doc.n,
                     FUNCTION_POLICY_MAX);
    struct policy *p = NULL;
    if (rc == 0 && doc.n && !(p = policy_parse(buf_str(&doc), POLICY_RESOURCE, err)))
        rc = E_BAD_POLICY;
    policy_free(p);
    if (rc == 0) {
        buf_add(rest, buf_str(rows));
        if (doc.n)
            rec_put_str(rest, FN_POLICY_JSON, buf_str(&doc));
        fn_put_revision(rest);
        rc = fn_row_put(t, name, qualifier, rest);
    }
    buf_deinit(&doc);
    return rc;
}

int function_policy_add(struct store_txn *t, struct str name, struct str qualifier, struct str sid,
                        struct str statement, struct err *err)
{
    struct buf rest = BUF_INIT, rows = BUF_INIT, joined = BUF_INIT;
    struct str rec;
    bool found;
    int rc = fn_row(t, name, qualifier, &rec);
    if (rc)
        return rc;
    split_policy(rec, sid, &rest, &rows, &joined, &found);
    if (found) {
        rc = err_set(err, E_EXISTS,
                     "The statement id (%.*s) provided already exists. Please provide a new "
                     "statement id, or remove the existing statement.",
                     STR_FMT(sid));
    } else {
        add_statement(&rows, &joined, sid, statement);
        rc = put_policy(t, name, qualifier, &rest, &rows, &joined, err);
    }
    buf_deinit(&rest);
    buf_deinit(&rows);
    buf_deinit(&joined);
    return rc;
}

int function_policy_remove(struct store_txn *t, struct str name, struct str qualifier,
                           struct str sid, struct err *err)
{
    struct buf rest = BUF_INIT, rows = BUF_INIT, joined = BUF_INIT;
    struct str rec;
    bool found;
    int rc = fn_row(t, name, qualifier, &rec);
    if (rc)
        return rc;
    split_policy(rec, sid, &rest, &rows, &joined, &found);
    rc = found ? put_policy(t, name, qualifier, &rest, &rows, &joined, err)
               : err_set(err, E_NOT_FOUND, "Statement %.*s is not found in resource policy.",
                         STR_FMT(sid));
    buf_deinit(&rest);
    buf_deinit(&rows);
    buf_deinit(&joined);
    return rc;
}

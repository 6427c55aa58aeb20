/* deploy_report: what a deployment tells of itself.
 *
 * {"name", "arn", "version"?, "created":[{type,name}], "updated":[…], "removed":[…],
 *  "granted":["s3:GetObject on arn:…"], "revoked":[…]}; a preview tells the same. */
#ifndef SVC_DEPLOY_REPORT_H
#define SVC_DEPLOY_REPORT_H

#include <jansson.h>

#include "base/str.h"

/* Adds a thing to the list, once. */
void deploy_report_add(json_t *report, const char *list, const char *type, struct str name);
/* Fills "revoked": what the old policy document allowed and "granted" does not name. */
void deploy_report_revoked(json_t *report, struct str old_policy);

#endif

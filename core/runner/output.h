/* output: the function's log lines on their way to the core.
 *
 * Every line is UTF-8 and bears its level and the id of the invocation; a line too long for a frame
 * is sent in parts. What one invocation may write is bounded (LOG_LINES_MAX): beyond it lines are
 * counted, not sent, and the count is logged when the invocation ends. */
#ifndef RUNNER_OUTPUT_H
#define RUNNER_OUTPUT_H

#include "runner/self.h"

/* A new invocation (or the init phase) begins. */
void output_begin(struct runner *r);
/* Ends it: begun lines are sent, and how much was cut. */
void output_end(struct runner *r);
/* One event of the log; level is one of svc/logs.h. Newlines stay inside. Blocks while the core
 * has not read what was sent before. */
void output_line(struct runner *r, int level, struct str text);
/* Text of io.stdout (stream 0) or io.stderr (1), sent line by line. */
void output_write(struct runner *r, int stream, struct str text);
/* No line of this runner shows that text any more, nor as it stands inside a JSON string: "****"
 * comes in its place. Of a text of several lines each one is masked too. Texts of fewer than 4
 * bytes are not: half of every line would match. */
void output_mask(struct runner *r, struct str text);
/* output_line for a line that the runtime itself writes: it is neither counted nor masked. */
void output_notice(struct runner *r, int level, struct str text);

#endif

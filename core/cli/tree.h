/* tree: a project's folder, walked as a package sees it.
 *
 * Hidden files and folders are left out, symbolic links too (with a line on stderr), and what is
 * neither file nor folder is refused. Entries come in order of name. */
#ifndef CLI_TREE_H
#define CLI_TREE_H

#include "svc/zipfile.h"

/* `inside` is the path from the folder, "" for the folder itself; both are valid during the call. An
 * answer other than 0 ends the walk and is its answer. */
typedef int tree_each(void *ctx, const char *path, const char *inside, bool folder);
/* 0, what each answered, or an exit code after a message. quiet: no word about links. */
int tree_walk(const char *folder, bool quiet, tree_each *each, void *ctx);

/* Appends a file's bytes to *out, whose limit holds. 0, or an exit code after a message. */
int tree_read(const char *path, struct buf *out);

/* All files in memory. */
struct project {
    struct zipfile_entry *files;
    size_t count;
    char *bytes_; /* of paths and files */
};
enum { PROJECT_BYTES_MAX = 40 << 20 };

/* A folder, or one file. 0, or an exit code after a message and nothing to free. */
int project_read(const char *path, struct project *out);
void project_free(struct project *p);
/* The file of that path; p NULL when there is none. */
struct str project_file(const struct project *p, const char *path);

#endif

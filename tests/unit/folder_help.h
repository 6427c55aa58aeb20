/* folder_help: a fresh folder for a test, counted and taken away again. */
#ifndef FOLDER_HELP_H
#define FOLDER_HELP_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

enum { FOLDER_MAX = 64 };

static inline void folder_make(char dir[static FOLDER_MAX])
{
    strncpy(dir, "/tmp/perilune-unit-XXXXXX", FOLDER_MAX);
    assert_non_null(mkdtemp(dir));
}

static inline int folder_remove_one(const char *path, const struct stat *st, int flag,
                                    struct FTW *f)
{
    (void)st, (void)flag, (void)f;
    return remove(path);
}

/* The folder and all in it. */
static inline void folder_remove(const char *dir)
{
    nftw(dir, folder_remove_one, 20, FTW_DEPTH | FTW_PHYS);
}

static size_t folder_count;

static inline int folder_count_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)path, (void)st, (void)f;
    folder_count += flag == FTW_F;
    return 0;
}

/* Files below dir/below. */
static inline size_t folder_files(const char *dir, const char *below)
{
    char path[FOLDER_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", dir, below);
    folder_count = 0;
    nftw(path, folder_count_one, 16, FTW_PHYS);
    return folder_count;
}

#endif

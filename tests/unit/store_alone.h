/* store_alone: for the tests that need a store, `f`, and nothing else: set up and torn down. */
#ifndef STORE_ALONE_H
#define STORE_ALONE_H

#include "store_help.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    f = (struct fixture){0};
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_deinit(&f);
    return 0;
}

#endif

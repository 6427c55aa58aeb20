/* pages: memory that idles.
 *
 * Relocating and setting up what is linked touches about 6 MiB of program text and constants, most of
 * it never again: a process that idles need not keep them mapped. They stay in the page cache, so that
 * what is needed after all costs a fault of a microsecond for each 64 KiB. */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

/* n bytes of zeros that take no memory where nobody has written. (calloc writes them itself when it
 * uses freed memory again.) NULL: none is left. */
void *pages_zero(size_t n);
void pages_zero_free(void *p, size_t n);

/* For a block that will be filled, in a process that has called pages_allow_large: from PAGES_LARGE bytes
 * on its pages may come in pieces of 2 MiB instead of by a fault for each 4 KiB. Such a piece takes the
 * kernel up to some ms where memory is in disorder: not for a loop. */
enum { PAGES_LARGE = 4 * 1024 * 1024 };
void pages_allow_large(void);
void pages_large(void *p, size_t n);

/* Unmaps the text and constants of the program and its libraries, and gives free heap back. */
void pages_give_back(void);

#endif

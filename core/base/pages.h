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

/* Unmaps the text and constants of the program and its libraries, and gives free heap back. */
void pages_give_back(void);

#endif

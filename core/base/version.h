/* version: the one place that says which release this is. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define PERILUNE_VERSION "0.1.0"

#endif

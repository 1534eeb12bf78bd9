/* Splitting a loop over host threads. */
#ifndef GQE_THREADS_H
#define GQE_THREADS_H

#include <stdint.h>

/* Handles items first...last-1; `user` is shared by all threads. */
typedef void (*gqe_range_fn)(void *user, uint64_t first, uint64_t last);

/*
 * Runs `fn` over items 0...count-1 in pieces of `grain` items (0: chosen) on `threads` threads (0: the number of processors), and
 * returns when all are done. Threads are started for the call and joined; if none can be started the caller's does all the work.
 */
void gqe_parallel_for(uint32_t threads, uint64_t count, uint64_t grain, gqe_range_fn fn, void *user);

#endif

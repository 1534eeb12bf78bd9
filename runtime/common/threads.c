#include "common/threads.h"

#include "common/platform.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define MAX_THREADS 256
#define PIECES_PER_THREAD 8 /* with the grain left open: enough that uneven pieces even out */
/* A driver's compiler, and tiles of the reference: most systems give a thread 8 MiB, some 128 KiB. */
#define LEAST_STACK_BYTES (8u << 20)

struct loop {
	atomic_uint_fast64_t next; /* first item nobody has taken */
	uint64_t count, grain;
	gqe_range_fn fn;
	void *user;
};

static void *work(void *argument)
{
	struct loop *loop = argument;
	for (;;) {
		uint64_t first = atomic_fetch_add(&loop->next, loop->grain);
		if (first >= loop->count)
			return NULL;
		uint64_t left = loop->count - first;
		loop->fn(loop->user, first, first + (left < loop->grain ? left : loop->grain));
	}
}

static bool ensure_stack(pthread_attr_t *attributes)
{
	size_t bytes;
	return pthread_attr_getstacksize(attributes, &bytes) == 0 &&
	       (bytes >= LEAST_STACK_BYTES || pthread_attr_setstacksize(attributes, LEAST_STACK_BYTES) == 0);
}

static uint32_t start_helpers(struct loop *loop, uint32_t wanted, pthread_t helpers[MAX_THREADS])
{
	uint32_t started = 0;
	pthread_attr_t attributes;
	if (pthread_attr_init(&attributes) != 0)
		return 0;
	if (ensure_stack(&attributes)) {
		while (started < wanted && pthread_create(&helpers[started], &attributes, work, loop) == 0)
			started++;
	}
	pthread_attr_destroy(&attributes);
	return started;
}

void gqe_parallel_for(uint32_t threads, uint64_t count, uint64_t grain, gqe_range_fn fn, void *user)
{
	if (count == 0)
		return;
	if (threads == 0)
		threads = gqe_processor_count();
	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	if (grain == 0)
		grain = count / ((uint64_t)threads * PIECES_PER_THREAD);
	if (grain == 0)
		grain = 1;
	uint64_t pieces = count / grain + (count % grain != 0);
	if (threads > pieces)
		threads = (uint32_t)pieces;
	if (threads == 1) {
		for (uint64_t first = 0; first < count; first += grain)
			fn(user, first, count - first < grain ? count : first + grain);
		return;
	}

	struct loop loop = {.count = count, .grain = grain, .fn = fn, .user = user};
	atomic_init(&loop.next, 0);
	pthread_t helpers[MAX_THREADS];
	uint32_t started = start_helpers(&loop, threads - 1, helpers);
	work(&loop);
	for (uint32_t i = 0; i < started; i++)
		pthread_join(helpers[i], NULL);
}

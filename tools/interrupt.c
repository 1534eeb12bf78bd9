#include "interrupt.h"

#include <signal.h>

static volatile sig_atomic_t seen;

static void on_interrupt(int signal_number)
{
	seen = 1;
	signal(signal_number, SIG_DFL);
}

void interrupt_watch(void)
{
	seen = 0;
	signal(SIGINT, on_interrupt);
}

void interrupt_unwatch(void)
{
	signal(SIGINT, SIG_DFL);
}

bool interrupt_seen(void)
{
	return seen != 0;
}

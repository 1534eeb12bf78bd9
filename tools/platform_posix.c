#include "platform.h"

#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

void platform_begin(int *argc, char ***argv)
{
	(void)argc, (void)argv; /* as they should be */
}

FILE *file_open(const char *path, const char *mode)
{
	return fopen(path, mode);
}

bool file_replace(const char *from, const char *to)
{
	return rename(from, to) == 0;
}

void file_remove(const char *path)
{
	remove(path);
}

bool is_terminal(FILE *file)
{
	return isatty(fileno(file));
}

double now_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double processor_seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

bool describe_system(char *text, size_t size)
{
	struct utsname os;
	if (uname(&os) != 0)
		return false;
	snprintf(text, size, "%.80s %.80s %.80s", os.sysname, os.release, os.machine);
	return true;
}

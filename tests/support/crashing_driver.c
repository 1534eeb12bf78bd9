/* A Vulkan driver that crashes as soon as it is asked for anything: a broken one among good ones, for test_probe.c. */
#include <signal.h>

void (*vk_icdGetInstanceProcAddr(void *instance, const char *name))(void);

void (*vk_icdGetInstanceProcAddr(void *instance, const char *name))(void)
{
	(void)instance, (void)name;
	raise(SIGSEGV);
	return 0;
}

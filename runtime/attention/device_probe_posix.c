/* Listing devices in child processes, so that a driver that crashes takes nothing with it. */
#include "attention/context.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_DRIVERS 64
/* A driver that says nothing for so long hangs. */
#define SILENCE_MS 10000

/* What a child writes first; then `count` of gqe_device_info. */
struct answer {
	gqe_status status;
	uint32_t count;
	gqe_error error;
};

struct probe {
	gqe_device_info *devices; /* [count], malloc'ed */
	uint32_t count;
	char *manifests[MAX_DRIVERS];
	uint32_t manifest_count;
};

static bool write_all(int file, const void *data, size_t bytes)
{
	for (const char *at = data; bytes > 0;) {
		ssize_t written = write(file, at, bytes);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		at += written;
		bytes -= (size_t)written;
	}
	return true;
}

/* False: the other end was closed, or silent for too long. */
static bool read_all(int file, void *data, size_t bytes)
{
	for (char *at = data; bytes > 0;) {
		struct pollfd ready = {.fd = file, .events = POLLIN};
		int polled = poll(&ready, 1, SILENCE_MS);
		ssize_t got = polled > 0 ? read(file, at, bytes) : polled;
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		bytes -= (size_t)got;
	}
	return true;
}

/* The application's handlers are not meant for a child's crash: they might go on with its work in the child. */
static void die_of_crashes(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
	sigset_t crashes;
	sigemptyset(&crashes);
	for (size_t i = 0; i < GQE_COUNT(signals); i++) {
		signal(signals[i], SIG_DFL);
		sigaddset(&crashes, signals[i]);
	}
	sigprocmask(SIG_UNBLOCK, &crashes, NULL);
}

/* In the child: asks the drivers, of one manifest or all, and never returns. */
static _Noreturn void answer_and_exit(int file, const char *manifest)
{
	gqe_device_list *list = NULL;
	struct answer answer = {0};
	die_of_crashes();
	if (manifest != NULL) {
		setenv("VK_DRIVER_FILES", manifest, 1);
		setenv("VK_ICD_FILENAMES", manifest, 1);
	}
	answer.status = gqe_device_list_create(&list, &answer.error);
	answer.count = list != NULL ? list->count : 0;
	bool written = write_all(file, &answer, sizeof(answer));
	if (written && answer.count > 0)
		written = write_all(file, list->devices, answer.count * sizeof(list->devices[0]));
	_exit(written ? 0 : 1); /* no handlers of the application, no destructors of the driver */
}

static gqe_status append_devices(struct probe *probe, uint32_t count, gqe_device_info **added, gqe_error *error)
{
	gqe_device_info *grown = realloc(probe->devices, ((size_t)probe->count + count) * sizeof(*grown));
	if (grown == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a list of devices");
	probe->devices = grown;
	*added = grown + probe->count;
	return GQE_OK;
}

static gqe_status read_answer(struct probe *probe, int file, bool *complete, gqe_error *error)
{
	struct answer answer;
	gqe_device_info *added = NULL;
	*complete = read_all(file, &answer, sizeof(answer));
	if (!*complete)
		return GQE_OK;
	if (answer.status != GQE_OK)
		return gqe_fail(error, answer.status, "%s", answer.error.message);
	if (answer.count == 0)
		return GQE_OK;
	gqe_status status = append_devices(probe, answer.count, &added, error);
	if (status != GQE_OK)
		return status;
	*complete = read_all(file, added, answer.count * sizeof(*added));
	for (uint32_t i = 0; *complete && i < answer.count; i++)
		added[i].index = probe->count++;
	return GQE_OK;
}

/* Adds a child's devices. `*ended` is how it ended, as of waitpid, when it did not answer; 0: it did. */
static gqe_status ask_child(struct probe *probe, const char *manifest, int *ended, gqe_error *error)
{
	int ends[2];
	*ended = 0;
	if (pipe(ends) != 0)
		return gqe_fail(error, GQE_ERROR_INTERNAL, "a pipe to a child process cannot be made: %s", strerror(errno));
	pid_t child = fork();
	if (child < 0) {
		close(ends[0]);
		close(ends[1]);
		return gqe_fail(error, GQE_ERROR_INTERNAL, "a child process cannot be started: %s", strerror(errno));
	}
	if (child == 0) {
		close(ends[0]);
		answer_and_exit(ends[1], manifest);
	}
	close(ends[1]);
	bool complete;
	gqe_status status = read_answer(probe, ends[0], &complete, error);
	close(ends[0]);
	if (!complete)
		kill(child, SIGKILL); /* it hangs, unless it is dead already: then its first death counts */
	int how = 0;
	while (waitpid(child, &how, 0) < 0 && errno == EINTR)
		;
	if (!complete)
		*ended = how != 0 ? how : -1;
	return status;
}

static void add_manifest(struct probe *probe, const char *text, size_t length)
{
	char *copy = length > 0 && probe->manifest_count < MAX_DRIVERS ? malloc(length + 1) : NULL;
	if (copy == NULL)
		return;
	memcpy(copy, text, length);
	copy[length] = 0;
	probe->manifests[probe->manifest_count++] = copy;
}

static int is_manifest(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);
	return length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

static void add_folder(struct probe *probe, const char *base, const char *below)
{
	char path[4096], file[4096 + 256];
	struct dirent **entries = NULL;
	snprintf(path, sizeof(path), "%s%s/vulkan/icd.d", base, below);
	int count = scandir(path, &entries, is_manifest, alphasort);
	for (int i = 0; i < count; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		add_manifest(probe, file, strlen(file));
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

/* Where the Vulkan loader looks for drivers. */
static void find_manifests(struct probe *probe)
{
	const char *listed = getenv("VK_DRIVER_FILES"), *home = getenv("HOME");
	if (listed == NULL)
		listed = getenv("VK_ICD_FILENAMES");
	if (listed != NULL) {
		for (const char *at = listed; *at != 0;) {
			size_t length = strcspn(at, ":");
			add_manifest(probe, at, length);
			at += length + (at[length] == ':');
		}
		return;
	}
	static const char *const folders[] = {"/etc/xdg", "/etc", "/usr/local/etc", "/usr/local/share", "/usr/share"};
	if (home != NULL) {
		add_folder(probe, home, "/.config");
		add_folder(probe, home, "/.local/share");
	}
	for (size_t i = 0; i < GQE_COUNT(folders); i++)
		add_folder(probe, folders[i], "");
}

/* Lists a driver that did not answer as a device that is no use. */
static gqe_status add_dead_driver(struct probe *probe, const char *manifest, int ended, gqe_error *error)
{
	gqe_device_info *added = NULL;
	gqe_status status = append_devices(probe, 1, &added, error);
	if (status != GQE_OK)
		return status;
	const char *name = strrchr(manifest, '/');
	*added = (gqe_device_info){.index = probe->count++, .type = GQE_DEVICE_OTHER};
	snprintf(added->name, sizeof(added->name), "%.200s", name != NULL ? name + 1 : manifest);
	const int signal_number = ended > 0 && WIFSIGNALED(ended) ? WTERMSIG(ended) : 0;
	if (signal_number == SIGKILL)
		snprintf(added->rejected, sizeof(added->rejected),
			 "the driver hangs; leave it out of VK_DRIVER_FILES, or remove it");
	else if (signal_number != 0)
		snprintf(added->rejected, sizeof(added->rejected),
			 "the driver crashes (signal %d); leave it out of VK_DRIVER_FILES, or remove it", signal_number);
	else
		snprintf(added->rejected, sizeof(added->rejected),
			 "the driver ends the process; leave it out of VK_DRIVER_FILES, or remove it");
	return GQE_OK;
}

/* One child a driver, when one child for all of them died. */
static gqe_status ask_each(struct probe *probe, gqe_error *error)
{
	gqe_status status = GQE_OK;
	find_manifests(probe);
	for (uint32_t i = 0; i < probe->manifest_count && status == GQE_OK; i++) {
		int ended;
		status = ask_child(probe, probe->manifests[i], &ended, error);
		if (status == GQE_OK && ended != 0)
			status = add_dead_driver(probe, probe->manifests[i], ended, error);
	}
	for (uint32_t i = 0; i < probe->manifest_count; i++)
		free(probe->manifests[i]);
	return status;
}

gqe_status gqe_device_list_probe(gqe_device_list **list, gqe_error *error)
{
	if (list == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_device_list_probe: list is NULL");
	*list = NULL;
	struct probe probe = {0};
	int ended;
	gqe_status status = ask_child(&probe, NULL, &ended, error);
	if (status == GQE_OK && ended != 0)
		status = ask_each(&probe, error);
	gqe_device_list *made = status == GQE_OK ? calloc(1, sizeof(*made)) : NULL;
	if (made == NULL) {
		free(probe.devices);
		return status != GQE_OK ? status : gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a list of devices");
	}
	made->count = probe.count;
	made->devices = probe.devices;
	*list = made;
	return GQE_OK;
}

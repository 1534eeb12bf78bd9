#define WIN32_LEAN_AND_MEAN
#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdint.h>
#include <stdlib.h>
#include <wchar.h>
#include <windows.h>
/* After windows.h, which it needs. */
#include <shellapi.h>

/* The library converts in the same way; the program sees its public headers only. UTF-16, malloc'ed; NULL, with errno, when it is
 * no UTF-8 or memory is exhausted. */
static wchar_t *to_wide(const char *text)
{
	int count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
	wchar_t *wide = count > 0 ? malloc((size_t)count * sizeof(*wide)) : NULL;
	if (wide)
		MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, count);
	else
		errno = count > 0 ? ENOMEM : EILSEQ;
	return wide;
}

static char *to_utf8(const wchar_t *wide)
{
	int bytes = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
	char *text = bytes > 0 ? malloc((size_t)bytes) : NULL;
	if (text)
		WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, bytes, NULL, NULL);
	return text;
}

static UINT old_code_page;

static void restore_console(void)
{
	SetConsoleOutputCP(old_code_page);
}

/* The arguments live as long as the program. Without memory for them it goes on with those in the code page of the system. */
void platform_begin(int *argc, char ***argv)
{
	int count = 0;
	wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
	char **utf8 = wide ? calloc((size_t)count + 1, sizeof(*utf8)) : NULL;
	bool complete = utf8 != NULL;
	for (int i = 0; complete && i < count; i++)
		complete = (utf8[i] = to_utf8(wide[i])) != NULL;
	if (complete) {
		*argc = count;
		*argv = utf8;
	}
	LocalFree(wide);

	FILE *streams[] = {stdin, stdout, stderr};
	for (size_t i = 0; i < 3; i++)
		_setmode(_fileno(streams[i]), _O_BINARY);
	if ((is_terminal(stdout) || is_terminal(stderr)) && (old_code_page = GetConsoleOutputCP()) != 0 &&
	    SetConsoleOutputCP(CP_UTF8))
		atexit(restore_console);
}

FILE *file_open(const char *path, const char *mode)
{
	wchar_t *wide = to_wide(path), *wide_mode = to_wide(mode);
	FILE *file = wide && wide_mode ? _wfopen(wide, wide_mode) : NULL;
	free(wide);
	free(wide_mode);
	return file;
}

/* rename() does not replace here. */
bool file_replace(const char *from, const char *to)
{
	wchar_t *wide_from = to_wide(from), *wide_to = to_wide(to);
	bool done = wide_from && wide_to && MoveFileExW(wide_from, wide_to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH);
	if (!done && wide_from && wide_to)
		errno = GetLastError() == ERROR_FILE_NOT_FOUND ? ENOENT : EACCES;
	free(wide_from);
	free(wide_to);
	return done;
}

void file_remove(const char *path)
{
	wchar_t *wide = to_wide(path);
	if (wide)
		DeleteFileW(wide);
	free(wide);
}

bool is_terminal(FILE *file)
{
	return _isatty(_fileno(file));
}

double now_seconds(void)
{
	LARGE_INTEGER ticks, ticks_per_second;
	QueryPerformanceCounter(&ticks);
	QueryPerformanceFrequency(&ticks_per_second);
	return (double)ticks.QuadPart / (double)ticks_per_second.QuadPart;
}

/* clock() is wall-clock time here. */
double processor_seconds(void)
{
	FILETIME created, ended, kernel, user;
	if (!GetProcessTimes(GetCurrentProcess(), &created, &ended, &kernel, &user))
		return 0;
	uint64_t hundreds_of_ns = ((uint64_t)kernel.dwHighDateTime << 32) + kernel.dwLowDateTime +
				  ((uint64_t)user.dwHighDateTime << 32) + user.dwLowDateTime;
	return 1e-7 * (double)hundreds_of_ns;
}

/* GetVersion tells programs without a manifest of their own an old version; this function tells the truth. */
bool describe_system(char *text, size_t size)
{
	typedef LONG(WINAPI * get_version_fn)(OSVERSIONINFOW *);
	HMODULE library = GetModuleHandleW(L"ntdll.dll");
	get_version_fn get_version = library ? (get_version_fn)(void (*)(void))GetProcAddress(library, "RtlGetVersion") : NULL;
	OSVERSIONINFOW os = {.dwOSVersionInfoSize = sizeof(os)};
	if (!get_version || get_version(&os) != 0)
		return false;
	snprintf(text, size, "Windows %lu.%lu.%lu %s", os.dwMajorVersion, os.dwMinorVersion, os.dwBuildNumber,
		 sizeof(void *) == 8 ? "x86_64" : "x86");
	return true;
}

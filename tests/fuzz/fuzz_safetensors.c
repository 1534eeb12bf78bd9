/* libFuzzer: any bytes as a .safetensors file. What opens is read completely, so that one byte too many is seen. */
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

static volatile uint8_t sink; /* so that reads are not optimized away */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Blind changes hardly ever leave a header length that fits, so seven times of eight it is set to end after the last '}'. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed)
{
	size = LLVMFuzzerMutate(data, size, capacity);
	size_t end = size;
	while (end > 8 && data[end - 1] != '}')
		end--;
	if (seed % 8 == 0 || end <= 8)
		return size;
	for (int i = 0; i < 8; i++)
		data[i] = (uint8_t)((uint64_t)(end - 8) >> (8 * i));
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	gqe_tensor_file *file = NULL;
	gqe_error error = {0};
	size_t count = 0;

	gqe_status status = gqe_tensor_file_open_memory("fuzz.safetensors", data, size, &file, &error);
	if (status == GQE_ERROR_BAD_INPUT && strstr(error.message, "fuzz.safetensors") && !strchr(error.message, '\n') && !file)
		return 0;
	if (status != GQE_OK)
		abort();

	const gqe_tensor *tensors = gqe_tensor_file_tensors(file, &count);
	uint64_t bytes = 0;
	for (size_t i = 0; i < count; i++) {
		for (uint64_t j = 0; j < tensors[i].bytes; j++)
			sink = ((const uint8_t *)tensors[i].data)[j];
		bytes += tensors[i].bytes;
		if (tensors[i].rank > GQE_MAX_RANK || gqe_tensor_file_find(file, tensors[i].name) != &tensors[i])
			abort();
	}
	if (bytes > size)
		abort(); /* tensors overlap */
	gqe_tensor_file_destroy(&file);
	return 0;
}

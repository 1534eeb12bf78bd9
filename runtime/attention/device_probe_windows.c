/* There is no fork; the loader of this system asks drivers in its own way. */
#include "attention/context.h"

gqe_status gqe_device_list_probe(gqe_device_list **list, gqe_error *error)
{
	return gqe_device_list_create(list, error);
}

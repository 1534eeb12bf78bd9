/* A model folder: its config and the tensors of its files. */
#ifndef GQE_MODEL_MODEL_FILES_H
#define GQE_MODEL_MODEL_FILES_H

#include "model/model_tensors.h"

/* The tensors as the model needs them, checked against the config; owned by `files`. */
const struct gqe_model_tensors *gqe_model_files_model(const gqe_model_files *files);

#endif

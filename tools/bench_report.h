/* The forms in which `gqe bench` shows its result. */
#ifndef GQE_TOOLS_BENCH_REPORT_H
#define GQE_TOOLS_BENCH_REPORT_H

#include "bench_measure.h"

void bench_print_table(const struct bench_result *result);
void bench_print_markdown(const struct bench_result *result);
/* One line a record, each with the device, driver and commit. */
void bench_print_csv(const struct bench_result *result);
/* 1200 x 800, PNG. */
gqe_status bench_plot(const struct bench_result *result, const char *path, gqe_error *error);
cJSON *bench_json(const struct bench_result *result);

#endif

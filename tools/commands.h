/* The commands. Each reads its own arguments (those after its name) and returns the exit code. */
#ifndef GQE_TOOLS_COMMANDS_H
#define GQE_TOOLS_COMMANDS_H

#include <gqe/gqe.h>

gqe_status cmd_devices(int argc, char **argv);
gqe_status cmd_run(int argc, char **argv);
gqe_status cmd_layer(int argc, char **argv);
gqe_status cmd_inspect(int argc, char **argv);
gqe_status cmd_bench(int argc, char **argv);
gqe_status cmd_selftest(int argc, char **argv);
gqe_status cmd_compare(int argc, char **argv);
gqe_status cmd_report(int argc, char **argv);
gqe_status cmd_routes(int argc, char **argv);
gqe_status cmd_tune(int argc, char **argv);

#endif

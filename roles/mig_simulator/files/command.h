/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mig-simulator: what its verbs share. A verb gets its own name as argv[0] and returns the exit status: 0, 1 for a
 * failure, 2 for wrong usage, after one sentence on stderr. */
#ifndef COMMAND_H
#define COMMAND_H

#include "state.h"

#include <stdio.h>

int verb_init(int argc, char **argv);
int verb_show(int argc, char **argv);
int verb_run(int argc, char **argv);
int verb_hold(int argc, char **argv);
int verb_fault(int argc, char **argv);
int verb_calls(int argc, char **argv);
int verb_reboot(int argc, char **argv);
int verb_reload_driver(int argc, char **argv);
int verb_passthrough(int argc, char **argv);
int verb_fabric_manager(int argc, char **argv);

__attribute__((format(printf, 1, 2))) int failure(const char *format, ...);     /* returns 1 */
__attribute__((format(printf, 1, 2))) int wrong_usage(const char *format, ...); /* returns 2 */

/* What the option parser (getopt_long with a leading ':') stopped at; returns 2. */
int wrong_option(int parsed, char **argv);

/* A whole number of at most `most`; false for anything else. */
bool number_of(const char *text, unsigned long most, unsigned long *number);

/* The host that MIG_SIMULATOR_STATE names. False: a sentence was printed. */
bool open_host(struct state *state);
bool begin_change(struct state *state);

/* The names most like a wrong one, as ": did you mean A, B or C?", or "" where nothing is like it. */
const char *suggestion(const char *wrong, const char *(*name)(unsigned), unsigned count);

/* Text between quotation marks, escaped for JSON. */
void json_text(const char *text);

/* What a client's type is called: compute, graphics, mps, holder. */
extern const char *const client_types[];

/* A fault in words, and in JSON. */
void print_fault(const struct fault *fault);
void json_fault(const struct fault *fault);

#endif

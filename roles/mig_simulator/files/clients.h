/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The processes that use GPUs. They are real ones: a client is there for as long as its process lives. */
#ifndef CLIENTS_H
#define CLIENTS_H

#include "state.h"

/* When the process began, in clock ticks since boot. False: no such process, or it has ended. */
bool process_start_time(pid_t pid, uint64_t *ticks);

bool client_alive(const struct client *client);

/* Whether a live client uses the compute instance of this serial. */
bool compute_instance_busy(const struct host *host, uint32_t serial);

/* Whether a live client subscribes to the GPU instance of this serial. */
bool gpu_instance_subscribed(const struct host *host, uint32_t serial);

/* Whether a live process computes or draws on the GPU or any of its instances. */
bool gpu_computes(const struct host *host, unsigned gpu);

/* Whether a live client or holder is on the GPU or any of its instances. */
bool gpu_busy(const struct host *host, unsigned gpu);

/* Forget the dead and add this client; false: MAX_CLIENTS are alive. */
bool client_add(struct host *host, const struct client *client);

#endif

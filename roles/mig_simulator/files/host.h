/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What happens to a simulated host as a whole: making it, reset, reboot, reload of the driver, permissions. */
#ifndef HOST_H
#define HOST_H

#include "state.h"

/* state_open, and a reboot of the simulated host where the machine has another boot id than when it was last seen. */
enum state_result host_attach(struct state *state, const char *path);

/* Add `count` GPUs of this model, with MIG mode on if `mig` and the model has MIG. False: more than MAX_GPUS. The
 * seed makes their UUIDs and serial numbers; one seed, one set of them. */
bool host_add_gpus(struct host *host, const struct model *model, unsigned count, bool mig, uint64_t seed);

/* The machine's boot id. */
void host_read_boot_id(char text[40]);

bool host_has_mig(const struct gpu *gpu);

/* Whether the GPU answers questions about its profiles with MIG off. */
bool host_tells_profiles(const struct host *host, const struct gpu *gpu);

/* The pending mode becomes the mode and every instance vanishes. */
void gpu_reset(struct gpu *gpu);

/* Whether a reset of this GPU takes all others for which this is true: Ampere on NVSwitches without Fabric Manager. */
bool host_resets_together(const struct host *host, const struct gpu *gpu);

enum reset_result { RESET_NOT_WANTED, RESET_WANTED, RESET_MISSING, RESET_DONE, RESET_DONE_TOGETHER };

/* nvidia-smi --gpu-reset of the GPUs marked RESET_WANTED, as the administrator. Marks what was done. Peers that would
 * have to be reset in the same command are marked RESET_MISSING, and then nothing was done. A GPU that cannot be reset
 * gets a reason in words and keeps its peers, which stay RESET_WANTED, from it too. */
void host_reset_gpus(struct state *state, enum reset_result results[MAX_GPUS], const char *reasons[MAX_GPUS]);

/* Instances, clients and settings vanish and pending modes take effect; from Hopper on the mode is lost. */
void host_reboot(struct host *host);

/* The same for a reload of the driver. False: a GPU is in use and nothing was done. */
bool host_reload_driver(struct host *host);

/* Whether the effective user counts as root to this host. */
bool host_admin(const struct host *host);

/* Whether the mode of the capability file lets the effective user read it. Being root in itself does not count: the
 * administrator of the simulated host is somebody else then. */
bool host_capability(const char *path);

/* The minor number of a GPU instance's capability, on the GPU of this minor number. */
unsigned host_capability_minor(unsigned gpu, unsigned gpu_instance);

/* The change under way becomes the host (state_change_commit), and the files of what instances came and went with it. */
void host_commit(struct state *state);

/* Make the files beside the state file that stand for /proc/driver: PATH.proc. False: errno says why. */
bool host_make_proc(const char *path, const struct host *host);

/* Of the GPU instances and compute instances, beside that: make the files of those that came between the two hosts, and
 * take away those of what went. Who may not, leaves it. */
void host_show_instances(const char *path, const struct host *before, const struct host *after);

#endif

/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How an NVML function is written here
 *
 * List it in nvml_functions.h (name, first driver branch), then define it with NVML(name, parameters, arguments):
 *
 *     NVML(nvmlDeviceGetMinorNumber, (nvmlDevice_t device, unsigned *minorNumber), (device, minorNumber))
 *     {
 *         DEVICE(d, device);
 *         if (!minorNumber)
 *             return NVML_ERROR_INVALID_ARGUMENT;
 *         if (d.gpu_instance)
 *             return NVML_ERROR_NOT_SUPPORTED;
 *         *minorNumber = d.gpu->minor;
 *         return NVML_SUCCESS;
 *     }
 *
 * NVML() makes the exported function around this body. It takes the library's lock, answers UNINITIALIZED outside a
 * session, counts the call, brings the host up to date, answers FUNCTION_NOT_FOUND where the simulated driver is too
 * old and lets faults strike, all without a system call. So a body runs alone, and sees one state of the host, `host`,
 * from beginning to end; pointers into it end with the body. A body must not call an NVML function (the lock is not
 * recursive): what two need is a static function. One that waits releases the lock meanwhile with session_unlock and
 * session_lock, and keeps no pointer into the host across it.
 *
 * DEVICE(d, handle) declares `struct device d` for a GPU or MIG device handle, or returns INVALID_ARGUMENT; for a GPU
 * d.gpu_instance is NULL. GPU(d, handle, code) takes GPU handles only and answers `code` for MIG devices.
 *
 * To change the host, with a struct host *draft that is locked against other processes:
 *
 *     CHANGE(draft);                                   or returns
 *     draft->gpus[d.index].settings... = ...;
 *     return change_commit();                          or change_cancel(code)
 *
 * What came from `host` before CHANGE may be outdated: look again in the draft where it matters. What can be set lives
 * in struct settings (state.h), all-zero after a reboot; steady values of a model belong in catalogue.yml. */
#ifndef SESSION_H
#define SESSION_H

#include "functions.h"
#include "nvml.h"
#include "state.h"

#define EXPORT __attribute__((visibility("default")))

#define NVML(name, parameters, arguments)                                                                             \
    static nvmlReturn_t body_##name parameters;                                                                       \
    EXPORT nvmlReturn_t name parameters                                                                               \
    {                                                                                                                 \
        nvmlReturn_t answer;                                                                                          \
        if (call_begin(FUNCTION_##name, &answer))                                                                     \
            answer = call_end(body_##name arguments);                                                                 \
        return answer;                                                                                                \
    }                                                                                                                 \
    static nvmlReturn_t body_##name parameters

#define DEVICE(d, handle)                                                                                             \
    struct device d;                                                                                                  \
    if (!find_device(handle, &d))                                                                                     \
    return NVML_ERROR_INVALID_ARGUMENT

#define GPU(d, handle, code)                                                                                          \
    DEVICE(d, handle);                                                                                                \
    if (d.gpu_instance)                                                                                               \
    return code

#define CHANGE(draft)                                                                                                 \
    struct host *draft;                                                                                               \
    do {                                                                                                              \
        nvmlReturn_t not_begun = change_begin(&draft);                                                                \
        if (not_begun != NVML_SUCCESS)                                                                                \
            return not_begun;                                                                                         \
    } while (0)

/* The simulated host as of this call. */
extern const struct host *const host;

struct device {
    unsigned index; /* of the GPU */
    const struct gpu *gpu;
    const struct model *model;
    const struct gpu_instance *gpu_instance; /* this and the next two: NULL for a GPU */
    const struct profile *profile;
    const struct compute_instance *compute_instance;
};

bool find_device(nvmlDevice_t handle, struct device *device);

/* True: the lock is held and the body may run. False: `answer` is what the function returns. */
bool call_begin(enum function function, nvmlReturn_t *answer);
nvmlReturn_t call_end(nvmlReturn_t answer);

/* For functions that wait. False from session_lock: the session has ended meanwhile, return UNINITIALIZED. */
void session_unlock(void);
bool session_lock(void);

/* Counts the sessions of this process: what belongs to an earlier one is void. */
unsigned session_number(void);

nvmlReturn_t change_begin(struct host **draft);
nvmlReturn_t change_commit(void); /* returns NVML_SUCCESS */
nvmlReturn_t change_cancel(nvmlReturn_t code); /* returns the code */

/* Whether the effective user is the host's administrator, and whether it may see and change instances: as
 * administrator, or by the mode of the capability file. They cost system calls. */
bool caller_is_admin(void);
bool caller_may_configure_mig(void);

/* Copy text into a caller's buffer: INVALID_ARGUMENT without one, INSUFFICIENT_SIZE where it does not fit. */
nvmlReturn_t give_text(char *buffer, unsigned length, const char *text);

/* The handle of a GPU. */
nvmlDevice_t gpu_handle(unsigned index);

#endif

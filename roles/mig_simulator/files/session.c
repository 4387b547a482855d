/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "session.h"

#include "faults.h"
#include "host.h"
#include "symbols.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct state state = {.lock = -1};
static unsigned references; /* nvmlInit less nvmlShutdown */
static unsigned number;     /* of sessions begun */
static bool kill_after;     /* the call under way ends with the caller's death */

const struct host *const host = &state.current.host;

static nvmlReturn_t code_of(enum state_result result)
{
    switch (result) {
    case STATE_OK:
        return NVML_SUCCESS;
    case STATE_ABSENT:
        return NVML_ERROR_DRIVER_NOT_LOADED;
    case STATE_OTHER_BUILD:
        return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    case STATE_REPLACED:
        return NVML_ERROR_GPU_IS_LOST;
    case STATE_READ_ONLY:
        return NVML_ERROR_NO_PERMISSION;
    case STATE_FAILED:
        return NVML_ERROR_OPERATING_SYSTEM;
    case STATE_FOREIGN:
    case STATE_DAMAGED:
        break;
    }
    return NVML_ERROR_UNKNOWN;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

void session_unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

bool session_lock(void)
{
    pthread_mutex_lock(&mutex);
    return references > 0;
}

unsigned session_number(void)
{
    return number;
}

static void wait_milliseconds(unsigned milliseconds)
{
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    session_unlock();
    while (nanosleep(&left, &left))
        ;
    session_lock();
}

/* What the function answers without running; NVML_SUCCESS with `run` set: nothing, it runs. */
static nvmlReturn_t before(enum function function, bool *run)
{
    *run = false;
    if (!references)
        return NVML_ERROR_UNINITIALIZED;
    atomic_fetch_add_explicit(&state.counters->calls[function], 1, memory_order_relaxed);
    enum state_result result = state_refresh(&state);
    if (result != STATE_OK)
        return code_of(result);
    if (functions[function].since > host->driver_branch)
        return NVML_ERROR_FUNCTION_NOT_FOUND;
    struct strike strike = fault_strike(host, state.counters, function);
    if (strike.delay) {
        wait_milliseconds(strike.delay);
        if (!references)
            return NVML_ERROR_UNINITIALIZED;
        result = state_refresh(&state);
        if (result != STATE_OK)
            return code_of(result);
    }
    switch (strike.action) {
    case FAULT_RETURN:
        return (nvmlReturn_t)strike.value;
    case FAULT_LIE:
        return NVML_SUCCESS;
    case FAULT_KILL_BEFORE:
        die();
        break;
    default:
        break;
    }
    kill_after = strike.action == FAULT_KILL_AFTER;
    *run = true;
    return NVML_SUCCESS;
}

bool call_begin(enum function function, nvmlReturn_t *answer)
{
    bool run;
    session_lock();
    *answer = before(function, &run);
    if (!run)
        session_unlock();
    return run;
}

nvmlReturn_t call_end(nvmlReturn_t answer)
{
    if (kill_after)
        die();
    session_unlock();
    return answer;
}

nvmlReturn_t change_begin(struct host **draft)
{
    *draft = &state.draft.host;
    return code_of(state_change_begin(&state));
}

nvmlReturn_t change_commit(void)
{
    host_commit(&state);
    return NVML_SUCCESS;
}

nvmlReturn_t change_cancel(nvmlReturn_t code)
{
    state_change_cancel(&state);
    return code;
}

bool caller_is_admin(void)
{
    return host_admin(host);
}

bool caller_may_configure_mig(void)
{
    return host_admin(host) || host_capability(state.path);
}

nvmlReturn_t give_text(char *buffer, unsigned length, const char *text)
{
    if (!buffer)
        return NVML_ERROR_INVALID_ARGUMENT;
    size_t size = strlen(text) + 1;
    if (length < size)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    memcpy(buffer, text, size);
    return NVML_SUCCESS;
}

static void release(void)
{
    if (--references == 0)
        state_close(&state);
}

static nvmlReturn_t initialise(enum function function)
{
    bool run;
    session_lock();
    if (!references) {
        enum state_result result = host_attach(&state, state_path());
        if (result != STATE_OK) {
            session_unlock();
            return code_of(result);
        }
        symbols_show(host->driver_branch);
        atomic_fetch_add(&state.counters->sessions, 1);
        number++;
    }
    references++;
    nvmlReturn_t answer = before(function, &run);
    if (!run) {
        if (references) /* not shut down by another thread while a fault delayed this one */
            release();
        session_unlock();
        return answer;
    }
    return call_end(NVML_SUCCESS);
}

EXPORT nvmlReturn_t nvmlInit(void)
{
    return initialise(FUNCTION_nvmlInit);
}

EXPORT nvmlReturn_t nvmlInit_v2(void)
{
    return initialise(FUNCTION_nvmlInit_v2);
}

EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned flags)
{
    (void)flags; /* NO_GPUS and NO_ATTACH ask for less than is done */
    return initialise(FUNCTION_nvmlInitWithFlags);
}

NVML(nvmlShutdown, (void), ())
{
    release();
    return NVML_SUCCESS;
}

/* A library that is closed without nvmlShutdown leaves no mapping behind. At the end of the process too, where threads
 * may still call: they find no session, and one that is in a call keeps its mapping. */
__attribute__((destructor)) static void unload(void)
{
    if (pthread_mutex_trylock(&mutex))
        return;
    references = 0;
    state_close(&state);
    session_unlock();
}

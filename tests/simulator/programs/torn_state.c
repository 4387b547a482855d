/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * torn_state STATE KILLS SEED: writers count up one number that stands all over the host, and are killed at random
 * moments; readers must always see the same number everywhere, and never a smaller one than before. */
#include "check.h"
#include "state.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRITERS = 2, READERS = 2 };

static struct state state;

static uint64_t number_in(const struct host *host)
{
    uint64_t number = host->gpus[0].serial;
    for (unsigned i = 0; i < MAX_GPUS; i++) {
        HOLDS(host->gpus[i].serial == number);
        for (unsigned g = 0; g < MAX_GPU_INSTANCES; g++)
            HOLDS(host->gpus[i].gpu_instances[g].serial == (uint32_t)number);
    }
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        HOLDS(host->clients[i].start_time == number);
    return number;
}

static void write_number(struct host *host, uint64_t number)
{
    for (unsigned i = 0; i < MAX_GPUS; i++) {
        host->gpus[i].serial = number;
        for (unsigned g = 0; g < MAX_GPU_INSTANCES; g++)
            host->gpus[i].gpu_instances[g].serial = (uint32_t)number;
    }
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        host->clients[i].start_time = number;
}

static void write_for_ever(void)
{
    for (;;) {
        HOLDS(state_change_begin(&state) == STATE_OK);
        write_number(&state.draft.host, number_in(&state.draft.host) + 1);
        state_change_commit(&state);
    }
}

static void read_for_ever(void)
{
    uint64_t last = 0;
    for (;;) {
        HOLDS(state_refresh(&state) == STATE_OK);
        uint64_t number = number_in(&state.current.host);
        HOLDS(number >= last);
        last = number;
    }
}

static pid_t start(const char *path, void (*work)(void))
{
    pid_t pid = fork();
    HOLDS(pid >= 0);
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* it runs for ever, but not longer than the test */
    if (getppid() == 1)
        _exit(0);
    HOLDS(state_open(&state, path) == STATE_OK);
    work();
    _exit(0);
}

static void end(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    HOLDS(waitpid(pid, &status, 0) == pid);
    HOLDS(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* it did not end by itself before */
}

int main(int argc, char **argv)
{
    HOLDS(argc == 4);
    static struct host host = {.gpu_count = 1, .driver_branch = 580};
    pid_t writers[WRITERS], readers[READERS];
    uint64_t seed = seed_from(argv[3]), last = 0;
    HOLDS(state_create(argv[1], &host) == STATE_OK);
    for (int i = 0; i < WRITERS; i++)
        writers[i] = start(argv[1], write_for_ever);
    for (int i = 0; i < READERS; i++)
        readers[i] = start(argv[1], read_for_ever);
    for (int kills = atoi(argv[2]); kills; kills--) {
        int writer = kills % WRITERS;
        usleep(random_number(&seed) % 3000);
        end(writers[writer]);
        HOLDS(state_open(&state, argv[1]) == STATE_OK);
        uint64_t number = number_in(&state.current.host);
        HOLDS(number >= last);
        last = number;
        state_close(&state);
        writers[writer] = start(argv[1], write_for_ever);
    }
    for (int i = 0; i < READERS; i++)
        end(readers[i]);
    for (int i = 0; i < WRITERS; i++)
        end(writers[i]);
    HOLDS(last > 0);
    printf("%llu changes\n", (unsigned long long)last);
    return 0;
}

/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "clients.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool process_start_time(pid_t pid, uint64_t *ticks)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return false;
    text[length] = 0;
    /* proc(5): pid (command) state ...; the start time is field 22. The command may hold blanks and parentheses. */
    const char *field = strrchr(text, ')');
    if (!field || !field[1] || field[2] == 'Z' || field[2] == 'X')
        return false;
    for (int i = 2; i < 22 && field; i++)
        field = strchr(field + 1, ' ');
    if (!field)
        return false;
    *ticks = strtoull(field + 1, NULL, 10);
    return true;
}

bool client_alive(const struct client *client)
{
    uint64_t ticks;
    return client->pid && process_start_time(client->pid, &ticks) && ticks == client->start_time;
}

bool compute_instance_busy(const struct host *host, uint32_t serial)
{
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (host->clients[i].pid && host->clients[i].compute_instance == serial && client_alive(&host->clients[i]))
            return true;
    return false;
}

bool gpu_instance_subscribed(const struct host *host, uint32_t serial)
{
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (host->clients[i].pid && host->clients[i].gpu_instance == serial && client_alive(&host->clients[i]))
            return true;
    return false;
}

bool gpu_computes(const struct host *host, unsigned gpu)
{
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (host->clients[i].pid && host->clients[i].gpu == gpu && host->clients[i].type != HOLDER &&
            client_alive(&host->clients[i]))
            return true;
    return false;
}

bool gpu_busy(const struct host *host, unsigned gpu)
{
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (host->clients[i].pid && host->clients[i].gpu == gpu && client_alive(&host->clients[i]))
            return true;
    return false;
}

bool client_add(struct host *host, const struct client *client)
{
    struct client *place = NULL;
    for (unsigned i = 0; i < MAX_CLIENTS; i++) {
        if (!client_alive(&host->clients[i]))
            host->clients[i] = (struct client){0};
        if (!host->clients[i].pid && !place)
            place = &host->clients[i];
    }
    if (place)
        *place = *client;
    return place;
}

/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The nvidia-smi stand-in: --query-gpu and --query-compute-apps as comma-separated values. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smi.h"

#define MAX_FIELDS 128

static const struct {
    const char *name, *unit;
} app_fields[] = {
    {"timestamp", ""},    {"gpu_name", ""},         {"gpu_bus_id", ""},
    {"gpu_serial", ""},   {"gpu_uuid", ""},         {"pid", ""},
    {"process_name", ""}, {"name", ""},             {"used_gpu_memory", " MiB"},
    {"used_memory", " MiB"},
};

#define APP_FIELDS ((int)(sizeof(app_fields) / sizeof(*app_fields)))

static int gpu_field_named(const char *field)
{
    for (int i = 0; i < smi_field_count; i++)
        if (strcmp(smi_fields[i].name, field) == 0)
            return i;
    return -1;
}

static int app_field_named(const char *field)
{
    for (int i = 0; i < APP_FIELDS; i++)
        if (strcmp(app_fields[i].name, field) == 0)
            return i;
    return -1;
}

struct columns {
    int count, fields[MAX_FIELDS];
    bool header, units;
};

/* Reads the comma-separated fields and format; returns 0, or the exit status after a message. */
static int parse(const char *fields, const char *format, int (*named)(const char *), struct columns *columns)
{
    columns->count = 0;
    columns->header = columns->units = true;
    bool csv = false;
    char *words = strdup(format ? format : ""), *rest = NULL;
    for (char *word = strtok_r(words, ", ", &rest); word; word = strtok_r(NULL, ", ", &rest)) {
        csv |= strcmp(word, "csv") == 0;
        columns->header &= strcmp(word, "noheader") != 0;
        columns->units &= strcmp(word, "nounits") != 0;
    }
    free(words);
    if (!csv) {
        printf("\"--format=\" switch is missing. Run nvidia-smi -h for more information.\n");
        return smi_exit_status(NVML_ERROR_INVALID_ARGUMENT);
    }
    int status = 0;
    words = strdup(fields);
    for (char *word = strtok_r(words, ", ", &rest); word && !status; word = strtok_r(NULL, ", ", &rest)) {
        int field = columns->count < MAX_FIELDS ? named(word) : -1;
        if (field < 0) {
            printf("Field \"%s\" is not a valid field to query.\n\n", word);
            status = smi_exit_status(NVML_ERROR_INVALID_ARGUMENT);
        } else {
            columns->fields[columns->count++] = field;
        }
    }
    free(words);
    return status;
}

static void header_cell(const struct columns *columns, int column, const char *field, const char *unit)
{
    printf("%s%s", column ? ", " : "", field);
    if (columns->units && *unit)
        printf(" [%s]", unit + 1);
    if (column == columns->count - 1)
        putchar('\n');
}

static void cell(const struct columns *columns, int column, nvmlReturn_t result, const char *value, const char *unit)
{
    if (result == NVML_SUCCESS)
        printf("%s%s%s", column ? ", " : "", value, columns->units ? unit : "");
    else
        printf("%s%s", column ? ", " : "", "[N/A]");
    if (column == columns->count - 1)
        putchar('\n');
}

int smi_query_gpu(const smi_gpus *gpus, const char *fields, const char *format)
{
    struct columns columns;
    int status = parse(fields, format, gpu_field_named, &columns);
    if (status)
        return status;
    for (int c = 0; c < columns.count && columns.header; c++)
        header_cell(&columns, c, smi_fields[columns.fields[c]].name, smi_fields[columns.fields[c]].unit);
    for (unsigned int i = 0; i < gpus->count; i++) {
        for (int c = 0; c < columns.count; c++) {
            char value[SMI_VALUE_SIZE] = "";
            int field = columns.fields[c];
            nvmlReturn_t result = smi_fields[field].read(gpus->devices[i], smi_fields[field].argument, value);
            cell(&columns, c, result, value, smi_fields[field].unit);
        }
    }
    return 0;
}

static void app_value(nvmlDevice_t device, const nvmlProcessInfo_t *process, const char *field, char *value)
{
    if (strcmp(field, "pid") == 0)
        snprintf(value, SMI_VALUE_SIZE, "%u", process->pid);
    else if (strcmp(field, "process_name") == 0 || strcmp(field, "name") == 0)
        smi_process_name(process->pid, value, SMI_VALUE_SIZE);
    else if (strncmp(field, "used_", 5) == 0)
        snprintf(value, SMI_VALUE_SIZE, "%llu", process->usedGpuMemory >> 20);
    else
        smi_fields[gpu_field_named(field)].read(device, smi_fields[gpu_field_named(field)].argument, value);
}

int smi_query_compute_apps(const smi_gpus *gpus, const char *fields, const char *format)
{
    struct columns columns;
    int status = parse(fields, format, app_field_named, &columns);
    if (status)
        return status;
    for (int c = 0; c < columns.count && columns.header; c++)
        header_cell(&columns, c, app_fields[columns.fields[c]].name, app_fields[columns.fields[c]].unit);
    for (unsigned int i = 0; i < gpus->count; i++) {
        nvmlProcessInfo_t processes[SMI_MAX_PROCESSES];
        unsigned int count = smi_compute_processes(gpus->devices[i], processes);
        for (unsigned int p = 0; p < count; p++) {
            for (int c = 0; c < columns.count; c++) {
                char value[SMI_VALUE_SIZE] = "";
                app_value(gpus->devices[i], &processes[p], app_fields[columns.fields[c]].name, value);
                cell(&columns, c, NVML_SUCCESS, value, app_fields[columns.fields[c]].unit);
            }
        }
    }
    return 0;
}

/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A stand-in for nvidia-smi, for what people and tools call when they work with MIG: the same words in, the same pages,
 * messages and exit statuses out. It is an NVML client like any other. */
#include <stdio.h>
#include <string.h>

#include "smi.h"

static const char *const help =
    "NVIDIA System Management Interface -- simulated GPUs\n"
    "\n"
    "nvidia-smi [OPTION1 [ARG1]] [OPTION2 [ARG2]] ...\n"
    "\n"
    "    -h,   --help                Print usage information and exit.\n"
    "          --version             Print version information and exit.\n"
    "    -L,   --list-gpus           Display a list of GPUs connected to the system.\n"
    "    -i,   --id=                 Target specific GPUs: index, UUID or PCI bus ID, comma separated.\n"
    "    -pm,  --persistence-mode=   Set persistence mode: 0/DISABLED, 1/ENABLED\n"
    "    -mig, --multi-instance-gpu= Enable or disable Multi Instance GPU: 0/DISABLED, 1/ENABLED\n"
    "    -r,   --gpu-reset           Trigger reset of the GPUs, all or those of -i.\n"
    "          --query-gpu=          Information about GPUs: comma separated fields, with --format=\n"
    "          --query-compute-apps= Currently active compute processes, with --format=\n"
    "          --format=             csv[,noheader][,nounits]\n"
    "    mig                         Manage GPU instances and compute instances. \"nvidia-smi mig -h\" for more.\n"
    "\n"
    "Without options: a summary of all GPUs, MIG devices and processes.\n";

enum option { HELP, VERSION, LIST, ID, PERSISTENCE, MIG, RESET, QUERY_GPU, QUERY_APPS, FORMAT, OPTION_COUNT };

static const struct {
    const char *brief, *full;
    bool takes_value;
} options[OPTION_COUNT] = {
    [HELP] = {"-h", "--help", false},
    [VERSION] = {NULL, "--version", false},
    [LIST] = {"-L", "--list-gpus", false},
    [ID] = {"-i", "--id", true},
    [PERSISTENCE] = {"-pm", "--persistence-mode", true},
    [MIG] = {"-mig", "--multi-instance-gpu", true},
    [RESET] = {"-r", "--gpu-reset", false},
    [QUERY_GPU] = {NULL, "--query-gpu", true},
    [QUERY_APPS] = {NULL, "--query-compute-apps", true},
    [FORMAT] = {NULL, "--format", true},
};

/* Reads the words of the command line into `given`, one entry an option; false where they make no sense. Values follow
 * as the next word or, for long options, after an equals sign. */
static bool parse(int count, char **words, const char *given[OPTION_COUNT])
{
    for (int i = 1; i < count; i++) {
        int option = OPTION_COUNT;
        const char *value = NULL;
        for (int o = 0; o < OPTION_COUNT; o++) {
            size_t length = strlen(options[o].full);
            if ((options[o].brief && strcmp(words[i], options[o].brief) == 0) ||
                strcmp(words[i], options[o].full) == 0)
                option = o;
            else if (options[o].takes_value && strncmp(words[i], options[o].full, length) == 0 &&
                     words[i][length] == '=')
                option = o, value = words[i] + length + 1;
        }
        if (option == OPTION_COUNT || given[option])
            return false;
        if (options[option].takes_value && !value && !(value = words[++i]))
            return false;
        given[option] = value ? value : "";
    }
    return true;
}

static int print_versions(void)
{
    char driver[NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE] = "", nvml[NVML_SYSTEM_NVML_VERSION_BUFFER_SIZE] = "";
    int cuda = 0;
    nvmlSystemGetDriverVersion(driver, sizeof(driver));
    nvmlSystemGetNVMLVersion(nvml, sizeof(nvml));
    nvmlSystemGetCudaDriverVersion_v2(&cuda);
    printf("NVIDIA-SMI version  : %s\nNVML version        : %s\n", driver, nvml);
    printf("DRIVER version      : %s\nCUDA Version        : %d.%d\n", driver, cuda / 1000, cuda % 1000 / 10);
    return 0;
}

static int run(int count, char **words)
{
    const char *given[OPTION_COUNT] = {NULL};
    smi_gpus gpus;
    if (!parse(count, words, given)) {
        printf("Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n");
        return smi_exit_status(NVML_ERROR_INVALID_ARGUMENT);
    }
    if (given[VERSION])
        return print_versions();
    int status = smi_select(given[ID], &gpus);
    if (status)
        return status;
    if (given[LIST])
        return smi_list(&gpus);
    if (given[QUERY_GPU])
        return smi_query_gpu(&gpus, given[QUERY_GPU], given[FORMAT]);
    if (given[QUERY_APPS])
        return smi_query_compute_apps(&gpus, given[QUERY_APPS], given[FORMAT]);
    if (given[RESET])
        return smi_reset(&gpus);
    if (!given[PERSISTENCE] && !given[MIG])
        return smi_table(&gpus);
    if (given[PERSISTENCE])
        status = smi_set_persistence_mode(&gpus, given[PERSISTENCE]);
    if (given[MIG] && !status)
        status = smi_set_mig_mode(&gpus, given[MIG]);
    return status;
}

int main(int count, char **words)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "mig") == 0 && i == 1)
            break;
        if (strcmp(words[i], "-h") == 0 || strcmp(words[i], "--help") == 0) {
            fputs(help, stdout);
            return 0;
        }
    }
    nvmlReturn_t result = nvmlInit_v2();
    if (result == NVML_ERROR_DRIVER_NOT_LOADED) {
        printf("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
               "Make sure that the latest NVIDIA driver is installed and running.\n\n");
        return smi_exit_status(result);
    }
    if (result != NVML_SUCCESS) {
        printf("Failed to initialize NVML: %s\n", nvmlErrorString(result));
        return smi_exit_status(result);
    }
    int status = count > 1 && strcmp(words[1], "mig") == 0 ? smi_mig(count - 2, words + 2) : run(count, words);
    nvmlShutdown();
    return status;
}

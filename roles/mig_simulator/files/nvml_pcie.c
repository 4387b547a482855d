/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * PCI Express, and where the GPUs stand: in one NUMA node with all processors, four to a PCI host bridge. */
#include "answers.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { LANES = 16, GPUS_A_HOST_BRIDGE = 4 };

/* MB/s of a link of that generation, 16 lanes. */
static unsigned link_speed(unsigned generation)
{
    return 2000u << (generation - 1);
}

GPU_NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, maxLinkGen, d.model->board.pcie_generation)
GPU_NUMBER(nvmlDeviceGetGpuMaxPcieLinkGeneration, unsigned, maxLinkGen, d.model->board.pcie_generation)
GPU_NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, currLinkGen, d.model->board.pcie_generation)
GPU_NUMBER(nvmlDeviceGetMaxPcieLinkWidth, unsigned, maxLinkWidth, LANES)
GPU_NUMBER(nvmlDeviceGetCurrPcieLinkWidth, unsigned, currLinkWidth, LANES)
GPU_NUMBER(nvmlDeviceGetPcieReplayCounter, unsigned, value, 0)
GPU_NUMBER(nvmlDeviceGetPcieSpeed, unsigned, pcieSpeed, link_speed(d.model->board.pcie_generation))
/* NVML_PCIE_LINK_MAX_SPEED_2500MBPS is 1, and so on by generation */
GPU_NUMBER(nvmlDeviceGetPcieLinkMaxSpeed, unsigned, maxSpeed, d.model->board.pcie_generation)

/* KB/s; simulated processes move no data. */
NVML(nvmlDeviceGetPcieThroughput, (nvmlDevice_t device, nvmlPcieUtilCounter_t counter, unsigned *value),
     (device, counter, value))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!value || (unsigned)counter >= NVML_PCIE_UTIL_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    *value = 0;
    return NVML_SUCCESS;
}

/* ---- Processors ---- */

/* Sets the bits of the first `bits` processors in as many words as the caller has. */
static nvmlReturn_t give_bits(unsigned words, unsigned long *set, unsigned long bits)
{
    const unsigned long word = sizeof *set * CHAR_BIT;
    if (!set || !words)
        return NVML_ERROR_INVALID_ARGUMENT;
    memset(set, 0, words * sizeof *set);
    for (unsigned long i = 0; i < bits && i < words * word; i++)
        set[i / word] |= 1ul << i % word;
    return NVML_SUCCESS;
}

static unsigned long processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned long)count : 1;
}

NVML(nvmlDeviceGetCpuAffinity, (nvmlDevice_t device, unsigned cpuSetSize, unsigned long *cpuSet),
     (device, cpuSetSize, cpuSet))
{
    DEVICE(d, device);
    return give_bits(cpuSetSize, cpuSet, processors());
}

NVML(nvmlDeviceGetCpuAffinityWithinScope,
     (nvmlDevice_t device, unsigned cpuSetSize, unsigned long *cpuSet, nvmlAffinityScope_t scope),
     (device, cpuSetSize, cpuSet, scope))
{
    DEVICE(d, device);
    return scope <= NVML_AFFINITY_SCOPE_SOCKET ? give_bits(cpuSetSize, cpuSet, processors())
                                               : NVML_ERROR_INVALID_ARGUMENT;
}

NVML(nvmlDeviceGetMemoryAffinity,
     (nvmlDevice_t device, unsigned nodeSetSize, unsigned long *nodeSet, nvmlAffinityScope_t scope),
     (device, nodeSetSize, nodeSet, scope))
{
    DEVICE(d, device);
    return scope <= NVML_AFFINITY_SCOPE_SOCKET ? give_bits(nodeSetSize, nodeSet, 1) : NVML_ERROR_INVALID_ARGUMENT;
}

/* All processors are near already. */
NVML(nvmlDeviceSetCpuAffinity, (nvmlDevice_t device), (device))
{
    DEVICE(d, device);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceClearCpuAffinity, (nvmlDevice_t device), (device))
{
    DEVICE(d, device);
    return NVML_SUCCESS;
}

/* ---- Topology ---- */

static nvmlGpuTopologyLevel_t ancestor(unsigned one, unsigned other)
{
    if (one == other)
        return NVML_TOPOLOGY_INTERNAL;
    return one / GPUS_A_HOST_BRIDGE == other / GPUS_A_HOST_BRIDGE ? NVML_TOPOLOGY_HOSTBRIDGE : NVML_TOPOLOGY_NODE;
}

NVML(nvmlDeviceGetTopologyCommonAncestor,
     (nvmlDevice_t device1, nvmlDevice_t device2, nvmlGpuTopologyLevel_t *pathInfo), (device1, device2, pathInfo))
{
    GPU(one, device1, NVML_ERROR_NOT_SUPPORTED);
    GPU(other, device2, NVML_ERROR_NOT_SUPPORTED);
    if (!pathInfo)
        return NVML_ERROR_INVALID_ARGUMENT;
    *pathInfo = ancestor(one.index, other.index);
    return NVML_SUCCESS;
}

/* The GPUs with that level to the one of index `from`, or all with a `from` beyond the last. The array may be NULL, to
 * ask for the count. */
static nvmlReturn_t give_gpus(unsigned from, nvmlGpuTopologyLevel_t level, unsigned *count, nvmlDevice_t *array)
{
    if (!count)
        return NVML_ERROR_INVALID_ARGUMENT;
    unsigned found = 0, room = *count;
    for (unsigned i = 0; i < host->gpu_count; i++) {
        if (from < host->gpu_count && (i == from || ancestor(from, i) != level))
            continue;
        if (array && found < room)
            array[found] = gpu_handle(i);
        found++;
    }
    *count = found;
    return array && found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

NVML(nvmlDeviceGetTopologyNearestGpus,
     (nvmlDevice_t device, nvmlGpuTopologyLevel_t level, unsigned *count, nvmlDevice_t *deviceArray),
     (device, level, count, deviceArray))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    return give_gpus(d.index, level, count, deviceArray);
}

NVML(nvmlSystemGetTopologyGpuSet, (unsigned cpuNumber, unsigned *count, nvmlDevice_t *deviceArray),
     (cpuNumber, count, deviceArray))
{
    if (cpuNumber >= processors())
        return NVML_ERROR_INVALID_ARGUMENT;
    return give_gpus(MAX_GPUS, NVML_TOPOLOGY_INTERNAL, count, deviceArray);
}

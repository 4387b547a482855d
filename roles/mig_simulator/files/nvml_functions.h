/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Every function the library serves, as NVML_FUNCTION(first driver branch that has it, name, parameters). All return
 * nvmlReturn_t. Define the macro, include this file, undefine it: nvml.h makes the prototypes, the library its
 * table of names. Not listed: nvmlErrorString, which needs no driver, and nvml_unsupported.h. */

/* Library and system */
NVML_FUNCTION(450, nvmlInit, (void))
NVML_FUNCTION(450, nvmlInit_v2, (void))
NVML_FUNCTION(450, nvmlInitWithFlags, (unsigned int flags))
NVML_FUNCTION(450, nvmlShutdown, (void))
NVML_FUNCTION(450, nvmlSystemGetDriverVersion, (char *version, unsigned int length))
NVML_FUNCTION(450, nvmlSystemGetNVMLVersion, (char *version, unsigned int length))
NVML_FUNCTION(450, nvmlSystemGetCudaDriverVersion, (int *cudaDriverVersion))
NVML_FUNCTION(450, nvmlSystemGetCudaDriverVersion_v2, (int *cudaDriverVersion))
NVML_FUNCTION(450, nvmlSystemGetProcessName, (unsigned int pid, char *name, unsigned int length))
NVML_FUNCTION(450, nvmlSystemGetHicVersion, (unsigned int *hwbcCount, nvmlHwbcEntry_t *hwbcEntries))
NVML_FUNCTION(450, nvmlSystemGetTopologyGpuSet,
              (unsigned int cpuNumber, unsigned int *count, nvmlDevice_t *deviceArray))
NVML_FUNCTION(560, nvmlSystemGetDriverBranch, (nvmlSystemDriverBranchInfo_v1_t *branchInfo, unsigned int length))
NVML_FUNCTION(450, nvmlUnitGetCount, (unsigned int *unitCount))
NVML_FUNCTION(535, nvmlSystemGetConfComputeCapabilities, (nvmlConfComputeSystemCaps_t *capabilities))
NVML_FUNCTION(535, nvmlSystemGetConfComputeState, (nvmlConfComputeSystemState_t *state))
NVML_FUNCTION(535, nvmlSystemGetConfComputeGpusReadyState, (unsigned int *isAcceptingWork))
NVML_FUNCTION(465, nvmlGetExcludedDeviceCount, (unsigned int *deviceCount))
NVML_FUNCTION(465, nvmlGetExcludedDeviceInfoByIndex, (unsigned int index, nvmlExcludedDeviceInfo_t *info))

/* Identity */
NVML_FUNCTION(450, nvmlDeviceGetCount_v2, (unsigned int *deviceCount))
NVML_FUNCTION(460, nvmlDeviceGetAttributes_v2, (nvmlDevice_t device, nvmlDeviceAttributes_t *attributes))
NVML_FUNCTION(450, nvmlDeviceGetHandleByIndex_v2, (unsigned int index, nvmlDevice_t *device))
NVML_FUNCTION(450, nvmlDeviceGetHandleBySerial, (const char *serial, nvmlDevice_t *device))
NVML_FUNCTION(450, nvmlDeviceGetHandleByUUID, (const char *uuid, nvmlDevice_t *device))
NVML_FUNCTION(575, nvmlDeviceGetHandleByUUIDV, (const nvmlUUID_v1_t *uuid, nvmlDevice_t *device))
NVML_FUNCTION(450, nvmlDeviceGetHandleByPciBusId_v2, (const char *pciBusId, nvmlDevice_t *device))
NVML_FUNCTION(450, nvmlDeviceGetName, (nvmlDevice_t device, char *name, unsigned int length))
NVML_FUNCTION(450, nvmlDeviceGetBrand, (nvmlDevice_t device, nvmlBrandType_t *type))
NVML_FUNCTION(450, nvmlDeviceGetIndex, (nvmlDevice_t device, unsigned int *index))
NVML_FUNCTION(450, nvmlDeviceGetSerial, (nvmlDevice_t device, char *serial, unsigned int length))
NVML_FUNCTION(535, nvmlDeviceGetModuleId, (nvmlDevice_t device, unsigned int *moduleId))
NVML_FUNCTION(450, nvmlDeviceGetUUID, (nvmlDevice_t device, char *uuid, unsigned int length))
NVML_FUNCTION(450, nvmlDeviceGetMinorNumber, (nvmlDevice_t device, unsigned int *minorNumber))
NVML_FUNCTION(450, nvmlDeviceGetBoardPartNumber, (nvmlDevice_t device, char *partNumber, unsigned int length))
NVML_FUNCTION(450, nvmlDeviceGetInforomVersion,
              (nvmlDevice_t device, nvmlInforomObject_t object, char *version, unsigned int length))
NVML_FUNCTION(450, nvmlDeviceGetInforomImageVersion, (nvmlDevice_t device, char *version, unsigned int length))
NVML_FUNCTION(450, nvmlDeviceGetInforomConfigurationChecksum, (nvmlDevice_t device, unsigned int *checksum))
NVML_FUNCTION(450, nvmlDeviceValidateInforom, (nvmlDevice_t device))
NVML_FUNCTION(450, nvmlDeviceGetDisplayMode, (nvmlDevice_t device, nvmlEnableState_t *display))
NVML_FUNCTION(450, nvmlDeviceGetDisplayActive, (nvmlDevice_t device, nvmlEnableState_t *isActive))
NVML_FUNCTION(550, nvmlDeviceGetPciInfoExt, (nvmlDevice_t device, nvmlPciInfoExt_v1_t *pci))
NVML_FUNCTION(450, nvmlDeviceGetPciInfo_v3, (nvmlDevice_t device, nvmlPciInfo_t *pci))
NVML_FUNCTION(450, nvmlDeviceGetCudaComputeCapability, (nvmlDevice_t device, int *major, int *minor))
NVML_FUNCTION(580, nvmlDeviceGetAddressingMode, (nvmlDevice_t device, nvmlDeviceAddressingMode_v1_t *mode))
NVML_FUNCTION(450, nvmlDeviceGetBoardId, (nvmlDevice_t device, unsigned int *boardId))
NVML_FUNCTION(450, nvmlDeviceGetMultiGpuBoard, (nvmlDevice_t device, unsigned int *multiGpuBool))
NVML_FUNCTION(450, nvmlDeviceGetVbiosVersion, (nvmlDevice_t device, char *version, unsigned int length))
NVML_FUNCTION(450, nvmlDeviceOnSameBoard, (nvmlDevice_t device1, nvmlDevice_t device2, int *onSameBoard))
NVML_FUNCTION(495, nvmlDeviceGetIrqNum, (nvmlDevice_t device, unsigned int *irqNum))
NVML_FUNCTION(510, nvmlDeviceGetNumGpuCores, (nvmlDevice_t device, unsigned int *numCores))
NVML_FUNCTION(510, nvmlDeviceGetPowerSource, (nvmlDevice_t device, nvmlPowerSource_t *powerSource))
NVML_FUNCTION(495, nvmlDeviceGetBusType, (nvmlDevice_t device, nvmlBusType_t *type))
NVML_FUNCTION(515, nvmlDeviceGetGspFirmwareVersion, (nvmlDevice_t device, char *version))
NVML_FUNCTION(515, nvmlDeviceGetGspFirmwareMode,
              (nvmlDevice_t device, unsigned int *isEnabled, unsigned int *defaultMode))
NVML_FUNCTION(450, nvmlDeviceGetArchitecture, (nvmlDevice_t device, nvmlDeviceArchitecture_t *arch))
NVML_FUNCTION(450, nvmlDeviceGetVirtualizationMode, (nvmlDevice_t device, nvmlGpuVirtualizationMode_t *pVirtualMode))
NVML_FUNCTION(470, nvmlDeviceGetGridLicensableFeatures_v4,
              (nvmlDevice_t device, nvmlGridLicensableFeatures_t *pGridLicensableFeatures))
NVML_FUNCTION(450, nvmlDeviceGetCount, (unsigned int *deviceCount))
NVML_FUNCTION(450, nvmlDeviceGetHandleByIndex, (unsigned int index, nvmlDevice_t *device))
NVML_FUNCTION(450, nvmlDeviceGetHandleByPciBusId, (const char *pciBusId, nvmlDevice_t *device))
NVML_FUNCTION(450, nvmlDeviceGetPciInfo, (nvmlDevice_t device, nvmlPciInfo_v2_t *pci))
NVML_FUNCTION(450, nvmlDeviceGetPciInfo_v2, (nvmlDevice_t device, nvmlPciInfo_v2_t *pci))
NVML_FUNCTION(450, nvmlDeviceGetGridLicensableFeatures,
              (nvmlDevice_t device, nvmlGridLicensableFeatures_t *pGridLicensableFeatures))
NVML_FUNCTION(450, nvmlDeviceGetGridLicensableFeatures_v2,
              (nvmlDevice_t device, nvmlGridLicensableFeatures_t *pGridLicensableFeatures))
NVML_FUNCTION(450, nvmlDeviceGetGridLicensableFeatures_v3,
              (nvmlDevice_t device, nvmlGridLicensableFeatures_t *pGridLicensableFeatures))
NVML_FUNCTION(450, nvmlDeviceGetAttributes, (nvmlDevice_t device, nvmlDeviceAttributes_v1_t *attributes))

/* MIG */
NVML_FUNCTION(450, nvmlDeviceSetMigMode, (nvmlDevice_t device, unsigned int mode, nvmlReturn_t *activationStatus))
NVML_FUNCTION(450, nvmlDeviceGetMigMode, (nvmlDevice_t device, unsigned int *currentMode, unsigned int *pendingMode))
NVML_FUNCTION(450, nvmlDeviceGetGpuInstanceProfileInfo,
              (nvmlDevice_t device, unsigned int profile, nvmlGpuInstanceProfileInfo_t *info))
NVML_FUNCTION(510, nvmlDeviceGetGpuInstanceProfileInfoV,
              (nvmlDevice_t device, unsigned int profile, nvmlGpuInstanceProfileInfo_v2_t *info))
NVML_FUNCTION(580, nvmlDeviceGetGpuInstanceProfileInfoByIdV,
              (nvmlDevice_t device, unsigned int profileId, nvmlGpuInstanceProfileInfo_v2_t *info))
NVML_FUNCTION(470, nvmlDeviceGetGpuInstancePossiblePlacements_v2,
              (nvmlDevice_t device, unsigned int profileId, nvmlGpuInstancePlacement_t *placements,
               unsigned int *count))
NVML_FUNCTION(450, nvmlDeviceGetGpuInstanceRemainingCapacity,
              (nvmlDevice_t device, unsigned int profileId, unsigned int *count))
NVML_FUNCTION(450, nvmlDeviceCreateGpuInstance,
              (nvmlDevice_t device, unsigned int profileId, nvmlGpuInstance_t *gpuInstance))
NVML_FUNCTION(460, nvmlDeviceCreateGpuInstanceWithPlacement,
              (nvmlDevice_t device, unsigned int profileId, const nvmlGpuInstancePlacement_t *placement,
               nvmlGpuInstance_t *gpuInstance))
NVML_FUNCTION(450, nvmlGpuInstanceDestroy, (nvmlGpuInstance_t gpuInstance))
NVML_FUNCTION(450, nvmlDeviceGetGpuInstances,
              (nvmlDevice_t device, unsigned int profileId, nvmlGpuInstance_t *gpuInstances, unsigned int *count))
NVML_FUNCTION(450, nvmlDeviceGetGpuInstanceById, (nvmlDevice_t device, unsigned int id, nvmlGpuInstance_t *gpuInstance))
NVML_FUNCTION(450, nvmlGpuInstanceGetInfo, (nvmlGpuInstance_t gpuInstance, nvmlGpuInstanceInfo_t *info))
NVML_FUNCTION(450, nvmlGpuInstanceGetComputeInstanceProfileInfo,
              (nvmlGpuInstance_t gpuInstance, unsigned int profile, unsigned int engProfile,
               nvmlComputeInstanceProfileInfo_t *info))
NVML_FUNCTION(510, nvmlGpuInstanceGetComputeInstanceProfileInfoV,
              (nvmlGpuInstance_t gpuInstance, unsigned int profile, unsigned int engProfile,
               nvmlComputeInstanceProfileInfo_v2_t *info))
NVML_FUNCTION(450, nvmlGpuInstanceGetComputeInstanceRemainingCapacity,
              (nvmlGpuInstance_t gpuInstance, unsigned int profileId, unsigned int *count))
NVML_FUNCTION(525, nvmlGpuInstanceGetComputeInstancePossiblePlacements,
              (nvmlGpuInstance_t gpuInstance, unsigned int profileId, nvmlComputeInstancePlacement_t *placements,
               unsigned int *count))
NVML_FUNCTION(450, nvmlGpuInstanceCreateComputeInstance,
              (nvmlGpuInstance_t gpuInstance, unsigned int profileId, nvmlComputeInstance_t *computeInstance))
NVML_FUNCTION(525, nvmlGpuInstanceCreateComputeInstanceWithPlacement,
              (nvmlGpuInstance_t gpuInstance, unsigned int profileId, const nvmlComputeInstancePlacement_t *placement,
               nvmlComputeInstance_t *computeInstance))
NVML_FUNCTION(450, nvmlComputeInstanceDestroy, (nvmlComputeInstance_t computeInstance))
NVML_FUNCTION(450, nvmlGpuInstanceGetComputeInstances,
              (nvmlGpuInstance_t gpuInstance, unsigned int profileId, nvmlComputeInstance_t *computeInstances,
               unsigned int *count))
NVML_FUNCTION(450, nvmlGpuInstanceGetComputeInstanceById,
              (nvmlGpuInstance_t gpuInstance, unsigned int id, nvmlComputeInstance_t *computeInstance))
NVML_FUNCTION(460, nvmlComputeInstanceGetInfo_v2,
              (nvmlComputeInstance_t computeInstance, nvmlComputeInstanceInfo_t *info))
NVML_FUNCTION(450, nvmlDeviceIsMigDeviceHandle, (nvmlDevice_t device, unsigned int *isMigDevice))
NVML_FUNCTION(450, nvmlDeviceGetGpuInstanceId, (nvmlDevice_t device, unsigned int *id))
NVML_FUNCTION(450, nvmlDeviceGetComputeInstanceId, (nvmlDevice_t device, unsigned int *id))
NVML_FUNCTION(450, nvmlDeviceGetMaxMigDeviceCount, (nvmlDevice_t device, unsigned int *count))
NVML_FUNCTION(450, nvmlDeviceGetMigDeviceHandleByIndex,
              (nvmlDevice_t device, unsigned int index, nvmlDevice_t *migDevice))
NVML_FUNCTION(450, nvmlDeviceGetDeviceHandleFromMigDeviceHandle, (nvmlDevice_t migDevice, nvmlDevice_t *device))
NVML_FUNCTION(450, nvmlComputeInstanceGetInfo,
              (nvmlComputeInstance_t computeInstance, nvmlComputeInstanceInfo_v1_t *info))
NVML_FUNCTION(450, nvmlDeviceGetGpuInstancePossiblePlacements,
              (nvmlDevice_t device, unsigned int profileId, nvmlGpuInstancePlacement_t *placements,
               unsigned int *count))

/* Memory and processes */
NVML_FUNCTION(450, nvmlDeviceGetMemoryInfo, (nvmlDevice_t device, nvmlMemory_t *memory))
NVML_FUNCTION(510, nvmlDeviceGetMemoryInfo_v2, (nvmlDevice_t device, nvmlMemory_v2_t *memory))
NVML_FUNCTION(510, nvmlDeviceGetComputeRunningProcesses_v3,
              (nvmlDevice_t device, unsigned int *infoCount, nvmlProcessInfo_t *infos))
NVML_FUNCTION(510, nvmlDeviceGetGraphicsRunningProcesses_v3,
              (nvmlDevice_t device, unsigned int *infoCount, nvmlProcessInfo_t *infos))
NVML_FUNCTION(510, nvmlDeviceGetMPSComputeRunningProcesses_v3,
              (nvmlDevice_t device, unsigned int *infoCount, nvmlProcessInfo_t *infos))
NVML_FUNCTION(535, nvmlDeviceGetRunningProcessDetailList, (nvmlDevice_t device, nvmlProcessDetailList_v1_t *plist))
NVML_FUNCTION(450, nvmlDeviceGetBAR1MemoryInfo, (nvmlDevice_t device, nvmlBAR1Memory_t *bar1Memory))
NVML_FUNCTION(510, nvmlDeviceGetMemoryBusWidth, (nvmlDevice_t device, unsigned int *busWidth))
NVML_FUNCTION(535, nvmlDeviceGetConfComputeMemSizeInfo, (nvmlDevice_t device, nvmlConfComputeMemSizeInfo_t *memInfo))
NVML_FUNCTION(535, nvmlDeviceGetConfComputeProtectedMemoryUsage, (nvmlDevice_t device, nvmlMemory_t *memory))
NVML_FUNCTION(450, nvmlDeviceGetAccountingMode, (nvmlDevice_t device, nvmlEnableState_t *mode))
NVML_FUNCTION(450, nvmlDeviceGetAccountingStats, (nvmlDevice_t device, unsigned int pid, nvmlAccountingStats_t *stats))
NVML_FUNCTION(450, nvmlDeviceGetAccountingPids, (nvmlDevice_t device, unsigned int *count, unsigned int *pids))
NVML_FUNCTION(450, nvmlDeviceGetAccountingBufferSize, (nvmlDevice_t device, unsigned int *bufferSize))
NVML_FUNCTION(450, nvmlDeviceGetProcessUtilization,
              (nvmlDevice_t device, nvmlProcessUtilizationSample_t *utilization, unsigned int *processSamplesCount,
               unsigned long long lastSeenTimeStamp))
NVML_FUNCTION(550, nvmlDeviceGetProcessesUtilizationInfo,
              (nvmlDevice_t device, nvmlProcessesUtilizationInfo_v1_t *procesesUtilInfo))
NVML_FUNCTION(450, nvmlDeviceSetAccountingMode, (nvmlDevice_t device, nvmlEnableState_t mode))
NVML_FUNCTION(450, nvmlDeviceClearAccountingPids, (nvmlDevice_t device))
NVML_FUNCTION(450, nvmlDeviceGetComputeRunningProcesses,
              (nvmlDevice_t device, unsigned int *infoCount, nvmlProcessInfo_v1_t *infos))
NVML_FUNCTION(460, nvmlDeviceGetComputeRunningProcesses_v2,
              (nvmlDevice_t device, unsigned int *infoCount, nvmlProcessInfo_t *infos))
NVML_FUNCTION(450, nvmlDeviceGetGraphicsRunningProcesses,
              (nvmlDevice_t device, unsigned int *infoCount, nvmlProcessInfo_v1_t *infos))
NVML_FUNCTION(460, nvmlDeviceGetGraphicsRunningProcesses_v2,
              (nvmlDevice_t device, unsigned int *infoCount, nvmlProcessInfo_t *infos))
NVML_FUNCTION(470, nvmlDeviceGetMPSComputeRunningProcesses,
              (nvmlDevice_t device, unsigned int *infoCount, nvmlProcessInfo_v1_t *infos))
NVML_FUNCTION(470, nvmlDeviceGetMPSComputeRunningProcesses_v2,
              (nvmlDevice_t device, unsigned int *infoCount, nvmlProcessInfo_t *infos))

/* Modes */
NVML_FUNCTION(450, nvmlDeviceGetPersistenceMode, (nvmlDevice_t device, nvmlEnableState_t *mode))
NVML_FUNCTION(450, nvmlDeviceGetComputeMode, (nvmlDevice_t device, nvmlComputeMode_t *mode))
NVML_FUNCTION(450, nvmlDeviceGetAPIRestriction,
              (nvmlDevice_t device, nvmlRestrictedAPI_t apiType, nvmlEnableState_t *isRestricted))
NVML_FUNCTION(450, nvmlDeviceSetPersistenceMode, (nvmlDevice_t device, nvmlEnableState_t mode))
NVML_FUNCTION(450, nvmlDeviceSetComputeMode, (nvmlDevice_t device, nvmlComputeMode_t mode))

/* Clocks, performance, power, temperature */
NVML_FUNCTION(450, nvmlDeviceGetClockInfo, (nvmlDevice_t device, nvmlClockType_t type, unsigned int *clock))
NVML_FUNCTION(450, nvmlDeviceGetMaxClockInfo, (nvmlDevice_t device, nvmlClockType_t type, unsigned int *clock))
NVML_FUNCTION(450, nvmlDeviceGetApplicationsClock,
              (nvmlDevice_t device, nvmlClockType_t clockType, unsigned int *clockMHz))
NVML_FUNCTION(450, nvmlDeviceGetDefaultApplicationsClock,
              (nvmlDevice_t device, nvmlClockType_t clockType, unsigned int *clockMHz))
NVML_FUNCTION(450, nvmlDeviceGetClock,
              (nvmlDevice_t device, nvmlClockType_t clockType, nvmlClockId_t clockId, unsigned int *clockMHz))
NVML_FUNCTION(450, nvmlDeviceGetSupportedMemoryClocks,
              (nvmlDevice_t device, unsigned int *count, unsigned int *clocksMHz))
NVML_FUNCTION(450, nvmlDeviceGetSupportedGraphicsClocks,
              (nvmlDevice_t device, unsigned int memoryClockMHz, unsigned int *count, unsigned int *clocksMHz))
NVML_FUNCTION(510, nvmlDeviceGetNumFans, (nvmlDevice_t device, unsigned int *numFans))
NVML_FUNCTION(450, nvmlDeviceGetTemperature,
              (nvmlDevice_t device, nvmlTemperatureSensors_t sensorType, unsigned int *temp))
NVML_FUNCTION(570, nvmlDeviceGetTemperatureV, (nvmlDevice_t device, nvmlTemperature_v1_t *temperature))
NVML_FUNCTION(450, nvmlDeviceGetTemperatureThreshold,
              (nvmlDevice_t device, nvmlTemperatureThresholds_t thresholdType, unsigned int *temp))
NVML_FUNCTION(570, nvmlDeviceGetMarginTemperature, (nvmlDevice_t device, nvmlMarginTemperature_v1_t *marginTempInfo))
NVML_FUNCTION(450, nvmlDeviceGetPerformanceState, (nvmlDevice_t device, nvmlPstates_t *pState))
NVML_FUNCTION(535, nvmlDeviceGetCurrentClocksEventReasons,
              (nvmlDevice_t device, unsigned long long *clocksEventReasons))
NVML_FUNCTION(450, nvmlDeviceGetCurrentClocksThrottleReasons,
              (nvmlDevice_t device, unsigned long long *clocksThrottleReasons))
NVML_FUNCTION(535, nvmlDeviceGetSupportedClocksEventReasons,
              (nvmlDevice_t device, unsigned long long *supportedClocksEventReasons))
NVML_FUNCTION(450, nvmlDeviceGetSupportedClocksThrottleReasons,
              (nvmlDevice_t device, unsigned long long *supportedClocksThrottleReasons))
NVML_FUNCTION(450, nvmlDeviceGetPowerState, (nvmlDevice_t device, nvmlPstates_t *pState))
NVML_FUNCTION(515, nvmlDeviceGetMinMaxClockOfPState,
              (nvmlDevice_t device, nvmlClockType_t type, nvmlPstates_t pstate, unsigned int *minClockMHz,
               unsigned int *maxClockMHz))
NVML_FUNCTION(515, nvmlDeviceGetSupportedPerformanceStates,
              (nvmlDevice_t device, nvmlPstates_t *pstates, unsigned int size))
NVML_FUNCTION(450, nvmlDeviceGetPowerManagementMode, (nvmlDevice_t device, nvmlEnableState_t *mode))
NVML_FUNCTION(450, nvmlDeviceGetPowerManagementLimit, (nvmlDevice_t device, unsigned int *limit))
NVML_FUNCTION(450, nvmlDeviceGetPowerManagementLimitConstraints,
              (nvmlDevice_t device, unsigned int *minLimit, unsigned int *maxLimit))
NVML_FUNCTION(450, nvmlDeviceGetPowerManagementDefaultLimit, (nvmlDevice_t device, unsigned int *defaultLimit))
NVML_FUNCTION(450, nvmlDeviceGetPowerUsage, (nvmlDevice_t device, unsigned int *power))
NVML_FUNCTION(450, nvmlDeviceGetTotalEnergyConsumption, (nvmlDevice_t device, unsigned long long *energy))
NVML_FUNCTION(450, nvmlDeviceGetEnforcedPowerLimit, (nvmlDevice_t device, unsigned int *limit))
NVML_FUNCTION(450, nvmlDeviceGetSamples,
              (nvmlDevice_t device, nvmlSamplingType_t type, unsigned long long lastSeenTimeStamp,
               nvmlValueType_t *sampleValType, unsigned int *sampleCount, nvmlSample_t *samples))
NVML_FUNCTION(450, nvmlDeviceGetViolationStatus,
              (nvmlDevice_t device, nvmlPerfPolicyType_t perfPolicyType, nvmlViolationTime_t *violTime))
NVML_FUNCTION(535, nvmlDeviceSetPowerManagementLimit_v2, (nvmlDevice_t device, nvmlPowerValue_v2_t *powerValue))
NVML_FUNCTION(450, nvmlDeviceSetGpuLockedClocks,
              (nvmlDevice_t device, unsigned int minGpuClockMHz, unsigned int maxGpuClockMHz))
NVML_FUNCTION(450, nvmlDeviceResetGpuLockedClocks, (nvmlDevice_t device))
NVML_FUNCTION(465, nvmlDeviceSetMemoryLockedClocks,
              (nvmlDevice_t device, unsigned int minMemClockMHz, unsigned int maxMemClockMHz))
NVML_FUNCTION(465, nvmlDeviceResetMemoryLockedClocks, (nvmlDevice_t device))
NVML_FUNCTION(450, nvmlDeviceSetApplicationsClocks,
              (nvmlDevice_t device, unsigned int memClockMHz, unsigned int graphicsClockMHz))
NVML_FUNCTION(450, nvmlDeviceResetApplicationsClocks, (nvmlDevice_t device))
NVML_FUNCTION(450, nvmlDeviceSetPowerManagementLimit, (nvmlDevice_t device, unsigned int limit))

/* Utilisation */
NVML_FUNCTION(450, nvmlDeviceGetUtilizationRates, (nvmlDevice_t device, nvmlUtilization_t *utilization))
NVML_FUNCTION(450, nvmlDeviceGetEncoderUtilization,
              (nvmlDevice_t device, unsigned int *utilization, unsigned int *samplingPeriodUs))
NVML_FUNCTION(450, nvmlDeviceGetEncoderStats,
              (nvmlDevice_t device, unsigned int *sessionCount, unsigned int *averageFps, unsigned int *averageLatency))
NVML_FUNCTION(450, nvmlDeviceGetEncoderSessions,
              (nvmlDevice_t device, unsigned int *sessionCount, nvmlEncoderSessionInfo_t *sessionInfos))
NVML_FUNCTION(450, nvmlDeviceGetDecoderUtilization,
              (nvmlDevice_t device, unsigned int *utilization, unsigned int *samplingPeriodUs))
NVML_FUNCTION(535, nvmlDeviceGetJpgUtilization,
              (nvmlDevice_t device, unsigned int *utilization, unsigned int *samplingPeriodUs))
NVML_FUNCTION(535, nvmlDeviceGetOfaUtilization,
              (nvmlDevice_t device, unsigned int *utilization, unsigned int *samplingPeriodUs))
NVML_FUNCTION(450, nvmlDeviceGetFBCStats, (nvmlDevice_t device, nvmlFBCStats_t *fbcStats))
NVML_FUNCTION(450, nvmlDeviceGetFBCSessions,
              (nvmlDevice_t device, unsigned int *sessionCount, nvmlFBCSessionInfo_t *sessionInfo))

/* ECC and memory repair */
NVML_FUNCTION(580, nvmlDeviceGetRepairStatus, (nvmlDevice_t device, nvmlRepairStatus_v1_t *repairStatus))
NVML_FUNCTION(450, nvmlDeviceGetEccMode, (nvmlDevice_t device, nvmlEnableState_t *current, nvmlEnableState_t *pending))
NVML_FUNCTION(450, nvmlDeviceSetEccMode, (nvmlDevice_t device, nvmlEnableState_t ecc))
NVML_FUNCTION(515, nvmlDeviceGetDefaultEccMode, (nvmlDevice_t device, nvmlEnableState_t *defaultMode))
NVML_FUNCTION(450, nvmlDeviceGetTotalEccErrors,
              (nvmlDevice_t device, nvmlMemoryErrorType_t errorType, nvmlEccCounterType_t counterType,
               unsigned long long *eccCounts))
NVML_FUNCTION(450, nvmlDeviceGetMemoryErrorCounter,
              (nvmlDevice_t device, nvmlMemoryErrorType_t errorType, nvmlEccCounterType_t counterType,
               nvmlMemoryLocation_t locationType, unsigned long long *count))
NVML_FUNCTION(550, nvmlDeviceGetSramEccErrorStatus, (nvmlDevice_t device, nvmlEccSramErrorStatus_v1_t *status))
NVML_FUNCTION(450, nvmlDeviceGetRemappedRows,
              (nvmlDevice_t device, unsigned int *corrRows, unsigned int *uncRows, unsigned int *isPending,
               unsigned int *failureOccurred))
NVML_FUNCTION(460, nvmlDeviceGetRowRemapperHistogram, (nvmlDevice_t device, nvmlRowRemapperHistogramValues_t *values))
NVML_FUNCTION(450, nvmlDeviceClearEccErrorCounts, (nvmlDevice_t device, nvmlEccCounterType_t counterType))

/* PCI Express, topology, NvLink, fabric */
NVML_FUNCTION(450, nvmlDeviceGetMemoryAffinity,
              (nvmlDevice_t device, unsigned int nodeSetSize, unsigned long *nodeSet, nvmlAffinityScope_t scope))
NVML_FUNCTION(450, nvmlDeviceGetCpuAffinityWithinScope,
              (nvmlDevice_t device, unsigned int cpuSetSize, unsigned long *cpuSet, nvmlAffinityScope_t scope))
NVML_FUNCTION(450, nvmlDeviceGetCpuAffinity, (nvmlDevice_t device, unsigned int cpuSetSize, unsigned long *cpuSet))
NVML_FUNCTION(450, nvmlDeviceSetCpuAffinity, (nvmlDevice_t device))
NVML_FUNCTION(450, nvmlDeviceClearCpuAffinity, (nvmlDevice_t device))
NVML_FUNCTION(450, nvmlDeviceGetTopologyCommonAncestor,
              (nvmlDevice_t device1, nvmlDevice_t device2, nvmlGpuTopologyLevel_t *pathInfo))
NVML_FUNCTION(450, nvmlDeviceGetTopologyNearestGpus,
              (nvmlDevice_t device, nvmlGpuTopologyLevel_t level, unsigned int *count, nvmlDevice_t *deviceArray))
NVML_FUNCTION(450, nvmlDeviceGetP2PStatus,
              (nvmlDevice_t device1, nvmlDevice_t device2, nvmlGpuP2PCapsIndex_t p2pIndex,
               nvmlGpuP2PStatus_t *p2pStatus))
NVML_FUNCTION(450, nvmlDeviceGetMaxPcieLinkGeneration, (nvmlDevice_t device, unsigned int *maxLinkGen))
NVML_FUNCTION(525, nvmlDeviceGetGpuMaxPcieLinkGeneration, (nvmlDevice_t device, unsigned int *maxLinkGenDevice))
NVML_FUNCTION(450, nvmlDeviceGetMaxPcieLinkWidth, (nvmlDevice_t device, unsigned int *maxLinkWidth))
NVML_FUNCTION(450, nvmlDeviceGetCurrPcieLinkGeneration, (nvmlDevice_t device, unsigned int *currLinkGen))
NVML_FUNCTION(450, nvmlDeviceGetCurrPcieLinkWidth, (nvmlDevice_t device, unsigned int *currLinkWidth))
NVML_FUNCTION(450, nvmlDeviceGetPcieThroughput,
              (nvmlDevice_t device, nvmlPcieUtilCounter_t counter, unsigned int *value))
NVML_FUNCTION(450, nvmlDeviceGetPcieReplayCounter, (nvmlDevice_t device, unsigned int *value))
NVML_FUNCTION(510, nvmlDeviceGetPcieLinkMaxSpeed, (nvmlDevice_t device, unsigned int *maxSpeed))
NVML_FUNCTION(515, nvmlDeviceGetPcieSpeed, (nvmlDevice_t device, unsigned int *pcieSpeed))
NVML_FUNCTION(525, nvmlDeviceGetGpuFabricInfo, (nvmlDevice_t device, nvmlGpuFabricInfo_t *gpuFabricInfo))
NVML_FUNCTION(550, nvmlDeviceGetGpuFabricInfoV, (nvmlDevice_t device, nvmlGpuFabricInfo_v2_t *gpuFabricInfo))
NVML_FUNCTION(450, nvmlDeviceGetNvLinkState, (nvmlDevice_t device, unsigned int link, nvmlEnableState_t *isActive))
NVML_FUNCTION(450, nvmlDeviceGetNvLinkVersion, (nvmlDevice_t device, unsigned int link, unsigned int *version))
NVML_FUNCTION(450, nvmlDeviceGetNvLinkCapability,
              (nvmlDevice_t device, unsigned int link, nvmlNvLinkCapability_t capability, unsigned int *capResult))
NVML_FUNCTION(450, nvmlDeviceGetNvLinkRemotePciInfo_v2, (nvmlDevice_t device, unsigned int link, nvmlPciInfo_t *pci))
NVML_FUNCTION(450, nvmlDeviceGetNvLinkErrorCounter,
              (nvmlDevice_t device, unsigned int link, nvmlNvLinkErrorCounter_t counter,
               unsigned long long *counterValue))
NVML_FUNCTION(450, nvmlDeviceResetNvLinkErrorCounters, (nvmlDevice_t device, unsigned int link))
NVML_FUNCTION(470, nvmlDeviceGetNvLinkRemoteDeviceType,
              (nvmlDevice_t device, unsigned int link, nvmlIntNvLinkDeviceType_t *pNvLinkDeviceType))
NVML_FUNCTION(450, nvmlDeviceGetNvLinkRemotePciInfo, (nvmlDevice_t device, unsigned int link, nvmlPciInfo_v2_t *pci))

/* Events, field values, GPM */
NVML_FUNCTION(450, nvmlEventSetCreate, (nvmlEventSet_t *set))
NVML_FUNCTION(450, nvmlDeviceRegisterEvents, (nvmlDevice_t device, unsigned long long eventTypes, nvmlEventSet_t set))
NVML_FUNCTION(450, nvmlDeviceGetSupportedEventTypes, (nvmlDevice_t device, unsigned long long *eventTypes))
NVML_FUNCTION(450, nvmlEventSetWait_v2, (nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeoutms))
NVML_FUNCTION(450, nvmlEventSetFree, (nvmlEventSet_t set))
NVML_FUNCTION(450, nvmlDeviceGetFieldValues, (nvmlDevice_t device, int valuesCount, nvmlFieldValue_t *values))
NVML_FUNCTION(525, nvmlDeviceClearFieldValues, (nvmlDevice_t device, int valuesCount, nvmlFieldValue_t *values))
NVML_FUNCTION(520, nvmlGpmMetricsGet, (nvmlGpmMetricsGet_t *metricsGet))
NVML_FUNCTION(520, nvmlGpmSampleFree, (nvmlGpmSample_t gpmSample))
NVML_FUNCTION(520, nvmlGpmSampleAlloc, (nvmlGpmSample_t *gpmSample))
NVML_FUNCTION(520, nvmlGpmSampleGet, (nvmlDevice_t device, nvmlGpmSample_t gpmSample))
NVML_FUNCTION(525, nvmlGpmMigSampleGet, (nvmlDevice_t device, unsigned int gpuInstanceId, nvmlGpmSample_t gpmSample))
NVML_FUNCTION(520, nvmlGpmQueryDeviceSupport, (nvmlDevice_t device, nvmlGpmSupport_t *gpmSupport))
NVML_FUNCTION(450, nvmlEventSetWait, (nvmlEventSet_t set, nvmlEventData_v1_t *data, unsigned int timeoutms))

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "comm/communicator.h"
#include "trainer/config/schema.h"
#include "trainer/loop/memory.h"
#include "trainer/loop/workers.h"

// What a worker trains on, as the key `device` has it.
namespace lockstep {

class Device;

// Throws UsageError, with the remedies, where this build or this machine cannot.
void require_device(ComputeOn device);

// Throws UsageError where workers with GPUs would not talk by NCCL: data of several GPUs is moved by that
// alone.
void require_gpu_transport(CommConfig::Backend backend, const Workers& workers);

// How the workers of such a run talk: between GPUs by NCCL, unless the configuration says otherwise.
CommConfig transport_of(const Config& config);

// Opens a worker's device, or throws UsageError; null is the processor. With NCCL it is the GPU that NCCL
// uses.
using OpenDevice = std::function<std::shared_ptr<const Device>(const Config&)>;
std::shared_ptr<const Device> open_device(const Config& config);

// Collective: opens every worker's device. Throws on all workers where one cannot, or where they differ.
std::shared_ptr<const Device> open_alike(Communicator& comm, const Config& config,
                                         const OpenDevice& open = open_device);
// Collective. Throws UsageError on all workers where what they train on differs in what the bits of a result
// depend on.
void require_equal_devices(Communicator& comm, const std::string& fingerprint);

// What the plan's memory may be, where it lies.
MemoryLimit memory_limit(Communicator& comm, const Config& config, const Device* device);

}  // namespace lockstep

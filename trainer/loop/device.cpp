#include "trainer/loop/device.h"

#include <fmt/format.h>

#include "comm/mpi/mpi.h"
#include "layers/ops/device.h"
#include "layers/ops/gpu.h"
#include "trainer/loop/agree.h"

namespace lockstep {

void require_device(ComputeOn device) {
  if (device == ComputeOn::cpu) return;
  if (!has_cuda()) {
    throw UsageError(
        "device is gpu, but this build has no CUDA: configure with cmake --preset cuda "
        "(scripts/cuda_toolkit.sh brings what that needs), or set device: cpu");
  }
  if (gpus_here() == 0) {
    throw UsageError(fmt::format(
        "device is gpu, but {} has no GPU that CUDA can use: none of NVIDIA's, no driver for it, or "
        "CUDA_VISIBLE_DEVICES hides it. Start the job where there is one, or set device: cpu",
        host_name()));
  }
}

void require_gpu_transport(CommConfig::Backend backend, const Workers& workers) {
  if (workers.count > 1 && workers.kind == Workers::Kind::threads) {
    throw UsageError(fmt::format(
        "device is gpu, and --workers {0} are threads of one process: start {0} processes instead, with "
        "mpirun -n {0}",
        workers.count));
  }
  if (workers.kind == Workers::Kind::mpi && backend == CommConfig::Backend::mpi) {
    throw UsageError(
        "device is gpu, but comm.backend is mpi, which moves the data of processors: set it to auto or nccl");
  }
}

CommConfig transport_of(const Config& config) {
  using Backend = CommConfig::Backend;
  CommConfig transport = config.comm;
  const bool between_gpus = config.device == ComputeOn::gpu && launched();
  if (between_gpus && transport.backend == Backend::automatic) transport.backend = Backend::nccl;
  return transport;
}

std::shared_ptr<const Device> open_device(const Config& config) {
  if (config.device == ComputeOn::cpu) return nullptr;
  return open_gpu({.threads = config.threads, .tf32 = config.precision == Precision::tf32});
}

std::shared_ptr<const Device> open_alike(Communicator& comm, const Config& config, const OpenDevice& open) {
  std::shared_ptr<const Device> device;
  agree(comm, "device", [&] { device = open(config); });
  if (device) require_equal_devices(comm, device->fingerprint());
  return device;
}

void require_equal_devices(Communicator& comm, const std::string& fingerprint) {
  const std::string differences = differing(comm, "devices", fingerprint);
  if (differences.empty()) return;
  throw UsageError(fmt::format(
      "the workers' GPUs, or what runs on them, differ in what the bits of a result depend on:{}\nStart the "
      "job on GPUs of one kind, with the same driver and libraries.",
      differences));
}

MemoryLimit memory_limit(Communicator& comm, const Config& config, const Device* device) {
  if (device == nullptr || config.plan.memory_mib > 0) {
    return memory_limit(config.plan.memory_mib, available_memory(), workers_on_host(comm));
  }
  const int workers = workers_alike(comm, "GPUs", device->identity());
  const std::size_t free = device->free_bytes();
  return {free / static_cast<std::size_t>(workers),
          fmt::format("its GPU has {} free for {} worker(s)", readable_bytes(free), workers)};
}

}  // namespace lockstep

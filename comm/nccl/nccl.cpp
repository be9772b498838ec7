#include "comm/nccl/nccl.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nccl.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <future>
#include <string_view>
#include <thread>
#include <utility>

#include "comm/nccl/transport.h"

// Which has communicators that do not block.
static_assert(NCCL_VERSION_CODE >= NCCL_VERSION(2, 14, 0), "lockstep needs NCCL 2.14 or later");

namespace lockstep {

namespace nccl {

namespace {

constexpr std::chrono::seconds longest_abort{2};

void require(cudaError_t result) {
  if (result != cudaSuccess) throw CommError(fmt::format("CUDA: {}", cudaGetErrorString(result)));
}

void require(ncclResult_t result, ncclComm_t comm = nullptr) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  const std::string_view more = ncclGetLastError(comm);
  throw CommError(fmt::format("NCCL: {}{}{}", ncclGetErrorString(result), more.empty() ? "" : ": ", more));
}

cudaEvent_t event_of(Event event) {
  return static_cast<cudaEvent_t>(event.handle);
}

class NvidiaLibrary final : public Library {
 public:
  // By default NCCL sets up the ways of a collective at its first call, which may wait for all that the GPU
  // is at.
  NvidiaLibrary() { ::setenv("NCCL_RUNTIME_CONNECT", "0", 0); }

  ~NvidiaLibrary() override {
    if (aborted_) return;
    if (comm_ != nullptr) (void)ncclCommDestroy(comm_);
    if (stream_ != nullptr) (void)cudaStreamDestroy(stream_);
    for (cudaEvent_t event : events_) (void)cudaEventDestroy(event);
    for (void* memory : device_memory_) (void)cudaFree(memory);
    for (void* memory : pinned_memory_) (void)cudaFreeHost(memory);
  }

  std::string version() override {
    int nccl = 0;
    require(ncclGetVersion(&nccl));
    return fmt::format("NCCL {}.{}.{}, CUDA {}.{}", nccl / 10'000, nccl / 100 % 100, nccl % 100,
                       CUDART_VERSION / 1000, CUDART_VERSION / 10 % 100);
  }

  std::string host() override {
    std::string name(HOST_NAME_MAX + 1, '\0');
    if (::gethostname(name.data(), name.size()) != 0) throw CommError("this host has no name");
    return name.c_str();
  }

  std::vector<std::string> devices() override {
    std::vector<std::string> names;
    const int count = visible_gpus();
    names.reserve(static_cast<std::size_t>(count));
    for (int device = 0; device < count; ++device) {
      cudaDeviceProp properties{};
      require(cudaGetDeviceProperties(&properties, device));
      std::string name;
      for (const char byte : properties.uuid.bytes)
        name += fmt::format("{:02x}", static_cast<unsigned char>(byte));
      names.push_back(std::move(name));
    }
    return names;
  }

  void use(int device) override {
    require(cudaSetDevice(device));
    int usual = 0;
    int first = 0;
    require(cudaDeviceGetStreamPriorityRange(&usual, &first));
    require(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, first));
  }

  // Kernels of all that share a GPU should fit on it together, and the data take no way past the host.
  void pose_as_host(const std::string& name) override {
    ::setenv("NCCL_HOSTID", name.c_str(), 1);
    ::setenv("NCCL_MAX_CTAS", "2", 0);
    ::setenv("NCCL_NET_GDR_LEVEL", "LOC", 0);
  }

  Id new_id() override {
    ncclUniqueId made;
    require(ncclGetUniqueId(&made));
    Id id;
    static_assert(sizeof made == sizeof id);
    std::memcpy(id.data(), &made, sizeof made);
    return id;
  }

  void join(const Id& id, int rank, int size) override {
    ncclUniqueId unique;
    std::memcpy(&unique, id.data(), sizeof unique);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    require(ncclCommInitRankConfig(&comm_, size, unique, rank, &config), comm_);
  }

  void leave() override { require(ncclCommFinalize(comm_), comm_); }

  bool settled() override {
    ncclResult_t state = ncclSuccess;
    require(ncclCommGetAsyncError(comm_, &state), comm_);
    require(state, comm_);
    return state != ncclInProgress;
  }

  void abort() noexcept override {
    if (std::exchange(aborted_, true)) return;
    // In a group that a failed call left open it would wait for the group's end.
    if (in_group_) (void)ncclGroupEnd();
    if (comm_ == nullptr) return;
    // It blocks until the others abort too, who may hang, and what went wrong is to be told all the same.
    try {
      std::packaged_task<void()> aborting([comm = comm_] { (void)ncclCommAbort(comm); });
      const std::future<void> aborted = aborting.get_future();
      std::thread(std::move(aborting)).detach();
      (void)aborted.wait_for(longest_abort);
    } catch (...) {
      // No thread can be had; the process ends, and its calls with it.
    }
  }

  void begin_group() override {
    require(ncclGroupStart());
    in_group_ = true;
  }

  void end_group() override {
    in_group_ = false;
    require(ncclGroupEnd());
  }

  void send(const std::byte* from, std::size_t bytes, int to) override {
    require(ncclSend(from, bytes, ncclUint8, to, comm_, stream_), comm_);
  }

  void receive(std::byte* into, std::size_t bytes, int from) override {
    require(ncclRecv(into, bytes, ncclUint8, from, comm_, stream_), comm_);
  }

  void broadcast(std::byte* data, std::size_t bytes, int root) override {
    require(ncclBroadcast(data, data, bytes, ncclUint8, root, comm_, stream_), comm_);
  }

  void all_gather(const std::byte* mine, std::byte* all, std::size_t each) override {
    require(ncclAllGather(mine, all, each, ncclUint8, comm_, stream_), comm_);
  }

  Event new_event() override {
    cudaEvent_t event = nullptr;
    require(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    events_.push_back(event);
    return {event};
  }

  void record(Event event) override { require(cudaEventRecord(event_of(event), stream_)); }

  bool reached(Event event) override {
    const cudaError_t result = cudaEventQuery(event_of(event));
    if (result == cudaErrorNotReady) {
      (void)cudaGetLastError();  // which later calls should not report
      return false;
    }
    require(result);
    return true;
  }

  std::byte* device_memory(std::size_t bytes) override {
    void* memory = nullptr;
    require(cudaMalloc(&memory, bytes));
    device_memory_.push_back(memory);
    return static_cast<std::byte*>(memory);
  }

  std::byte* pinned_memory(std::size_t bytes) override {
    void* memory = nullptr;
    require(cudaMallocHost(&memory, bytes));
    pinned_memory_.push_back(memory);
    return static_cast<std::byte*>(memory);
  }

  bool on_device(const std::byte* memory) override {
    cudaPointerAttributes attributes{};
    require(cudaPointerGetAttributes(&attributes, memory));
    return attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
  }

  void copy(std::byte* into, const std::byte* from, std::size_t bytes) override {
    require(cudaMemcpyAsync(into, from, bytes, cudaMemcpyDefault, stream_));
  }

 private:
  bool aborted_ = false;
  bool in_group_ = false;
  ncclComm_t comm_ = nullptr;
  cudaStream_t stream_ = nullptr;
  std::vector<cudaEvent_t> events_;
  std::vector<void*> device_memory_;
  std::vector<void*> pinned_memory_;
};

}  // namespace

}  // namespace nccl

bool has_nccl() {
  return true;
}

int visible_gpus() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::unique_ptr<Communicator> make_nccl(Communicator& control) {
  const char* const share = std::getenv("LOCKSTEP_SHARE_GPUS");
  return nccl::make_transport(control, std::make_unique<nccl::NvidiaLibrary>(),
                              share != nullptr && std::string_view(share) == "1");
}

}  // namespace lockstep

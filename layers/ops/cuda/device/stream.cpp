#include "layers/ops/cuda/device/stream.h"

#include "layers/ops/cuda/device/check.h"

namespace lockstep::cuda {

Event::Event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  event_.reset(event);
}

Stream::Stream(Urgency urgency) {
  int usual = 0;
  int first = 0;
  check(cudaDeviceGetStreamPriorityRange(&usual, &first), "asking for its streams' priorities");
  cudaStream_t stream = nullptr;
  check(
      cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, urgency == Urgency::first ? first : usual),
      "making a stream");
  stream_.reset(stream);
}

void Stream::record(const Event& event) const {
  check(cudaEventRecord(event.get(), get()), "recording an event");
}

void Stream::wait_for(const Event& event) const {
  check(cudaStreamWaitEvent(get(), event.get(), 0), "waiting for an event");
}

bool Stream::done() const {
  const cudaError_t result = cudaStreamQuery(get());
  if (result == cudaErrorNotReady) {
    cudaGetLastError();  // which later calls should not report
    return false;
  }
  check(result, "work on the GPU");
  return true;
}

void Stream::wait() const {
  check(cudaStreamSynchronize(get()), "work on the GPU");
}

}  // namespace lockstep::cuda

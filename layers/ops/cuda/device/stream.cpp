#include "layers/ops/cuda/device/stream.h"

#include "layers/ops/cuda/device/check.h"

namespace lockstep::cuda {

Stream::Stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  stream_.reset(stream);
}

void Stream::wait_for(const Stream& other) const {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  const cudaError_t recorded = cudaEventRecord(event, other.get());
  const cudaError_t waiting = cudaStreamWaitEvent(get(), event, 0);
  cudaEventDestroy(event);  // which happens when it has been reached
  check(recorded, "recording an event");
  check(waiting, "waiting for an event");
}

void Stream::wait() const {
  check(cudaStreamSynchronize(get()), "work on the GPU");
}

}  // namespace lockstep::cuda

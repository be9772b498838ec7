#include "layers/ops/cuda/device/stream.h"

#include "layers/ops/cuda/device/check.h"

namespace lockstep::cuda {

Event::Event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  event_.reset(event);
}

Stream::Stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  stream_.reset(stream);
}

void Stream::record(const Event& event) const {
  check(cudaEventRecord(event.get(), get()), "recording an event");
}

void Stream::wait_for(const Event& event) const {
  check(cudaStreamWaitEvent(get(), event.get(), 0), "waiting for an event");
}

void Stream::wait() const {
  check(cudaStreamSynchronize(get()), "work on the GPU");
}

}  // namespace lockstep::cuda

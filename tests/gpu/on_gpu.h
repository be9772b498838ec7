#pragma once

#include <memory>

#include "layers/ops/cuda/device/device.h"

// A GPU as what the cases of tests/unit/ops run on (tests/unit/ops/tested.h).
namespace lockstep::test::target {

using Device = cuda::Device;

// Why nothing can be run here; null where it can.
inline const char* unavailable() {
  static const bool none = cuda::device_count() == 0;
  return none ? "skipped: no GPU" : nullptr;
}

inline const Device& device() {
  constexpr int streams = 4;  // more than any case has threads
  static const cuda::Device device({.index = 0, .streams = streams});
  device.make_current();
  return device;
}

// Memory of the device.
class Memory {
 public:
  explicit Memory(std::size_t bytes) : memory_(bytes == 0 ? nullptr : device().allocate(bytes)) {}
  std::byte* data() const { return memory_.get(); }
  static void copy_in(std::byte* to, const void* from, std::size_t bytes) {
    device().copy_in(to, from, bytes);
  }
  // Once all that was put into a stream is done.
  static void copy_out(void* to, const std::byte* from, std::size_t bytes) {
    device().wait();
    device().copy_out(to, from, bytes);
  }

 private:
  std::shared_ptr<std::byte> memory_;
};

}  // namespace lockstep::test::target

#pragma once

#include <cstddef>
#include <memory>

namespace lockstep::cuda {

// Owns memory of the current GPU that starts on 256 bytes; not zeroed. A plan makes one for all its
// activations and cuts it as its memory map says. Throws std::bad_alloc.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(std::size_t bytes);

  std::byte* data() const { return memory_.get(); }
  std::size_t size() const { return memory_ == nullptr ? 0 : size_; }  // bytes

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_ = 0;
};

// Copies between the host and the current GPU, done when they return.
void copy_to_device(std::byte* to, const void* from, std::size_t bytes);
void copy_to_host(void* to, const std::byte* from, std::size_t bytes);

}  // namespace lockstep::cuda

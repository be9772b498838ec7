#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "layers/ops/device.h"

namespace lockstep {

// Owns zeroed memory of a device, which outlives it.
class Memory {
 public:
  Memory() = default;
  Memory(const Device& device, std::size_t bytes)
      : start_(bytes == 0 ? nullptr : device.allocate(bytes)), size_(bytes) {}

  template <class T = std::byte>
  T* data() const {
    return reinterpret_cast<T*>(start_.get());
  }
  std::size_t size() const { return size_; }  // bytes
  // Makes room for `bytes`; what was there is lost if it has to grow.
  void reserve(const Device& device, std::size_t bytes) {
    if (bytes <= size_) return;
    *this = Memory();  // first, so that both never have to fit
    *this = Memory(device, bytes);
  }

 private:
  std::shared_ptr<std::byte> start_;
  std::size_t size_ = 0;
};

// An array of floats that a device computes with, and that the host sees now and then. Where the device is
// the host itself both are the same; else there are two copies, and whoever asks gets the newest.
class MirroredArray {
 public:
  MirroredArray() = default;
  MirroredArray(const Device& device, std::size_t count)
      : device_(&device),
        count_(count),
        there_(device, count * sizeof(float)),
        here_(host(), device.is_host() ? 0 : count * sizeof(float)) {}

  // For the host to read and to write, until the next call of `on_device`.
  std::span<float> on_host();
  // For the device to read and to write, until the next call of `on_host`.
  std::span<float> on_device();
  std::size_t size() const { return count_; }

 private:
  const Device* device_ = nullptr;
  std::size_t count_ = 0;
  Memory there_;
  Memory here_;
  bool host_has_newest_ = false;
};

}  // namespace lockstep

#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <utility>

namespace lockstep {

// Tensors of a shard start on 64 bytes: no result may depend on an address (rule 3).
inline constexpr std::size_t alignment = 64;
constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

// Floats that `count` of them take where the next array starts on `alignment` again.
constexpr std::size_t aligned_floats(std::size_t count) {
  return aligned(count * sizeof(float)) / sizeof(float);
}

// Owns zeroed memory that starts on `alignment` bytes. Throws std::bad_alloc. What is not touched yet takes
// no room: large pieces are the system's zero pages.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes);
  Buffer(Buffer&& other) noexcept
      : memory_(std::move(other.memory_)),
        start_(std::exchange(other.start_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    memory_ = std::move(other.memory_);
    start_ = std::exchange(other.start_, nullptr);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  std::byte* data() const { return start_; }
  std::size_t size() const { return size_; }  // bytes
  template <class T>
  std::span<T> as() const {
    return {reinterpret_cast<T*>(start_), size_ / sizeof(T)};
  }
  // Makes room for `bytes`; what was there is lost if it has to grow.
  void reserve(std::size_t bytes) {
    if (bytes > size_) *this = Buffer(bytes);
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;  // as the system gave it
  std::byte* start_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lockstep

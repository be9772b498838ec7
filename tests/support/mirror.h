#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

namespace lockstep::test {

// An array in the memory of a device that has the values of one here, as far behind a 256-byte boundary as
// that one, and gives them back at its end unless they are const. Of null it is null.
template <class Memory, class T>
class Mirror {
 public:
  Mirror(T* here, std::size_t count)
      : here_(here),
        bytes_(here == nullptr ? 0 : count * sizeof(T)),
        offset_(reinterpret_cast<std::uintptr_t>(here) % boundary),
        memory_(bytes_ + 2 * boundary) {
    const auto start = reinterpret_cast<std::uintptr_t>(memory_.data());
    offset_ += (boundary - start % boundary) % boundary;
    if (bytes_ > 0) Memory::copy_in(memory_.data() + offset_, here_, bytes_);
  }
  explicit Mirror(std::span<T> here) : Mirror(here.data(), here.size()) {}
  Mirror(const Mirror&) = delete;
  Mirror& operator=(const Mirror&) = delete;
  Mirror(Mirror&&) = delete;
  Mirror& operator=(Mirror&&) = delete;
  ~Mirror() {
    if constexpr (!std::is_const_v<T>) {
      if (bytes_ > 0) Memory::copy_out(here_, memory_.data() + offset_, bytes_);
    }
  }

  operator T*() const {  // NOLINT(google-explicit-constructor): it stands for the array
    return here_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_.data() + offset_);
  }

 private:
  static constexpr std::size_t boundary = 256;

  T* here_;
  std::size_t bytes_ = 0;
  std::size_t offset_ = 0;
  Memory memory_;
};

}  // namespace lockstep::test

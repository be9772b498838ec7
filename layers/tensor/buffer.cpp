#include "layers/tensor/buffer.h"

#include <cstring>
#include <new>

namespace lockstep {

Buffer::Buffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  if (bytes > aligned(bytes)) throw std::bad_alloc();
  memory_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, aligned(bytes))));
  if (!memory_) throw std::bad_alloc();
  std::memset(memory_.get(), 0, bytes);
}

}  // namespace lockstep

#include "layers/tensor/buffer.h"

#include <new>

namespace lockstep {

Buffer::Buffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  if (bytes > aligned(bytes) || aligned(bytes) + alignment < alignment) throw std::bad_alloc();
  std::size_t room = aligned(bytes) + alignment;
  memory_.reset(static_cast<std::byte*>(std::calloc(1, room)));
  void* start = memory_.get();
  if (std::align(alignment, bytes, start, room) == nullptr) throw std::bad_alloc();
  start_ = static_cast<std::byte*>(start);
}

}  // namespace lockstep
